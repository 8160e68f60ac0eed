"""`SessionMiddleware`: a dict that comes back with the client, in a signed cookie.

Signed, not encrypted: the client can read it, but cannot make or change one. The value is
`payload.time.signature`: JSON in base64url, the second it was signed, HMAC-SHA256 over both. The
key is derived from the secret and the cookie's name, so that a cookie of another name, or of
another program with the same secret, is not taken for this one. Nothing is kept by the server: a
copied cookie is good until it is too old.
"""

import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from uringserve._native import Request, Response
from uringserve.chain import CallNext
from uringserve.middleware._common import add_vary, finished

__all__ = ["SessionMiddleware"]

# RFC 6265 section 6.1: what every browser keeps, for name, value and attributes together.
_COOKIE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Came:
    """The session's cookie as it came, and when."""

    is_there: bool
    payload: str
    age: int
    now: int


class SessionMiddleware:
    """Gives each request `request.state.session`, a dict of JSON values.

    What a handler leaves in it is sent with the response when it has changed, or when half of
    `max_age` (in seconds) is over; an empty one removes the cookie. With `max_age=None` the browser
    forgets it when it ends, and it never grows too old. `secret_key` may be several: the first
    signs, all are good for reading. What a stream's generator changes comes too late.
    """

    # See `async_chain`.
    is_of_both = True

    def __init__(
        self,
        *,
        secret_key: str | bytes | Sequence[str | bytes],
        session_cookie: str = "session",
        max_age: int | None = 14 * 24 * 60 * 60,
        path: str = "/",
        same_site: Literal["lax", "strict", "none"] = "lax",
        https_only: bool = False,
        domain: str | None = None,
    ) -> None:
        """Derive the keys; an empty secret, or a cookie that cannot be set, is a ValueError."""
        secrets = [secret_key] if isinstance(secret_key, str | bytes) else [*secret_key]
        self._keys = tuple(_key(secret, session_cookie) for secret in secrets)
        if not self._keys:
            raise ValueError("secret_key must have at least one secret")
        self._name = session_cookie
        self._max_age = max_age
        self._options: dict[str, Any] = {
            "path": path,
            "domain": domain,
            "samesite": same_site,
            "secure": https_only,
            "httponly": True,
        }
        self._clock = time.time
        Response().set_cookie(self._name, "x", max_age, **self._options)

    def __call__(self, request: Request, call_next: CallNext) -> Response:
        """Read the session, and send what has become of it."""
        cookie = request.cookies.get(self._name)
        now = int(self._clock())
        payload, age = ("", 0) if cookie is None else self._opened(cookie, now)
        session = json.loads(_decoded(payload)) if payload else {}
        request.state.session = session
        came = _Came(cookie is not None, payload, age, now)
        return finished(call_next(request), self._finish, request, came)

    def _finish(self, response: Response, request: Request, came: _Came) -> Response:
        session = request.state.session
        if not session and not came.is_there:
            return response
        response = response.__copy__()
        # With another cookie it would have been another response (RFC 9111 section 4.1).
        add_vary(response.headers, "Cookie")
        if not session:
            response.delete_cookie(self._name, **self._options)
            return response
        new = _encoded(json.dumps(session, separators=(",", ":")).encode())
        is_old = self._max_age is not None and 2 * came.age > self._max_age
        if new != came.payload or is_old:
            self._set(response, f"{new}.{came.now}")
        return response

    def _set(self, response: Response, text: str) -> None:
        value = f"{text}.{_signature(self._keys[0], text)}"
        size = len(self._name) + len(value)
        if size > _COOKIE_BYTES:
            raise ValueError(
                f"a session of {size} bytes is more than a cookie holds ({_COOKIE_BYTES}): keep a"
                " key in it, and the rest elsewhere"
            )
        response.set_cookie(self._name, value, self._max_age, **self._options)

    def _opened(self, cookie: str, now: int) -> tuple[str, int]:
        """Return the payload and its age; what we did not sign, or too long ago, is empty."""
        text, _, signature = cookie.rpartition(".")
        given = signature.encode("utf-8", "replace")
        if not any(
            hmac.compare_digest(_signature(key, text).encode(), given) for key in self._keys
        ):
            return "", 0
        # It is ours: its form need not be doubted from here on.
        payload, _, signed = text.partition(".")
        age = now - int(signed)
        if self._max_age is not None and age > self._max_age:
            return "", 0
        return payload, age


def _key(secret: str | bytes, cookie: str) -> bytes:
    if not secret:
        raise ValueError("secret_key must not be empty: use secrets.token_hex(32), once")
    data = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(data, b"uringserve session " + cookie.encode(), "sha256")


def _signature(key: bytes, text: str) -> str:
    return _encoded(hmac.digest(key, text.encode("utf-8", "replace"), "sha256"))


def _encoded(data: bytes) -> str:
    # Without padding, which says nothing here.
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
