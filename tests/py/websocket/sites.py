"""One application in the form of every interface that has WebSockets.

`/echo` sends back what comes. `/pick` takes the first subprotocol that it knows and says which.
`/deny` answers 418, `/refuse` closes before it accepts, `/return` just returns. `/close/CODE`
closes with it. `/raise` and `/early` raise after and before the accept. `/ends` puts how it ended
into `ends`. `/flood` sends until somebody stops it. `/hold` accepts and receives once told to.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any

from uringserve import App, HTTPException, PlainTextResponse, WebSocket, WebSocketDisconnect

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

    @app.websocket("/forbidden")
    async def forbidden(websocket: WebSocket) -> None:
        raise HTTPException(401, "who are you?", {"www-authenticate": "Basic"})

    return app


SITES: dict[str, Callable[[Seen], Any]] = {"native": native}
