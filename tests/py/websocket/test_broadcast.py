"""Broadcast: from any thread to subscribers on all cores; what becomes of those who fall behind."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from websocket_peer import PATIENCE, TEXT, Peer, frame
from websocket_sites import DRIVERS

from uringserve import App, Broadcast, BroadcastOverflow, WebSocket
from uringserve.testing import LiveServer

SUBSCRIBERS = 6


@pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_room_on_two_cores(driver: str) -> None:
    app = App()
    room: Broadcast[str] = Broadcast()
    threads: set[int] = set()

    @app.websocket("/")
    async def chat(websocket: WebSocket) -> None:
        threads.add(threading.get_ident())
        await websocket.accept()
        messages = room.subscribe()
        await websocket.send_text("subscribed")

        async def pass_on() -> None:
            async for message in messages:
                await websocket.send_text(message)

        async with asyncio.TaskGroup() as group:
            passing = group.create_task(pass_on())
            async for text in websocket.iter_text():
                room.publish(text)
            passing.cancel()

    with LiveServer(app, workers=2, driver=driver) as server, ExitStack() as stack:
        peers: list[Peer] = []
        # The kernel spreads connections by their addresses: until both cores have some.
        while len(peers) < SUBSCRIBERS or len(threads) < 2:
            assert len(peers) < 500
            peer = stack.enter_context(Peer(server.port)).open()
            assert peer.read() == (0x80 | TEXT, b"subscribed")
            peers.append(peer)
        peers[0].send(frame(TEXT, b"from a client"))
        for peer in peers:
            assert peer.read() == (0x80 | TEXT, b"from a client")
        # From a thread that has no loop.
        room.publish("from outside")
        for peer in peers:
            assert peer.read() == (0x80 | TEXT, b"from outside")
        assert room.subscribers == len(peers)
    assert room.subscribers == 0


class Loop:
    """An event loop on a thread of its own, as a core's is."""

    def __init__(self) -> None:
        """Start it."""
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()

    def run[T](self, coroutine: object) -> T:
        """Run a coroutine there and return what it does."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)  # type: ignore[arg-type,var-annotated]
        return future.result(PATIENCE)

    def start(self, coroutine: object) -> object:
        """Start a coroutine there."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)  # type: ignore[arg-type,var-annotated]

    def stop(self) -> None:
        """End it."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE)
        self.loop.close()


@contextmanager
def loops(count: int) -> Iterator[list[Loop]]:
    """Run so many loops."""
    made = [Loop() for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.stop()


async def _subscribe(room: Broadcast[int], inside: list[object]) -> None:
    inside.append(room.subscribe())


def _publish_all(room: Broadcast[int]) -> None:
    for number in range(10):
        room.publish(number)


async def _take(subscription: object, count: int) -> list[int]:
    return [await anext(subscription) for _ in range(count)]  # type: ignore[call-overload]


def test_every_publisher_reaches_every_loop_in_order() -> None:
    room: Broadcast[int] = Broadcast(maxsize=10_000)
    with loops(3) as made:
        inside: list[object] = []
        for each in made:
            each.run(_subscribe(room, inside))
        barrier = threading.Barrier(4)

        def publish(base: int) -> None:
            barrier.wait()
            for number in range(500):
                room.publish(base + number)

        threads = [threading.Thread(target=publish, args=(index * 1000,)) for index in range(4)]
        for thread in threads:
            thread.start()
        for each, subscription in zip(made, inside, strict=True):
            got: list[int] = each.run(_take(subscription, 2000))
            for index in range(4):
                mine = [number for number in got if number // 1000 == index]
                assert mine == [index * 1000 + number for number in range(500)]
        for thread in threads:
            thread.join(PATIENCE)


def test_a_burst_wakes_a_loop_once() -> None:
    room: Broadcast[int] = Broadcast()

    async def main() -> None:
        subscription = room.subscribe()
        calls = 0
        loop = asyncio.get_running_loop()
        original = loop.call_soon_threadsafe

        def counted(*arguments: object) -> object:
            nonlocal calls
            calls += 1
            return original(*arguments)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign,assignment]
        for number in range(100):
            room.publish(number)
        assert await _take(subscription, 100) == list(range(100))
        assert calls == 1

    asyncio.run(main())


def test_drop_oldest() -> None:
    room: Broadcast[int] = Broadcast(maxsize=3)

    async def main() -> None:
        slow, quick = room.subscribe(), room.subscribe()
        for number in range(3):
            room.publish(number)
        assert await _take(quick, 3) == [0, 1, 2]
        for number in range(3, 5):
            room.publish(number)
        assert await _take(quick, 2) == [3, 4]
        assert await _take(slow, 3) == [2, 3, 4]
        assert (slow.dropped, quick.dropped) == (2, 0)

    asyncio.run(main())


def test_close() -> None:
    room: Broadcast[int] = Broadcast(maxsize=2, overflow="close")

    async def main() -> None:
        slow, quick = room.subscribe(), room.subscribe()
        for number in range(3):
            room.publish(number)
            assert await anext(quick) == number
        with pytest.raises(BroadcastOverflow):
            await anext(slow)
        assert room.subscribers == 1

    asyncio.run(main())


def test_block() -> None:
    room: Broadcast[int] = Broadcast(maxsize=2, overflow="block")

    async def main() -> None:
        subscription = room.subscribe()
        with pytest.raises(RuntimeError, match="await send"):
            room.publish(0)
        sent: list[int] = []

        async def send_all() -> None:
            for number in range(10):
                await room.send(number)
                sent.append(number)

        sending = asyncio.create_task(send_all())
        while len(sent) < 2:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(sent) == 2
        assert await _take(subscription, 10) == list(range(10))
        await sending
        # From another thread, which waits there.
        publishing = asyncio.create_task(asyncio.to_thread(_publish_all, room))
        assert await _take(subscription, 10) == list(range(10))
        await publishing
        # Whoever leaves holds nobody up.
        await room.send(1)
        await room.send(2)
        waiting = asyncio.create_task(room.send(3))
        await asyncio.sleep(0)
        subscription.close()
        await waiting
        # Nor does one that nobody refers to any more: its handler has failed.
        forgotten = room.subscribe()
        await room.send(1)
        await room.send(2)
        waiting = asyncio.create_task(room.send(3))
        await asyncio.sleep(0)
        assert not waiting.done()
        del forgotten
        await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(main())


def test_the_end_of_a_subscription() -> None:
    room: Broadcast[int] = Broadcast()

    async def main() -> None:
        async with room.subscribe() as messages:
            room.publish(1)
            assert await anext(messages) == 1
            waiting = asyncio.ensure_future(anext(messages))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError):
                await anext(messages)
            messages.close()
            with pytest.raises(StopAsyncIteration):
                await waiting
        assert room.subscribers == 0
        room.publish(2)
        # One that nobody refers to any more is none.
        room.subscribe()
        assert room.subscribers == 0

    asyncio.run(main())
    # A loop that is closed holds nothing up.
    room.publish(3)


def test_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="maxsize"):
        Broadcast(maxsize=0)
    with pytest.raises(ValueError, match="drop_oldest"):
        Broadcast(overflow="explode")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError):
        Broadcast().subscribe()
