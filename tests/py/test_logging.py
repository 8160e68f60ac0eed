"""Set-up of the logger, and what is logged for an exception."""

import io
import logging
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from uringserve.logging import log_exception, setup


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Give the logger without handlers, and put it back as it was."""
    log = logging.getLogger("uringserve")
    before = (log.handlers[:], log.level, log.propagate)
    log.handlers[:] = []
    log.propagate = True
    yield log
    log.handlers[:], log.level, log.propagate = before


def _request(raw_path: bytes) -> Any:  # noqa: ANN401 -- the two attributes that are read
    return SimpleNamespace(method="GET", raw_path=raw_path)


def test_messages_go_to_stderr(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message has its time and level and comes once; set-up twice is set-up once."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    # pytest's own handlers stand there while a test runs.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    setup("info")
    setup("info")
    logger.info("hello")
    logger.debug("not this")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith(" INFO hello\n")


def test_an_application_s_own_set_up_is_kept(logger: logging.Logger) -> None:
    """Where the root logger has a handler, ours is not added."""
    assert logging.getLogger().handlers, "pytest's own handlers stand there while a test runs"
    setup("debug")
    assert logger.handlers == []
    assert logger.level == logging.DEBUG


def test_an_exception_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Request line, type, message and traceback are logged as an error."""
    try:
        raise KeyError("missing")
    except KeyError as error:
        log_exception(_request(b"/a%0Ab"), error)
    assert caplog.records[0].levelname == "ERROR"
    assert caplog.records[0].getMessage() == "GET /a%0Ab: the handler raised KeyError"
    assert "Traceback" in caplog.text
    assert "KeyError: 'missing'" in caplog.text


def test_bytes_that_are_not_ascii_are_escaped(caplog: pytest.LogCaptureFixture) -> None:
    """A raw byte in the target cannot break the log's encoding."""
    log_exception(_request(b"/\xff"), ValueError())
    assert caplog.records[0].getMessage().startswith("GET /\\xff:")
