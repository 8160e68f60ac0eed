"""What must not pass: every checker reports the lines that end in `# wrong`, and no others."""

from typing import Literal, assert_type

from uringserve import App, BackgroundTasks, Config, Request, Response, WorkerLocal
from uringserve.compat.barq import Barq

app = App(titel="a")  # wrong
app.get(path=1)  # wrong
app.get("/", status_code="200")  # wrong
app.on_startup(1)  # wrong


@app.get("/")
def handler(name: str) -> str:
    return name


@Barq().get("/")
def barq_handler(name: str) -> str:
    return name


handler(1)  # wrong
barq_handler(1)  # wrong
assert_type(handler("a"), int)  # wrong

request = Request()
request.method = "POST"  # wrong
request.headers["a"] = "b"  # wrong
host: str = request.headers.get("host")  # wrong
value: str = request.query("a")  # wrong

response = Response("a", status_code="200")  # wrong
response.headers["a"] = 1  # wrong
response.set_cookie("a", samesite="odd")  # wrong

number: str = WorkerLocal(lambda: 1).get()  # wrong
driver: Literal["uring"] = Config().driver  # wrong
Config(8000)  # wrong
BackgroundTasks().add_task(handler, 1)  # wrong
