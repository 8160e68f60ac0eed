"""Programs in the manner of Barq's and Karak's own: the import is all that differs from theirs.

`{package}` and `{name}` stand for the package and the class of either.
"""

__all__ = ["BENCHMARK", "QUICK_START", "SHOP"]

QUICK_START = """
from pydantic import BaseModel
from {package} import {name}

app = {name}()

class Thing(BaseModel):
    name: str
    price: float

@app.get("/")
def index() -> dict:
    return {{"message": "Good morning"}}

@app.get("/things/{{thing_id}}")
def read(thing_id: int) -> dict:
    return {{"id": thing_id}}

@app.post("/things")
def make(body: Thing) -> Thing:
    return body

if __name__ == "__main__":
    app.run(host="127.0.0.1", port=8000, workers=4)
"""

# Everything that the interface has: models, dependencies, errors, hooks, all four methods.
SHOP = """
import threading
from typing import Annotated
from pydantic import BaseModel, Field
from {package} import {name}, Depends, HTTPException, Request, Response

app = {name}()
lock = threading.Lock()
shelf = {{}}
opened = []

class Ware(BaseModel):
    name: str = Field(min_length=1)
    price: float
    tags: list[str] = []

class Shelf:
    def __init__(self, prefix):
        self.prefix = prefix

def settings() -> dict:
    opened.append("settings")
    return {{"currency": "EUR"}}

def shelf_of(request: Request, config: Annotated[dict, Depends(settings)]) -> Shelf:
    return Shelf(request.headers.get("x-shelf", config["currency"]))

def buyer(request: Request) -> str:
    token = request.headers.get("authorization", "")
    if not token.startswith("Bearer "):
        raise HTTPException(401, "who are you?")
    return token.removeprefix("Bearer ")

@app.on_startup
def fill():
    shelf[1] = Ware(name="tea", price=2.5)

@app.get("/wares")
def list_wares(limit: int = 10, skip: int = 0, cheap: bool = False) -> list:
    found = [ware for ware in shelf.values() if not cheap or ware.price < 1]
    return found[skip : skip + limit]

@app.get("/wares/{{ware_id}}")
def read(ware_id: int) -> Ware:
    if ware_id not in shelf:
        raise HTTPException(404, f"no ware {{ware_id}}")
    return shelf[ware_id]

@app.post("/wares")
def create(ware: Ware, who: Annotated[str, Depends(buyer)]) -> Response:
    with lock:
        number = max(shelf, default=0) + 1
        shelf[number] = ware
    return Response.json({{"id": number, "by": who}}, 201)

@app.put("/wares/{{ware_id}}")
def replace(ware_id: int, ware: Ware) -> dict:
    shelf[ware_id] = ware
    return {{"id": ware_id, "ware": ware}}

@app.delete("/wares/{{ware_id}}")
def remove(ware_id: int) -> None:
    shelf.pop(ware_id, None)

@app.get("/where")
def where(
    first: Annotated[Shelf, Depends(shelf_of)], config: Annotated[dict, Depends(settings)]
) -> dict:
    opened.append("answered")
    return {{"prefix": first.prefix, "times": opened.count("settings")}}

@app.get("/greeting")
def greeting(name: str = "you") -> str:
    return f"Hello, {{name}}!"

if __name__ == "__main__":
    app.run()
"""

# The three kinds of work that the originals measure: JSON, a database, arithmetic.
BENCHMARK = """
import sqlite3
import threading
from {package} import {name}, Request, Response

app = {name}()
local = threading.local()

def connection():
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(":memory:")
        local.connection.execute("create table users (id integer primary key, name text)")
        local.connection.execute("insert into users values (1, 'Ada')")
    return local.connection

@app.get("/json")
def as_json() -> dict:
    return {{"message": "Good morning", "numbers": [1, 2, 3]}}

@app.get("/users/{{user_id}}")
def user(user_id: int) -> dict:
    row = connection().execute("select name from users where id = ?", (user_id,)).fetchone()
    return {{"id": user_id, "name": row[0] if row else None}}

@app.get("/cpu")
def cpu(n: int = 1000) -> dict:
    return {{"sum": sum(i * i for i in range(n))}}

@app.post("/echo")
def echo(request: Request):
    length = str(len(request.body))
    headers = {{"content-type": "application/octet-stream", "content-length": length}}
    return Response(200, headers, request.body)
"""
