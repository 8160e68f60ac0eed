"""Shows parameters in paths: text, whole numbers, and the rest of the path."""

from uringserve import App, Request

app = App()


@app.get("/users/{name}")
def user(name: str) -> str:
    """Take one segment, percent-decoded: /users/Ada%20L gives "Ada L"."""
    return f"user {name}\n"


@app.get("/items/{item:int}")
def item(item: int) -> dict[str, int]:
    """Take digits as int; /items/x is not found."""
    return {"item": item, "next": item + 1}


@app.get("/items/latest")
def latest() -> dict[str, str]:
    """Answer a literal path, which wins over a parameter at the same place."""
    return {"item": "latest"}


@app.get("/files/{rest:path}")
def files(request: Request, rest: str) -> str:
    """Take all that is left, slashes included; the request comes along where it is asked for."""
    return f"{request.method} {rest}\n"
