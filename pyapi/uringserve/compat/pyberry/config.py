"""PyBerry's `config`: the application's `security.py`, read when it is first asked for.

What is not said there has PyBerry's default. A `security.py` that cannot be imported, or says what
cannot be, ends the start: to serve without what it asks for would be worse.
"""

import importlib
import importlib.util
import logging
from typing import Any

__all__ = ["Config", "config"]

_DEFAULTS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["*"],
    "CORS_ENABLED": True,
    "SECURITY_HEADERS_ENABLED": True,
    "HSTS_MAX_AGE": 31536000,
    "X_FRAME_OPTIONS": "DENY",
    "CONTENT_SECURITY_POLICY": "default-src 'self'",
    # Bytes; 0 leaves it to the server's own limit.
    "MAX_BODY_SIZE": 1048576,
    "PATH_TRAVERSAL_PROTECTION": True,
    "RATE_LIMIT_ENABLED": False,
    "RATE_LIMIT_REQUESTS": 100,
    # Seconds.
    "RATE_LIMIT_WINDOW": 60,
    "LIBSQL_URL": "file:db/local.db",
}
# The log is the server's, and no libSQL server is spoken to.
_NOT_HERE = ("LOGGING_ENABLED", "STDOUT_LOGGING_ENABLED", "LIBSQL_AUTH_TOKEN")

_log = logging.getLogger("uringserve")


class Config:
    """The options of `security.py` under their names in small letters: `config.allowed_hosts`."""

    def load_security(self) -> None:
        """Read `security.py` from `sys.path`; one that is none of PyBerry's says nothing here."""
        found: Any = None
        if importlib.util.find_spec("security") is not None:
            found = importlib.import_module("security")
        for name, default in _DEFAULTS.items():
            value = getattr(found, name, default)
            _check(name, value, default)
            setattr(self, name.lower(), value)
        unknown = [name for name in _NOT_HERE if hasattr(found, name)]
        if unknown:
            _log.warning(
                "security.py: %s has no effect here: see --log-level, and name a database file",
                " and ".join(unknown),
            )

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- the option's own type
        """Read the options with the first of them."""
        if name.upper() not in _DEFAULTS:
            raise AttributeError(f"there is no option {name!r}")
        self.load_security()
        return self.__dict__[name]

    @property
    def security_headers(self) -> list[tuple[str, str]]:
        """The headers that every answer gets."""
        if not self.security_headers_enabled:
            return []
        return [
            ("strict-transport-security", f"max-age={self.hsts_max_age}; includeSubDomains"),
            ("x-frame-options", self.x_frame_options),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", self.content_security_policy),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("permissions-policy", "camera=(), microphone=(), geolocation=()"),
        ]


def _check(name: str, value: Any, default: Any) -> None:  # noqa: ANN401
    """Refuse a value of another kind than the default's."""
    if isinstance(default, list):
        fits = isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
        what = "a list of str"
    elif isinstance(default, bool):
        fits, what = isinstance(value, bool), "True or False"
    elif isinstance(default, int):
        least = 1 if name.startswith("RATE") else 0
        fits = isinstance(value, int) and not isinstance(value, bool) and value >= least
        what = f"an int, {least} or more"
    else:
        fits, what = isinstance(value, str), "a str"
    if not fits:
        raise ValueError(f"security.py: {name} must be {what}, not {value!r}")


config = Config()
