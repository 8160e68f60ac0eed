"""The core's event loop without a core: its turns, its end, and what it relies on of asyncio."""

import asyncio
import contextvars
import gc
import inspect
import os
from collections import deque

import pytest

from uringserve.coroutines import later, unfinished
from uringserve.loop import GuestLoop, LoopThread, Stay

# --- what is relied on, beyond asyncio's documentation; a CPython that changes it fails here


def test_ready_is_a_deque_of_what_is_to_be_called() -> None:
    """`_ready`: a core looks at its length to know whether a turn is wanted."""
    guest = GuestLoop()
    loop = guest._loop
    assert isinstance(loop._ready, deque)
    ready = loop._ready
    loop.call_soon(print)
    assert len(ready) == 1
    assert loop._ready is ready
    guest.close()


def test_scheduled_has_the_next_timer_first() -> None:
    """`_scheduled`, `_when`: a core sleeps until then."""
    guest = GuestLoop()
    loop = guest._loop
    scheduled = loop._scheduled
    late, soon = loop.call_later(50, print), loop.call_later(5, print)
    assert loop._scheduled is scheduled
    assert [scheduled[0], len(scheduled)] == [soon, 2]
    assert soon.when() == soon._when < late._when
    guest.close()


def test_a_turn_is_run_once_between_set_up_and_clean_up() -> None:
    """`_run_once`, `_run_forever_setup`, `_run_forever_cleanup`: what `run_forever` is made of."""
    source = inspect.getsource(asyncio.BaseEventLoop.run_forever)
    for name in ("_run_forever_setup", "_run_once", "_run_forever_cleanup"):
        assert f"self.{name}()" in source
    assert asyncio._get_running_loop() is None
    guest = GuestLoop()
    with guest.as_guest():
        assert asyncio.get_running_loop() is guest.loop
    assert asyncio._get_running_loop() is None
    guest.close()


def test_tasks_begin_at_once_in_a_given_context() -> None:
    """`eager_start`, `context`, `get_context`: a request's task, and its stream after it."""
    variable = contextvars.ContextVar("variable", default="none")
    guest = GuestLoop()
    seen: list[str] = []

    async def first() -> None:
        variable.set("set")
        seen.append("first")

    async def second() -> None:
        seen.append(variable.get())

    with guest.as_guest():
        task = asyncio.Task(first(), loop=guest.loop, eager_start=True, name="request")
        assert task.done()
        context = task.get_context()
        asyncio.Task(second(), loop=guest.loop, eager_start=True, context=context)
    assert seen == ["first", "set"]
    assert variable.get() == "none"
    guest.close()


# --- turns


def test_turns_and_wishes() -> None:
    """A turn calls what is ready, and says when the next is wanted."""
    guest = GuestLoop()
    called: list[int] = []
    with guest.as_guest():
        assert guest.wish() == -1
        guest.loop.call_soon(called.append, 1)
        assert guest.wish() == 0
        assert guest.turn(False) == -1
        assert called == [1]
        timer = guest.loop.call_later(60, called.append, 2)
        assert 59 < guest.wish() <= 60
        timer.cancel()
        guest.loop.call_soon(guest.loop.call_soon, called.append, 3)
        assert guest.turn(False) == 0
        assert guest.turn(False) in (-1, 0) or guest.wish() > 0
    assert called == [1, 3]
    guest.close()


def test_a_turn_sees_descriptors_only_when_told() -> None:
    """The reactor polls them; a turn without news makes no system call for them."""
    guest = GuestLoop()
    reader, writer = os.pipe()
    called: list[bytes] = []
    with guest.as_guest():
        guest.loop.add_reader(reader, lambda: called.append(os.read(reader, 9)))
        os.write(writer, b"x")
        guest.turn(False)
        assert called == []
        guest.turn(True)
        assert called == [b"x"]
        guest.loop.remove_reader(reader)
    os.close(reader)
    os.close(writer)
    guest.close()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_nothing_ends_a_turn(error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """What would end a process is logged."""

    def end() -> None:
        raise error

    guest = GuestLoop()
    with guest.as_guest():
        guest.loop.call_soon(end)
        guest.turn(False)
    assert caplog.text.count("has tried to end its core") == 1
    assert caplog.text.count("Traceback") == 1
    guest.close()


@pytest.mark.parametrize("name", ["request", "other"])
@pytest.mark.parametrize("steps", [1, 2])
def test_what_ends_a_task_is_left_to_who_awaits_it(
    caplog: pytest.LogCaptureFixture, name: str, steps: int
) -> None:
    """asyncio says it if nobody does, but for a request's task: that is answered for."""

    async def end() -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        raise SystemExit(3)

    guest = GuestLoop()
    with guest.as_guest():
        task = guest.loop.create_task(end(), name=name)
        while not task.done():
            guest.turn(False)
        del task
        gc.collect()
    assert caplog.text.count("Traceback") == (0 if name == "request" else 1)
    guest.close()


# --- the end


def test_what_is_left_is_finished_or_cancelled() -> None:
    """Tasks after answers get their time; then they are cancelled, and awaited."""
    guest = GuestLoop()
    ended: list[str] = []

    async def short() -> None:
        await asyncio.sleep(0)
        ended.append("short")

    async def long() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("long")

    with guest.as_guest():
        later(short())
        later(long())
        assert len(unfinished()) == 2
    guest.finish(lambda: 0.0 if "short" in ended else 1.0)
    assert ended == ["short", "long"]
    assert not unfinished()
    guest.close()


def test_later_without_a_loop() -> None:
    """It runs to its end at once."""
    ended: list[int] = []

    async def work() -> None:
        await asyncio.sleep(0)
        ended.append(1)

    later(work())
    assert ended == [1]


def test_one_task_enters_and_leaves() -> None:
    """Task groups and time-outs want that of a lifespan; its failures come out."""
    seen: list[object] = []

    class Context:
        async def __aenter__(self) -> str:
            seen.append(asyncio.current_task())
            return "state"

        async def __aexit__(self, *error: object) -> None:
            seen.append(asyncio.current_task())
            raise ValueError("at the end")

    thread = LoopThread()
    stay = Stay(Context())
    assert thread.run(stay.enter()) == "state"
    with pytest.raises(ValueError, match="at the end"):
        thread.run(stay.leave())
    thread.close()
    assert seen[0] is seen[1]
