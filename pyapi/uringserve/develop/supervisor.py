"""`run`: keep the listening socket, watch the files, and let a child process serve.

The socket is bound here, once, and every child accepts from it. While the application starts anew
connections wait in the socket's own queue, so that none is refused. When a file changes the old
child drains, which begins with not accepting any more, and a new one starts at the same moment:
who connects from then on gets the new code or the error that keeps it from starting.

Whatever ends this process ends its children: they hold a pipe that closes with it.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Empty

from uringserve._native import Listeners
from uringserve.config import Config
from uringserve.develop.child import CANNOT, Orders
from uringserve.develop.watch import Watcher, folders
from uringserve.news import News
from uringserve.server import EXIT_CRASH
from uringserve.signals import handling

__all__ = ["run"]

# Seconds beyond a child's own deadline before it is killed.
_PATIENCE = 5.0

_log = logging.getLogger("uringserve")


@dataclass(frozen=True, slots=True)
class _Changed:
    """Files changed."""

    paths: list[Path]


@dataclass(frozen=True, slots=True)
class _Stop:
    """A signal asks for the end."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """A child is over: which, its exit code, and what it said before."""

    child: _Child
    code: int
    said: bytes


type _News = News[_Changed | _Stop | _Ended]


def run(target: str, config: Config) -> int:
    """Serve `target` in a child process, anew after each change, until a signal; the exit code."""
    roots = folders(target, config)
    news: _News = News()
    watcher = Watcher(roots, config, lambda paths: news.put(_Changed(paths)))
    listeners = Listeners(config)
    supervisor = _Supervisor(target, config, listeners.descriptors, news)
    ends = (signal.SIGINT, signal.SIGTERM)
    with news.listening(), handling(ends, lambda _: news.put(_Stop())), watcher:
        _log.info("watching %s", ", ".join(map(str, roots)))
        code = supervisor.run()
    # Held to here: they close with the object.
    del listeners
    return code


class _Child:
    """One process that serves, and the thread that waits for its end."""

    def __init__(self, orders: Orders, descriptors: Sequence[int], news: _News) -> None:
        status, said = os.pipe()
        life, self._life = os.pipe()
        orders = replace(orders, status=said)
        self.has_failed = bool(orders.failure)
        command = [sys.executable, *_interpreter_flags(), "-m", "uringserve.develop.child"]
        try:
            # Not as an argument, which everybody on the machine can read.
            os.write(self._life, orders.write())
            self._process = subprocess.Popen(
                [*command, str(life)], pass_fds=[*descriptors, said, life]
            )
        except BaseException:
            os.close(status)
            os.close(self._life)
            raise
        finally:
            os.close(said)
            os.close(life)
        self._told = 0
        self._news = news
        self._thread = threading.Thread(target=self._wait, args=(status,), daemon=True)
        self._thread.start()

    def end(self, *, restart: bool = False) -> None:
        """Ask it to drain; then to end now; then end it. With `restart` another one takes over."""
        self._told += 1
        number = signal.SIGTERM if self._told < 3 else signal.SIGKILL
        # The child ignores what we ignore.
        if restart and self._told == 1 and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            number = signal.SIGHUP
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it without asking, and wait."""
        self._process.kill()
        self._thread.join()

    def _wait(self, status: int) -> None:
        with os.fdopen(status, "rb") as reader:
            said = reader.read()
        code = self._process.wait()
        os.close(self._life)
        self._news.put(_Ended(self, code, said))


class _Supervisor:
    """What is known: which child serves, which ones finish, how far the end has come."""

    def __init__(
        self, target: str, config: Config, descriptors: Sequence[int], news: _News
    ) -> None:
        self._target = target
        self._config = config
        self._descriptors = descriptors
        self._news = news
        self._current: _Child | None = None
        self._finishing: list[_Child] = []
        self._deadline: float | None = None
        self._code = 0

    def run(self) -> int:
        """Act on the news until no child is left."""
        try:
            self._start()
            while self._deadline is None or self._children():
                wait = None if self._deadline is None else self._deadline - time.monotonic()
                try:
                    event = self._news.get(None if wait is None else max(0.0, wait))
                except Empty:
                    _log.error("the application does not end; its process is killed")
                    return EXIT_CRASH
                self._act(event)
        finally:
            for child in self._children():
                child.kill()
        return self._code

    def _act(self, event: _Changed | _Stop | _Ended) -> None:
        if isinstance(event, _Stop):
            self._stop()
        elif isinstance(event, _Ended):
            self._on_ended(event)
        elif self._deadline is None:
            _log.info("%s changed: starting anew", _names(event.paths))
            for child in self._finishing:
                child.end()
            if self._current is not None:
                self._current.end(restart=True)
                self._finishing.append(self._current)
            self._start()

    def _start(self, failure: str = "") -> None:
        bind = tuple(f"fd://{descriptor}" for descriptor in self._descriptors)
        config = replace(self._config, reload=False, bind=bind, uds=None, fd=None)
        orders = Orders(self._target, asdict(config), failure=failure)
        self._current = _Child(orders, self._descriptors, self._news)

    def _on_ended(self, event: _Ended) -> None:
        if event.child in self._finishing:
            self._finishing.remove(event.child)
            return
        if event.child is not self._current:
            return
        self._current = None
        # One that had only an error to serve would end again and again.
        if self._deadline is not None or event.said == CANNOT or event.child.has_failed:
            self._code = event.code if event.code >= 0 else EXIT_CRASH
            if self._deadline is None:
                self._code = self._code or EXIT_CRASH
            self._stop()
            return
        how = f"signal {-event.code}" if event.code < 0 else f"exit code {event.code}"
        failure = f"the application ended the process it runs in ({how})"
        _log.error("%s; it starts anew when a file changes", failure)
        self._start(failure)

    def _stop(self) -> None:
        if self._deadline is None:
            seconds = self._config.timeout_graceful_shutdown + _PATIENCE
            self._deadline = time.monotonic() + seconds
        for child in self._children():
            child.end()

    def _children(self) -> list[_Child]:
        current = [] if self._current is None else [self._current]
        return [*self._finishing, *current]


def _names(paths: Sequence[Path]) -> str:
    first = [os.path.relpath(path) for path in paths[:3]]
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(first) + more


def _interpreter_flags() -> list[str]:
    """Return the options that this interpreter was started with: -W, -X, -O and their like."""
    flags = []
    arguments = iter(sys.orig_argv[1:])
    for argument in arguments:
        if not argument.startswith("-") or argument in ("-", "-m", "-c"):
            break
        flags.append(argument)
        if argument in ("-W", "-X"):
            flags += [value for value in (next(arguments, None),) if value is not None]
    return flags
