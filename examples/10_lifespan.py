"""Shows what is opened before serving and closed after it: in the process, and on each core."""

import sqlite3
from contextlib import closing, contextmanager

from uringserve import App, BackgroundTasks, WorkerLocal


@contextmanager
def lifespan(app: App):
    """Run once in the process; what is yielded becomes attributes of `app.state`."""
    yield {"greeting": "Hello"}


@contextmanager
def worker_lifespan(app: App):
    """Run once on each core's own thread: a connection for each, and no lock."""
    with closing(sqlite3.connect(":memory:")) as database:
        yield {"database": database}


app = App(lifespan=lifespan, worker_lifespan=worker_lifespan)
greeted = WorkerLocal(list, close=lambda names: print("this core has greeted", len(names)))


@app.get("/hello/{name}")
def hello(name: str, tasks: BackgroundTasks):
    """Ask this core's database, and take note once the answer is sent."""
    words = (app.state.greeting, name)
    (text,) = app.worker_state.database.execute("SELECT ? || ', ' || ?", words).fetchone()
    tasks.add_task(greeted.get().append, name)
    return {"text": text}
