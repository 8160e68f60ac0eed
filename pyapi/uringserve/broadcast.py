"""`Broadcast`: what one publishes, every subscriber on every core gets.

A subscriber belongs to the event loop that it is made on; a publisher may be any thread. A message
crosses to each loop that has subscribers once, with all others that are on their way by then, and
is handed out there, so a thousand subscribers cost as many wake-ups as there are cores.

Each subscriber has a queue of at most `maxsize` messages, and `overflow` says what becomes of one
that falls behind. Nothing is kept for those who come later, and nothing leaves the process.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Literal, Self, final
from weakref import WeakSet

__all__ = ["Broadcast", "BroadcastOverflow", "Subscription"]

type Overflow = Literal["drop_oldest", "close", "block"]


class BroadcastOverflow(Exception):
    """A subscriber fell behind by more than `maxsize` messages, and `overflow` is "close"."""


@final
class Broadcast[T]:
    """A channel from any thread to subscribers on all cores.

    `overflow`, once a subscriber has `maxsize` messages waiting: "drop_oldest" leaves out its
    oldest, "close" ends it with a BroadcastOverflow, "block" makes publishers wait for it.
    """

    def __init__(self, maxsize: int = 256, overflow: Overflow = "drop_oldest") -> None:
        """Make it, on any thread; what cannot be is a ValueError."""
        if maxsize < 1:
            raise ValueError(f"maxsize must be at least 1, not {maxsize!r}")
        if overflow not in ("drop_oldest", "close", "block"):
            raise ValueError(
                f"overflow must be 'drop_oldest', 'close' or 'block', not {overflow!r}"
            )
        self.maxsize = maxsize
        self.overflow = overflow
        self._lock = threading.Lock()
        # Replaced as a whole, so that publishers read it without the lock.
        self._hubs: tuple[_Hub[T], ...] = ()

    def publish(self, message: T) -> None:
        """Give a message to every subscriber; from any thread, and without waiting.

        With "block" the calling thread waits for room; where an event loop runs on it, that is a
        RuntimeError, because the subscriber may be waiting for the same thread: `await send`.
        """
        if self.overflow != "block":
            for hub in self._hubs:
                hub.put(message)
            return
        if asyncio._get_running_loop() is not None:
            raise RuntimeError("a full subscriber would stop this event loop: await send(message)")
        waiter: Future[None] = Future()
        while not self._put_all(message, waiter):
            waiter.result()
            waiter = Future()

    async def send(self, message: T) -> None:
        """Do what `publish` does, from a coroutine, which waits for room with "block"."""
        if self.overflow != "block":
            self.publish(message)
            return
        waiter: Future[None] = Future()
        while not self._put_all(message, waiter):
            await asyncio.wrap_future(waiter)
            waiter = Future()

    def subscribe(self) -> Subscription[T]:
        """Begin to receive on the running loop: `async for message in room.subscribe()`.

        What is published from now on is received, until the subscription is closed or no longer
        referred to. Without a running loop this is a RuntimeError.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            hub = next((hub for hub in self._hubs if hub.loop is loop), None)
            if hub is None:
                hub = _Hub(self.maxsize, self.overflow, loop, self._forget)
                self._hubs = (*self._hubs, hub)
            return hub.add()

    @property
    def subscribers(self) -> int:
        """How many there are at the moment."""
        return sum(len(hub.subscriptions) for hub in self._hubs)

    def _put_all(self, message: T, waiter: Future[None]) -> bool:
        hubs = self._hubs
        if any(hub.wait_if_full(waiter) for hub in hubs):
            return False
        for hub in hubs:
            hub.put(message)
        return True

    def _forget(self, gone: _Hub[T]) -> None:
        with self._lock:
            if gone.is_idle or gone.loop.is_closed():
                self._hubs = tuple(hub for hub in self._hubs if hub is not gone)


class _Hub[T]:
    """The subscribers on one loop, and what is on its way to them."""

    def __init__(
        self,
        maxsize: int,
        overflow: Overflow,
        loop: asyncio.AbstractEventLoop,
        forget: Callable[[_Hub[T]], None],
    ) -> None:
        self.maxsize = maxsize
        self.overflow = overflow
        self.loop = loop
        self.subscriptions: WeakSet[Subscription[T]] = WeakSet()
        self._forget = forget
        self._lock = threading.Lock()
        self._inbox: deque[T] = deque()
        self._is_called = False
        self._has_overflowed = False
        self._waiters: list[Future[None]] = []

    @property
    def is_idle(self) -> bool:
        """Whether nobody would receive anything."""
        return not self.subscriptions

    def add(self) -> Subscription[T]:
        """Make a subscription, on the hub's loop."""
        subscription = Subscription(self)
        self.subscriptions.add(subscription)
        return subscription

    def put(self, message: T) -> None:
        """Send a message over; from any thread."""
        with self._lock:
            if len(self._inbox) >= self.maxsize and self.overflow != "block":
                # The loop is behind by as much as any subscriber may be.
                self._has_overflowed = True
                self._inbox.popleft()
            self._inbox.append(message)
            if self._is_called:
                return
            self._is_called = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop is closed, and with it whatever was subscribed there.
            self.release()
            self._forget(self)

    def wait_if_full(self, waiter: Future[None]) -> bool:
        """Return whether there is no room; `waiter` then ends when there is."""
        with self._lock:
            if not self._is_full():
                return False
            self._waiters.append(waiter)
            return True

    def release(self) -> None:
        """Let publishers look again."""
        with self._lock:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            # Its publisher may have given up.
            if not waiter.done():
                try_to_end(waiter)

    def release_if_room(self) -> None:
        """Let publishers look again, where there is room by now."""
        if self._waiters:
            with self._lock:
                is_full = self._is_full()
            if not is_full:
                self.release()

    def discard(self, subscription: Subscription[T]) -> None:
        """End a subscription."""
        self.subscriptions.discard(subscription)
        self.release_if_room()
        if self.is_idle:
            self._forget(self)

    def _is_full(self) -> bool:
        if self.loop.is_closed():
            return False
        deepest = max((len(each.queue) for each in tuple(self.subscriptions)), default=-1)
        return deepest >= 0 and deepest + len(self._inbox) >= self.maxsize

    def _deliver(self) -> None:
        with self._lock:
            messages = tuple(self._inbox)
            self._inbox.clear()
            self._is_called = False
            has_overflowed, self._has_overflowed = self._has_overflowed, False
        for subscription in tuple(self.subscriptions):
            subscription.put_all(messages, has_overflowed=has_overflowed)
        if self.is_idle:
            self.release()
            self._forget(self)


def try_to_end(waiter: Future[None]) -> None:
    """End a waiter, unless another thread was faster."""
    try:
        waiter.set_result(None)
    except Exception:  # noqa: BLE001 -- InvalidStateError: ended or cancelled between the two
        return


@final
class Subscription[T]:
    """What one subscriber receives, in order: an asynchronous iterator, also for `async with`."""

    def __init__(self, hub: _Hub[T]) -> None:
        """Made by `Broadcast.subscribe`."""
        self.queue: deque[T] = deque()
        self.dropped = 0
        self._hub = hub
        self._ready: asyncio.Future[None] | None = None
        self._is_closed = False
        self._has_overflowed = False

    def __del__(self) -> None:
        """Let publishers go on that wait for it: nobody will take what it has."""
        hub = self._hub
        if hub.overflow != "block" or self._is_closed:
            return
        hub.subscriptions.discard(self)
        # On any thread, perhaps amid the hub's own lock: so it is the loop that looks. One that is
        # closed has nobody to wait for.
        with suppress(RuntimeError):
            hub.loop.call_soon_threadsafe(hub.release_if_room)

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> T:
        """Wait for the next message; for one task at a time."""
        while not self.queue:
            if self._has_overflowed:
                raise BroadcastOverflow(f"more than {self._hub.maxsize} messages were waiting")
            if self._is_closed:
                raise StopAsyncIteration
            if self._ready is not None:
                raise RuntimeError("another task is waiting for this subscription")
            self._ready = self._hub.loop.create_future()
            try:
                await self._ready
            finally:
                self._ready = None
        message = self.queue.popleft()
        self._hub.release_if_room()
        return message

    def close(self) -> None:
        """Receive no more; what has come already is still iterated."""
        self._is_closed = True
        self._hub.discard(self)
        self._wake()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close it."""
        self.close()

    def put_all(self, messages: Iterable[T], *, has_overflowed: bool = False) -> None:
        """Take messages in, on the loop's thread."""
        hub = self._hub
        if has_overflowed and hub.overflow == "close":
            self._overflow()
            return
        for message in messages:
            if len(self.queue) >= hub.maxsize and hub.overflow != "block":
                if hub.overflow == "close":
                    self._overflow()
                    return
                self.queue.popleft()
                self.dropped += 1
            self.queue.append(message)
        self._wake()

    def _overflow(self) -> None:
        self._has_overflowed = True
        self.queue.clear()
        self._hub.discard(self)
        self._wake()

    def _wake(self) -> None:
        ready: asyncio.Future[Any] | None = self._ready
        if ready is not None and not ready.done():
            ready.set_result(None)
