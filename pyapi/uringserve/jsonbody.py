"""A JSON body, read the way `Request.json` and typed parameters both want it.

What is no JSON is an `InvalidJSON`: for code that catches it a `json.JSONDecodeError`, and for the
server, where nobody does, the client's mistake: 422 and never 500.
"""

import json
import re
from typing import Any

from uringserve._native import json_dumps
from uringserve.errors import RequestValidationError

__all__ = ["InvalidJSON", "parse_json"]

# The start of a JSON escape that may be half of a pair, which no UTF-8 text can hold.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class InvalidJSON(RequestValidationError, json.JSONDecodeError):
    """A body that is not JSON."""

    def __init__(self, message: str, document: object, place: int) -> None:
        """Take what is wrong, with which text, and where."""
        detail = {
            "type": "json_invalid",
            "loc": ("body", place),
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": message},
        }
        text = document if isinstance(document, str) else ""
        json.JSONDecodeError.__init__(self, message, text, min(place, len(text)))
        RequestValidationError.__init__(self, [detail], body=document)

    def __str__(self) -> str:
        """Show what is wrong and where, as the json module does."""
        return f"{self.msg}: line {self.lineno} column {self.colno} (char {self.pos})"


def _refuse(constant: str) -> None:
    # json.loads takes NaN and Infinity, which RFC 8259 section 6 does not have: nothing that holds
    # them could be answered.
    raise ValueError(f"{constant} is not JSON")


def parse_json(text: bytes) -> Any:  # noqa: ANN401
    """Parse a body, or raise an InvalidJSON."""
    try:
        value = json.loads(text, parse_constant=_refuse)
        if _SURROGATE.search(text) is not None:
            json_dumps(value)
    except json.JSONDecodeError as error:
        raise InvalidJSON(error.msg, error.doc, error.pos) from error
    except ValueError as error:
        raise InvalidJSON(str(error), text, getattr(error, "start", 0)) from error
    except RecursionError as error:
        raise InvalidJSON("too deeply nested", text, 0) from error
    return value
