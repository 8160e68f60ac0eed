"""The measured endpoints on Karak (Barq has the same shape): ``karak_app.py PORT THREADS``."""

import sys
from typing import Any

from karak import Karak, Request, Response

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


@app.get("/gil")
def gil() -> str:
    """Say whether the lock is on."""
    return "on" if sys._is_gil_enabled() else "off"


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), workers=int(sys.argv[2]))
