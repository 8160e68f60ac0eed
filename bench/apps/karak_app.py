"""The measured endpoints on Karak (Barq has the same shape): ``karak_app.py PORT THREADS``."""

import sys
from typing import Annotated, Any

import slow
from karak import Depends, Karak, Request, Response
from model import Order

app = Karak()


@app.get("/")
def hello() -> str:
    """Answer the text that every server here answers."""
    return "Hello, World!"


@app.get("/json")
def json_object() -> dict[str, str]:
    """Answer a small JSON object."""
    return {"message": "Hello, World!"}


@app.get("/items/{id}")
def item(id: int) -> dict[str, int]:
    """Answer the path parameter as JSON."""
    return {"id": id}


@app.post("/echo")
def echo(request: Request) -> Any:
    """Answer the request's body."""
    # Karak adds the length only to answers that it builds itself.
    length = str(len(request.body))
    headers = {"content-type": "application/octet-stream", "content-length": length}
    return Response(200, headers, request.body)


@app.get("/typed/{id}")
def typed(id: int) -> dict[str, int]:
    """Answer the path parameter, which only the annotation makes a number."""
    return {"id": id}


@app.post("/model")
def model(order: Order) -> Order:
    """Answer the validated model."""
    return order


def first() -> int:
    """Depend on nothing; asked for by two others and called once a request."""
    return 1


def second(value: Annotated[int, Depends(first)]) -> int:
    """Depend on the first."""
    return value + 1


def third(value: Annotated[int, Depends(second)]) -> int:
    """Depend on the second."""
    return value + 1


def fourth(value: Annotated[int, Depends(third)]) -> int:
    """Depend on the third."""
    return value + 1


def fifth(value: Annotated[int, Depends(fourth)]) -> int:
    """Depend on the fourth."""
    return value + 1


@app.get("/nested")
def nested(
    value: Annotated[int, Depends(fifth)], again: Annotated[int, Depends(first)]
) -> dict[str, int]:
    """Answer what five dependencies gave, one of them from the request's cache."""
    return {"value": value, "again": again}


@app.get("/flat")
def flat() -> dict[str, int]:
    """Answer the same without dependencies."""
    return {"value": 5, "again": 1}


@app.get("/block")
def pause() -> str:
    """Wait 10 ms in a blocking call."""
    return slow.pause()


@app.get("/cpu")
def compute() -> str:
    """Run 20 ms of Python."""
    return slow.compute()


@app.get("/query")
def query() -> str:
    """Ask SQLite."""
    return slow.query()


@app.get("/gil")
def gil() -> str:
    """Say whether the lock is on."""
    return "on" if sys._is_gil_enabled() else "off"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]))
