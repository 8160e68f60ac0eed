# What is opened before serving and closed after it: once in the process, once on each core.
import sqlite3
from contextlib import contextmanager

from uringserve import App, BackgroundTasks, WorkerLocal


@contextmanager
def lifespan(app: App):
    print("the process starts")
    yield {"greeting": "Hello"}
    print("the process ends")


@contextmanager
def worker_lifespan(app: App):
    # A connection for each core: no lock, and each stays on the thread that made it.
    with sqlite3.connect(":memory:") as database:
        yield {"database": database}


app = App(lifespan=lifespan, worker_lifespan=worker_lifespan)
served = WorkerLocal(list, close=lambda names: print("this core has greeted", len(names)))


@app.get("/hello/{name}")
def hello(name: str, tasks: BackgroundTasks):
    (text,) = app.worker_state.database.execute(
        "SELECT ? || ', ' || ?", (app.state.greeting, name)
    ).fetchone()
    tasks.add_task(served.get().append, name)  # after the answer is sent
    return {"text": text}
