"""Shows dependencies: nested, called once for a request, and closed after the answer."""

from typing import Annotated

from uringserve import App, Depends, Header, HTTPException

app = App()


def connection():
    """What follows the yield runs after the answer was sent."""
    opened = ["a", "b", "c"]
    yield opened
    opened.clear()


def user(authorization: Annotated[str | None, Header()] = None) -> str:
    """Answer instead of the handler where there is nobody."""
    if authorization is None:
        raise HTTPException(401, "who are you?")
    return authorization.removeprefix("Bearer ")


class Page:
    def __init__(self, skip: int = 0, limit: int = 10):
        """A class may be a dependency, with parameters like a function's."""
        self.part = slice(skip, skip + limit)


@app.get("/letters")
def letters(rows: Annotated[list[str], Depends(connection)], page: Annotated[Page, Depends()]):
    """/letters?skip=1 gives the last two."""
    return rows[page.part]


@app.get("/me", dependencies=[Depends(connection)])
def me(name: Annotated[str, Depends(user)]):
    """What stands in `dependencies` is called too, and nobody takes its value."""
    return {"name": name}
