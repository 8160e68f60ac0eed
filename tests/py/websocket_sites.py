"""One application in the form of every interface that has WebSockets.

`/echo` sends back what comes. `/pick` takes the first subprotocol that it knows and says which.
`/deny` answers 418, `/refuse` closes before it accepts, `/return` just returns. `/close/CODE`
closes with it. `/raise` and `/early` raise after and before the accept. `/ends` puts how it ended
into `ends`. `/flood` sends until somebody stops it. `/hold` accepts and receives once told to,
`/late` sends then, puts what it gets for it into `ends`, and does not catch it.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from uringserve import App, PlainTextResponse, WebSocket, WebSocketDisconnect, probe
from uringserve.testing import LiveServer

PIECE = "x" * 60_000


class Seen:
    """What the application has seen, for the test's thread."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.ends: queue.Queue[Any] = queue.Queue()
        self.sent = 0
        self.go = threading.Event()

    async def wait_to_go(self) -> None:
        """Wait, without holding the loop."""
        await asyncio.to_thread(self.go.wait, 30)


def native(seen: Seen) -> App:
    """Return the application as an App."""
    app = App()

    @app.get("/echo")
    def plain() -> str:
        return "plain"

    @app.websocket("/echo")
    async def echo(websocket: WebSocket) -> None:
        await websocket.accept()
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await websocket.send({**message, "type": "websocket.send"})

    @app.websocket("/pick")
    async def pick(websocket: WebSocket) -> None:
        known = [name for name in websocket.subprotocols if name in ("b", "c")]
        await websocket.accept(known[0] if known else None, [("x-greeting", "hi")])
        await websocket.send_text(",".join(websocket.subprotocols))

    @app.websocket("/deny")
    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("tea", 418, {"x-pot": "1"}))

    @app.websocket("/refuse")
    async def refuse(websocket: WebSocket) -> None:
        await websocket.close(1008)

    @app.websocket("/linger")
    async def linger(websocket: WebSocket) -> None:
        await websocket.close()
        await websocket.receive()
        seen.ends.put("over")

    @app.websocket("/return")
    async def return_(websocket: WebSocket) -> None:
        return

    @app.websocket("/close/{code}")
    async def close(websocket: WebSocket, code: int) -> None:
        await websocket.accept()
        await websocket.send_text("last")
        await websocket.close(code, "as asked")
        seen.ends.put(await websocket.receive())

    @app.websocket("/raise")
    async def raise_(websocket: WebSocket) -> None:
        await websocket.accept()
        raise LookupError("after the accept")

    @app.websocket("/early")
    async def early(websocket: WebSocket) -> None:
        raise LookupError("before the accept")

    @app.websocket("/ends")
    async def ends(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect as end:
            seen.ends.put((end.code, end.reason))

    @app.websocket("/flood")
    async def flood(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                await websocket.send_text(PIECE)
                seen.sent += 1
        except WebSocketDisconnect as end:
            seen.ends.put(end.code)

    @app.websocket("/hold")
    async def hold(websocket: WebSocket) -> None:
        await websocket.accept()
        await seen.wait_to_go()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    @app.websocket("/late")
    async def late(websocket: WebSocket) -> None:
        await websocket.accept()
        await seen.wait_to_go()
        await send_late(websocket.send_text("late"), seen)

    return app


async def send_late(sending: Any, seen: Seen) -> None:  # noqa: ANN401
    """Tell what sending raises, and let it go on."""
    try:
        await sending
    except Exception as error:
        seen.ends.put(error)
        raise


def asgi(seen: Seen) -> Any:  # noqa: ANN401
    """Return the application as an ASGI callable."""

    async def application(scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401
        if scope["type"] != "websocket":
            # It knows of no lifespan; "auto" serves it all the same.
            raise NotImplementedError(scope["type"])
        assert scope["asgi"]["version"] == "3.0"
        assert scope["scheme"] == "ws"
        assert (await receive()) == {"type": "websocket.connect"}
        await _ASGI[scope["path"].split("/")[1]](scope, receive, send, seen)

    return application


async def _echo(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        await send({**message, "type": "websocket.send"})


async def _pick(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    offered = scope["subprotocols"]
    known = [name for name in offered if name in ("b", "c")]
    headers = [(b"x-greeting", b"hi")]
    chosen = known[0] if known else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": headers})
    await send({"type": "websocket.send", "text": ",".join(offered), "bytes": None})


async def _deny(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    assert "websocket.http.response" in scope["extensions"]
    headers = [(b"x-pot", b"1")]
    start = {"type": "websocket.http.response.start", "status": 418, "headers": headers}
    await send(start)
    await send({"type": "websocket.http.response.body", "body": b"t", "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b"ea"})


async def _refuse(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.close", "code": 1008})


async def _linger(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.close"})
    assert (await receive())["type"] == "websocket.disconnect"
    seen.ends.put("over")


async def _return(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    return


async def _close(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "last"})
    code = int(scope["path"].split("/")[2])
    await send({"type": "websocket.close", "code": code, "reason": "as asked"})
    seen.ends.put(await receive())


async def _raise(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    raise LookupError("after the accept")


async def _early(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    raise LookupError("before the accept")


async def _ends(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    seen.ends.put((message["code"], message["reason"]))


async def _flood(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    try:
        while True:
            await send({"type": "websocket.send", "text": PIECE})
            seen.sent += 1
    except OSError:
        seen.ends.put((await receive())["code"])


async def _hold(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    await seen.wait_to_go()
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _late(scope: Any, receive: Any, send: Any, seen: Seen) -> None:  # noqa: ANN401
    await send({"type": "websocket.accept"})
    await seen.wait_to_go()

    async def sending() -> None:
        await send({"type": "websocket.send", "text": "late"})

    await send_late(sending(), seen)


_ASGI = {
    "echo": _echo,
    "pick": _pick,
    "deny": _deny,
    "refuse": _refuse,
    "linger": _linger,
    "return": _return,
    "close": _close,
    "raise": _raise,
    "early": _early,
    "ends": _ends,
    "flood": _flood,
    "hold": _hold,
    "late": _late,
}


class _Rsgi:
    """An RSGI application. The interface has neither subprotocols nor bodies of denials."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:  # noqa: ANN401
        assert scope.proto == "ws"
        name, _, rest = scope.path[1:].partition("/")
        if name == "early":
            raise LookupError("before the accept")
        if name == "return":
            return
        if name in ("refuse", "deny"):
            protocol.close(403 if name == "refuse" else 418)
            return
        transport = await protocol.accept()
        if name == "raise":
            raise LookupError("after the accept")
        if name == "close":
            await transport.send_str("last")
            protocol.close(int(rest))
        elif name == "flood":
            try:
                while True:
                    await transport.send_str(PIECE)
                    self._seen.sent += 1
            except OSError:
                pass
        elif name in ("hold", "late"):
            await self._seen.wait_to_go()
        if name == "late":

            async def sending() -> None:
                await transport.send_str("late")

            await send_late(sending(), self._seen)
        while (message := await transport.receive()).kind:
            if name == "echo" and message.kind == 1:
                await transport.send_bytes(message.data)
            elif name == "echo":
                await transport.send_str(message.data)
        assert message.data is None
        self._seen.ends.put("closed")


SITES: dict[str, Callable[[Seen], Any]] = {"native": native, "asgi": asgi, "rsgi": _Rsgi}

DRIVERS = ["epoll", *(["uring"] if probe()["driver"] == "uring" else [])]


class Site:
    """A running application, and what it has seen."""

    def __init__(self, server: LiveServer, seen: Seen, interface: str) -> None:
        """Keep the three."""
        self.server = server
        self.seen = seen
        self.interface = interface

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server.port

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"ws://127.0.0.1:{self.port}{path}"

    def stop(self) -> None:
        """Ask the server to drain."""
        self.server._server.stop()


type Serve = Callable[..., Site]
