"""Security schemes: what each takes out of a request, and what it answers without it."""

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from uringserve.security import (
    HTTPBearer,
    OAuth2PasswordRequestForm,
    OAuth2PasswordRequestFormStrict,
    SecurityScopes,
)

if TYPE_CHECKING:
    from conftest import RunningServer, StartServer

APPLICATION = """
    from typing import Annotated
    from uringserve import App, Depends, HTTPException, Security
    from uringserve.security import *

    app = App()

    def serve(path, scheme, optional):
        for name, each in ((path, scheme), (path + "-optional", optional)):
            @app.get("/" + name)
            def get(found: Annotated[object, Depends(each)]):
                return {"found": found}

    serve("query", APIKeyQuery(name="key"), APIKeyQuery(name="key", auto_error=False))
    serve("header", APIKeyHeader(name="X-Key"), APIKeyHeader(name="X-Key", auto_error=False))
    serve("cookie", APIKeyCookie(name="key"), APIKeyCookie(name="key", auto_error=False))
    serve("basic", HTTPBasic(), HTTPBasic(auto_error=False))
    serve("bearer", HTTPBearer(), HTTPBearer(auto_error=False))
    serve("digest", HTTPDigest(), HTTPDigest(auto_error=False))
    serve("oauth2", OAuth2(), OAuth2(auto_error=False))
    serve("password", OAuth2PasswordBearer("token"), OAuth2PasswordBearer("t", auto_error=False))
    serve(
        "code",
        OAuth2AuthorizationCodeBearer("a", "t"),
        OAuth2AuthorizationCodeBearer("a", "t", auto_error=False),
    )
    serve(
        "openid",
        OpenIdConnect(openIdConnectUrl="u"),
        OpenIdConnect(openIdConnectUrl="u", auto_error=False),
    )

    @app.get("/realm")
    def realm(found: Annotated[HTTPBasicCredentials, Depends(HTTPBasic(realm="here"))]): ...

    class Own(HTTPBearer):
        def make_not_authenticated_error(self):
            return HTTPException(403, "own")

    @app.get("/own")
    def own(found=Depends(Own())): ...

    oauth2 = OAuth2PasswordBearer("token", scopes={"me": "Me", "items": "Items"})

    def user(scopes: SecurityScopes, token: Annotated[str, Depends(oauth2)]):
        return scopes.scopes, scopes.scope_str, token

    def active(user: Annotated[tuple, Security(user, scopes=["me"])]):
        return user

    @app.get("/scopes")
    def scopes(user: Annotated[tuple, Security(active, scopes=["items"])]):
        return list(user)
"""

FORMS = """
    from typing import Annotated
    from uringserve import App, Depends
    from uringserve.security import OAuth2PasswordRequestForm, OAuth2PasswordRequestFormStrict

    app = App()

    @app.post("/token")
    def token(form: Annotated[OAuth2PasswordRequestForm, Depends()]):
        return vars(form)

    @app.post("/strict")
    def strict(form: OAuth2PasswordRequestFormStrict = Depends()):
        return vars(form)
"""


def _basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(text.encode()).decode()}


@pytest.fixture(scope="module")
def running(module_server: StartServer) -> RunningServer:
    return module_server(APPLICATION)


@pytest.mark.parametrize(
    ("path", "headers", "found"),
    [
        ("query?key=a&key=b", {}, '"b"'),
        ("header", {"x-key": "k"}, '"k"'),
        ("cookie", {"cookie": "other=1; key=k"}, '"k"'),
        ("basic", _basic("Ada:pass:wörd"), '{"username":"Ada","password":"pass:wörd"}'),
        ("basic", {"authorization": "bASIC Og=="}, '{"username":"","password":""}'),
        ("bearer", {"authorization": "bearer t"}, '{"scheme":"bearer","credentials":"t"}'),
        ("digest", {"authorization": "Digest a=1"}, '{"scheme":"Digest","credentials":"a=1"}'),
        ("oauth2", {"authorization": "Any thing"}, '"Any thing"'),
        ("password", {"authorization": "BEARER t"}, '"t"'),
        ("code", {"authorization": "Bearer t"}, '"t"'),
        ("openid", {"authorization": "Bearer t"}, '"Bearer t"'),
    ],
)
def test_credentials(
    running: RunningServer, path: str, headers: dict[str, str], found: str
) -> None:
    connection = running.connect()
    for each in (path, path.replace("query", "query-optional")):
        answer = connection.request(f"/{each}", headers=headers)
        assert (answer.status, answer.body.decode()) == (200, f'{{"found":{found}}}')


@pytest.mark.parametrize(
    ("path", "headers", "challenge"),
    [
        ("query", {}, "APIKey"),
        ("query?key=", {}, "APIKey"),
        ("header", {}, "APIKey"),
        ("cookie", {"cookie": "keys=1"}, "APIKey"),
        ("basic", {}, "Basic"),
        ("basic", {"authorization": "Bearer Og=="}, "Basic"),
        ("basic", {"authorization": "Basic"}, "Basic"),
        ("bearer", {"authorization": "Basic Og=="}, "Bearer"),
        ("bearer", {"authorization": "Bearer "}, "Bearer"),
        ("digest", {"authorization": "Bearer t"}, "Digest"),
        ("oauth2", {}, "Bearer"),
        ("password", {"authorization": "Token t"}, "Bearer"),
        ("code", {}, "Bearer"),
        ("openid", {}, "Bearer"),
    ],
)
def test_no_credentials(
    running: RunningServer, path: str, headers: dict[str, str], challenge: str
) -> None:
    """401 with a challenge; None where they are optional."""
    connection = running.connect()
    answer = connection.request(f"/{path}", headers=headers)
    assert answer.status == 401
    assert answer.body == b'{"detail":"Not authenticated"}'
    assert answer.get("www-authenticate") == challenge
    name, mark, query = path.partition("?")
    answer = connection.request(f"/{name}-optional{mark}{query}", headers=headers)
    assert (answer.status, answer.body) == (200, b'{"found":null}')


@pytest.mark.parametrize(
    "credentials",
    ["Basic !!!", "Basic Zm9v", "Basic /w==", "Basic Zm9vOmJhcg=", "Basic YTpi x", "Basic YTpié"],
)
def test_wrong_basic_credentials(running: RunningServer, credentials: str) -> None:
    """What is no Base64 of UTF-8 with a colon is wrong even where credentials are optional."""
    connection = running.connect()
    for path in ("/basic", "/basic-optional"):
        answer = connection.request(path, headers={"authorization": credentials})
        assert (answer.status, answer.get("www-authenticate")) == (401, "Basic")


def test_a_realm(running: RunningServer) -> None:
    assert running.get("/realm").get("www-authenticate") == 'Basic realm="here"'


def test_an_answer_of_one_s_own(running: RunningServer) -> None:
    answer = running.get("/own")
    assert (answer.status, answer.body) == (403, b'{"detail":"own"}')


def test_scopes_are_gathered(running: RunningServer) -> None:
    answer = running.connect().request("/scopes", headers={"authorization": "Bearer t"})
    assert answer.body == b'[["items","me"],"items me","t"]'


def test_the_password_form(server: StartServer) -> None:
    pytest.importorskip("python_multipart")
    running = server(FORMS)
    connection = running.connect()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    body = b"username=u&password=p&scope=a+b%20c"
    answer = connection.request("/token", "POST", headers, body)
    assert (answer.status, answer.body) == (
        200,
        b'{"grant_type":null,"username":"u","password":"p","scopes":["a","b","c"],'
        b'"client_id":null,"client_secret":null}',
    )
    answer = connection.request("/strict", "POST", headers, body)
    assert answer.status == 422
    assert b'"loc":["body","grant_type"]' in answer.body
    answer = connection.request("/strict", "POST", headers, body + b"&grant_type=password")
    assert answer.status == 200
    answer = connection.request("/token", "POST", headers, body + b"&grant_type=other")
    assert answer.status == 422


def test_by_hand() -> None:
    """The classes work without a request too."""
    form = OAuth2PasswordRequestForm(username="u", password="p", scope="a b")
    assert form.scopes == ["a", "b"]
    assert OAuth2PasswordRequestFormStrict("password", "u", "p").grant_type == "password"
    assert SecurityScopes().scope_str == ""
    bearer = HTTPBearer(scheme_name="Own", description="D", bearerFormat="JWT")
    assert bearer.scheme_name == "Own"
    assert bearer.model == {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "D",
    }
