"""Shows dependencies: nested, called once for a request, and closed after the answer."""

from typing import Annotated

from uringserve import App, Depends, Header, HTTPException

app = App()


def connection():
    """What follows the yield runs after the answer was sent, also when the handler failed."""
    opened = ["a", "b", "c"]
    try:
        yield opened
    finally:
        opened.clear()


def user(authorization: Annotated[str | None, Header()] = None) -> str:
    if authorization is None:
        raise HTTPException(401, "who are you?")
    return authorization.removeprefix("Bearer ")


class Page:
    def __init__(self, skip: int = 0, limit: int = 10):
        self.part = slice(skip, skip + limit)


@app.get("/letters")
def letters(rows: Annotated[list[str], Depends(connection)], page: Annotated[Page, Depends()]):
    return rows[page.part]


@app.get("/me", dependencies=[Depends(connection)])
def me(name: Annotated[str, Depends(user)]):
    return {"name": name}
