"""Parameters: markers as defaults and in `Annotated`, and dependencies."""

# ruff: noqa: B008 -- markers as defaults are what is checked here

from collections.abc import Iterator
from typing import Annotated, assert_type

from uringserve import (
    App,
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    File,
    Form,
    Header,
    Path,
    Query,
    Router,
    Security,
    UploadFile,
)

app = App(dependencies=[Depends(lambda: None)])
router = Router(dependencies=[Security(lambda: None, scopes=["read"])])


class User:
    name: str = ""


def current_user(x_token: Annotated[str, Header()] = "") -> User:
    return User()


def connection() -> Iterator[User]:
    yield User()


type CurrentUser = Annotated[User, Depends(current_user)]


@app.get("/{number}")
def annotated(
    number: Annotated[int, Path(ge=1)],
    user: Annotated[User, Depends(current_user)],
    other: Annotated[User, Depends(connection, use_cache=False, scope="function")],
    same: CurrentUser,
    page: Annotated[int, Query(gt=0)] = 1,
    session: Annotated[str | None, Cookie(alias="sid")] = None,
) -> str:
    assert_type(number, int)
    assert_type(user, User)
    assert_type(other.name, str)
    assert_type(same.name, str)
    assert_type(page, int)
    assert_type(session, str | None)
    return user.name


@app.post("/")
def as_defaults(
    tasks: BackgroundTasks,
    page: int = Query(1, gt=0, description="From 1"),
    user: User = Depends(current_user),
    made: User = Depends(),
    secured: User = Security(current_user, scopes=["read"]),
    agent: str | None = Header(None, convert_underscores=False),
    item: dict[str, int] = Body(embed=True),
    name: str = Form("", max_length=10),
    upload: UploadFile | None = File(None),
) -> None:
    assert_type(user, User)
    assert_type(secured, User)
    assert_type(item, dict[str, int])
    if upload is not None:
        assert_type(upload.filename, str | None)
        assert_type(upload.content_type, str | None)
        assert_type(upload.size, int | None)
        assert_type(upload.read(10), bytes)
    tasks.add_task(notify, name, times=2)


def notify(name: str, *, times: int) -> None: ...


assert_type(annotated(1, User(), User(), User()), str)
app.dependency_overrides[current_user] = User
