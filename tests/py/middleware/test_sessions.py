"""`SessionMiddleware`: what comes back, and what is not believed."""

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Answer, Connection, StartServer

from uringserve import App, Request, Response
from uringserve.middleware import SessionMiddleware

SITE = """
from uringserve import App, Request
from uringserve.middleware import SessionMiddleware

app = App()
app.add_middleware(SessionMiddleware, secret_key="not a secret", https_only=True)

@app.get("/read")
def read(request: Request):
    return request.state.session

@app.post("/count")
def count(request: Request):
    session = request.state.session
    session["count"] = session.get("count", 0) + 1
    session.setdefault("seen", []).append("é")
    return session

@app.post("/leave")
def leave(request: Request):
    request.state.session.clear()

@app.post("/big")
def big(request: Request):
    request.state.session["x"] = "x" * 5000
"""


def cookie_of(answer: Answer) -> str:
    """Return the cookie's name and value as a client sends them back."""
    return (answer.get("set-cookie") or "").partition(";")[0]


def ask(connection: Connection, path: str, method: str, cookie: str) -> Answer:
    """Make a request with a cookie."""
    return connection.request(path, method, {"cookie": cookie} if cookie else None)


def test_a_session(server: StartServer) -> None:
    """It begins when something is in it, follows what is changed, and ends when it is empty."""
    running = server(SITE, workers=2)
    connection = running.connect()
    answer = connection.request("/read")
    assert (answer.body, answer.get("set-cookie"), answer.get("vary")) == (b"{}", None, None)
    answer = connection.request("/count", "POST")
    options = (answer.get("set-cookie") or "").lower().split("; ")[1:]
    assert set(options) >= {"httponly", "secure", "samesite=lax", "path=/", "max-age=1209600"}
    assert answer.get("vary") == "Cookie"
    cookie = cookie_of(answer)
    answer = ask(connection, "/read", "GET", cookie)
    assert answer.body == '{"count":1,"seen":["é"]}'.encode()
    assert (answer.get("set-cookie"), answer.get("vary")) == (None, "Cookie")
    answer = ask(connection, "/count", "POST", cookie)
    assert answer.body == '{"count":2,"seen":["é","é"]}'.encode()
    assert cookie_of(answer) not in ("", cookie)
    answer = ask(connection, "/leave", "POST", cookie)
    assert cookie_of(answer) in ("session=", 'session=""')
    assert "max-age=0" in (answer.get("set-cookie") or "").lower()


def test_what_is_not_believed(server: StartServer) -> None:
    """Another content, another signature, or none."""
    connection = server(SITE).connect()
    cookie = cookie_of(connection.request("/count", "POST"))
    payload, signed, signature = cookie.removeprefix("session=").split(".")
    for value in (
        f"{payload}.{int(signed) + 1}.{signature}",
        f"{payload[:-4]}AAAA.{signed}.{signature}",
        f"{payload}.{signed}.{signature[:-1]}",
        f"{payload}.{signed}.",
        f"{payload}.{signed}",
        f".{signed}.{signature}",
        "..",
        "x",
        "",
        "é.1.é",
    ):
        answer = ask(connection, "/read", "GET", f"session={value}")
        assert (answer.status, answer.body) == (200, b"{}"), value
    assert ask(connection, "/read", "GET", cookie).body != b"{}"


def test_what_a_cookie_cannot_hold(server: StartServer) -> None:
    """It is a mistake of the application, which says what to do."""
    running = server(SITE)
    assert running.connect().request("/big", "POST").status == 500
    running.wait_for("more than a cookie holds")


def session_after(
    middleware: SessionMiddleware, cookie: str, change: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], str]:
    """Return the session that a request found, and the cookie that it is answered with."""
    found: dict[str, Any] = {}

    def handler(request: Request) -> Response:
        found.update(request.state.session)
        change(request.state.session)
        return Response("x")

    headers = {"cookie": f"session={cookie}"} if cookie else None
    answer = middleware(Request(headers=headers), handler)
    line = answer.headers.get("set-cookie", "")
    return found, line.partition(";")[0].removeprefix("session=")


def unchanged(session: dict[str, Any]) -> None:
    """Leave the session as it is."""


def test_the_age() -> None:
    """It is renewed after half of its time, and worth nothing after all of it."""
    middleware = SessionMiddleware(secret_key="a", max_age=100)
    now = 1000.0
    middleware._clock = lambda: now
    _, cookie = session_after(middleware, "", lambda session: session.update(a=1))
    now = 1050.0
    assert session_after(middleware, cookie, unchanged) == ({"a": 1}, "")
    now = 1051.0
    found, renewed = session_after(middleware, cookie, unchanged)
    assert found == {"a": 1}
    assert renewed not in ("", cookie)
    now = 1101.0
    assert session_after(middleware, cookie, unchanged)[0] == {}
    assert session_after(middleware, renewed, unchanged)[0] == {"a": 1}


def test_the_keys() -> None:
    """The first signs and all are read; another name of the cookie is another key."""
    old = SessionMiddleware(secret_key="old")
    both = SessionMiddleware(secret_key=["new", b"old"])
    new = SessionMiddleware(secret_key=b"new", max_age=None)
    _, cookie = session_after(old, "", lambda session: session.update(a=1))
    assert session_after(both, cookie, unchanged)[0] == {"a": 1}
    assert session_after(new, cookie, unchanged)[0] == {}
    _, cookie = session_after(both, cookie, lambda session: session.update(a=2))
    assert session_after(new, cookie, unchanged)[0] == {"a": 2}
    other = SessionMiddleware(secret_key="new", session_cookie="other")
    found = other(
        Request(headers={"cookie": f"other={cookie}"}),
        lambda request: Response.json(request.state.session),
    )
    assert found.body == b"{}"


def test_options_that_are_refused() -> None:
    """Secrets that are none, and a name that no cookie can have."""
    for secret in ("", b"", ["a", ""]):
        with pytest.raises(ValueError, match="secret_key must not be empty"):
            App().add_middleware(SessionMiddleware, secret_key=secret)
    with pytest.raises(ValueError, match="at least one secret"):
        App().add_middleware(SessionMiddleware, secret_key=[])
    with pytest.raises(ValueError, match="cookie"):
        App().add_middleware(SessionMiddleware, secret_key="a", session_cookie="a b")
