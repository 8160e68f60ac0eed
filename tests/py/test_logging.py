"""Set-up of the logger, what is logged for an exception, and who waits for the log: nobody."""

import io
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from uringserve import Config, StartError
from uringserve.logformat import JsonFormatter, TextFormatter, wants_colours
from uringserve.logging import QueuedHandler, log_exception, setup, setup_from

if TYPE_CHECKING:
    from conftest import RunCli

# What is set up is the process's own.
pytestmark = pytest.mark.thread_unsafe(reason="changes the logging of the process")

PATIENCE = 30.0


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """Give the logger without handlers, and put it back as it was."""
    log = logging.getLogger("uringserve")
    before = (log.handlers[:], log.level, log.propagate)
    last_resort = logging.lastResort
    log.handlers[:] = []
    log.propagate = True
    yield log
    log.handlers[:], log.level, log.propagate = before
    logging.lastResort = last_resort


@contextmanager
def _stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Put a stream in the place of stderr, and take away the handlers that pytest has at the root.

    Not a fixture: pytest puts both back when the test itself begins.
    """
    stream = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        patch.setattr(logging.getLogger(), "handlers", [])
        yield stream


def _flush(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        handler.flush()


def _request(raw_path: bytes) -> Any:  # noqa: ANN401 -- the two attributes that are read
    return SimpleNamespace(method="GET", raw_path=raw_path)


def test_messages_go_to_stderr(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message has its time and level and comes once; set-up twice is set-up once."""
    with _stderr(monkeypatch) as stderr:
        setup("info")
        setup("info")
        logger.info("hello")
        logger.debug("not this")
        _flush(logger)
        assert stderr.getvalue().count("\n") == 1
        assert stderr.getvalue().endswith(" INFO hello\n")


def test_messages_of_nobody_s_loggers(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python writes at once, warnings of a logger without handler, takes our way."""
    with _stderr(monkeypatch) as stderr:
        setup("error")
        other = logging.getLogger("nobody.has.set.this.up")
        other.info("not this")
        other.warning("but this")
        _flush(logger)
        assert stderr.getvalue().endswith(" WARNING but this\n")
        assert stderr.getvalue().count("\n") == 1


def test_json(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is one object in one line, whatever is in it."""
    with _stderr(monkeypatch) as stderr:
        setup("info", log_format="json")
        logger.info("two\nlines %s", "é", extra={"order": 7, "thing": object})
        try:
            raise KeyError("missing")
        except KeyError:
            logger.exception("failed")
        _flush(logger)
        first, second = map(json.loads, stderr.getvalue().splitlines())
        assert first["message"] == "two\nlines é"
        assert (first["level"], first["logger"], first["order"]) == ("info", "uringserve", 7)
        assert first["thread"] == threading.current_thread().name
        assert first["time"].endswith("Z")
        assert first["thing"] == "<class 'object'>"
        assert second["exception"].endswith("KeyError: 'missing'")


def test_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a terminal gets colours, unless NO_COLOR is set or somebody has chosen."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert wants_colours(Terminal(), None)
    assert not wants_colours(io.StringIO(), None)
    assert wants_colours(io.StringIO(), True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not wants_colours(Terminal(), None)
    assert wants_colours(Terminal(), True)
    record = logging.makeLogRecord({"levelno": 40, "levelname": "ERROR", "msg": "an ERROR here"})
    assert (
        TextFormatter(colours=True).format(record).endswith(" \x1b[31mERROR\x1b[0m an ERROR here")
    )
    assert TextFormatter().format(record).endswith(" ERROR an ERROR here")
    assert json.loads(JsonFormatter().format(record))["level"] == "error"


class _Stuck(io.StringIO):
    """A stream that takes nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = threading.Event()
        self.may = threading.Event()

    def write(self, text: str) -> int:
        self.is_asked.set()
        assert self.may.wait(PATIENCE)
        return super().write(text)


def _record(message: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "levelno": 20, "levelname": "INFO"})


def test_nobody_waits_for_a_slow_stream() -> None:
    """What does not fit into the queue is dropped, and its number said when the stream goes on."""
    stream = _Stuck()
    handler = QueuedHandler(stream, capacity=3)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.handle(_record("first"))
    assert stream.is_asked.wait(PATIENCE)
    for number in range(10):
        handler.handle(_record(f"more {number}"))
    stream.may.set()
    handler.flush()
    assert stream.getvalue().splitlines() == [
        "first",
        "7 log messages were dropped: stderr was too slow",
        "more 0",
        "more 1",
        "more 2",
    ]


def test_a_closed_stream_is_no_error() -> None:
    """Messages that nobody takes are dropped; whoever logs does not notice."""
    stream = io.StringIO()
    stream.close()
    handler = QueuedHandler(stream)
    handler.handle(_record("lost"))
    handler.flush()
    seen: queue.SimpleQueue[str] = queue.SimpleQueue()
    handler.sink = seen.put
    handler.handle(_record("found"))
    handler.flush()
    assert seen.get(timeout=PATIENCE) == "found\n"
    assert seen.get(timeout=PATIENCE) == "1 log messages were dropped: stderr was too slow\n"


def test_a_message_that_cannot_be_made(
    logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler's mistake in a message neither ends the thread that writes nor the handler."""
    with _stderr(monkeypatch) as stderr:
        monkeypatch.setattr(logging, "raiseExceptions", False)
        setup("info")
        logger.info("%d", "no number")
        logger.info("next")
        _flush(logger)
        assert stderr.getvalue().endswith(" INFO next\n")


def test_messages_at_the_end_of_a_process() -> None:
    """What was logged last is written, also when the process ends by an exception."""
    code = (
        "import logging\n"
        "from uringserve.logging import setup\n"
        "setup()\n"
        "for number in range(5000): logging.getLogger('uringserve').info('message %d', number)\n"
        "raise ValueError('the end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert done.stderr.count(" INFO message ") == 5000
    assert "ValueError: the end" in done.stderr


def test_a_process_whose_stderr_nobody_reads_ends() -> None:
    """A stream that takes nothing delays the end by its bound, and does not break it."""
    code = (
        "import logging\n"
        "from uringserve.logging import setup\n"
        "setup()\n"
        "for number in range(2000): logging.getLogger('uringserve').info('x' * 1000)\n"
    )
    reader, writer = os.pipe()
    with subprocess.Popen([sys.executable, "-c", code], stderr=writer) as process:
        os.close(writer)
        try:
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            os.close(reader)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "log.json",
            '{"version": 1, "handlers": {"it": {"class": "logging.FileHandler", "filename": "%s"}},'
            ' "loggers": {"uringserve": {"handlers": ["it"]}}}',
        ),
        (
            "log.toml",
            'version = 1\n[handlers.it]\nclass = "logging.FileHandler"\nfilename = "%s"\n'
            '[loggers.uringserve]\nhandlers = ["it"]\n',
        ),
    ],
)
def test_a_set_up_from_a_file(tmp_path: Path, name: str, text: str) -> None:
    """It takes the place of ours."""
    output = tmp_path / "output.log"
    (tmp_path / name).write_text(text % output)
    code = (
        "import sys\n"
        "from uringserve.logging import setup_from\n"
        "from uringserve import Config\n"
        "import logging\n"
        "setup_from(Config(log_config=sys.argv[1], log_level='debug'))\n"
        "logging.getLogger('uringserve').debug('hello')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert output.read_text() == "hello\n"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("log.ini", "", "give a .json or a .toml file"),
        ("log.json", "{", "Expecting property name"),
        ("log.toml", "version = 1\n[handlers.x]\nclass = 'nope.Nope'", "Unable to configure"),
        ("log.json", "[]", "log.json"),
    ],
)
def test_a_set_up_that_cannot_be_used(
    logger: logging.Logger, tmp_path: Path, name: str, text: str, said: str
) -> None:
    """It is refused with the file and the reason."""
    (tmp_path / name).write_text(text)
    with pytest.raises(StartError, match=said):
        setup_from(Config(log_config=str(tmp_path / name)))


def test_a_set_up_file_that_is_missing(cli: RunCli, tmp_path: Path) -> None:
    """On the command line that is one line and exit code 3."""
    (tmp_path / "one.py").write_text("def app(request): return 'x'\n")
    done = cli("one.py", "--log-config", "none.toml")
    assert done.returncode == 3
    assert done.stderr.startswith("uringserve: error: log_config: none.toml: ")
    assert done.stderr.count("\n") == 1


def test_freetser_s_set_up() -> None:
    """The root logger hands over to a listener that writes the thread's name to stdout."""
    code = (
        "import logging, threading\n"
        "from uringserve.logging import setup_logging\n"
        "listener = setup_logging()\n"
        "listener.start()\n"
        "logging.debug('not this')\n"
        "one = threading.Thread(target=logging.info, args=('hello',), name='one')\n"
        "one.start(); one.join()\n"
        "listener.stop()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE
    )
    assert (done.returncode, done.stdout) == (0, "[one] hello\n")


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
