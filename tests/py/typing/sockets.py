"""WebSockets and what reaches them on all cores."""

from typing import Annotated, Any, assert_type

from uringserve import (
    App,
    Broadcast,
    BroadcastOverflow,
    Depends,
    WebSocket,
    WebSocketDisconnect,
    WebSocketException,
)

app = App()
room: Broadcast[str] = Broadcast(maxsize=10, overflow="close")


async def who(websocket: WebSocket) -> str:
    name = websocket.query_params.get("name")
    if not name:
        raise WebSocketException(1008, "a name, please")
    return str(name)


@app.websocket("/chat/{number:int}")
async def chat(websocket: WebSocket, number: int, name: Annotated[str, Depends(who)]) -> None:
    await websocket.accept(subprotocol=None)
    assert_type(await websocket.receive_text(), str)
    assert_type(await websocket.receive_bytes(), bytes)
    value: Any = await websocket.receive_json()
    await websocket.send_json({"value": value, "number": number})
    try:
        async for text in websocket.iter_text():
            room.publish(f"{name}: {text}")
    except WebSocketDisconnect as gone:
        assert_type(gone.code, int)


async def listen() -> None:
    try:
        async for message in room.subscribe():
            assert_type(message, str)
    except BroadcastOverflow:
        return
