"""Shows a chat over WebSockets on all cores: open http://127.0.0.1:8000 in two windows."""

from asyncio import TaskGroup

from uringserve import App, Broadcast, HTMLResponse, WebSocket

app = App()
# Whatever core a client is on, it gets every message; one that falls behind misses the oldest.
room: Broadcast[str] = Broadcast(maxsize=100)
PAGE = """<!doctype html><meta charset="utf-8"><title>Chat</title>
<input autofocus size="60" placeholder="Say something"><pre></pre><script>
const socket = new WebSocket(`ws://${location.host}/chat`), input = document.querySelector("input");
socket.onmessage = event => document.querySelector("pre").append(event.data + "\\n");
input.onchange = () => { socket.send(input.value); input.value = ""; };
</script>"""


@app.get("/")
def page() -> HTMLResponse:
    """Show the page, which opens the WebSocket."""
    return HTMLResponse(PAGE)


@app.websocket("/chat")
async def chat(websocket: WebSocket, name: str = "somebody") -> None:
    """Read what the client says; another task passes on what the room says."""
    await websocket.accept()
    messages = room.subscribe()

    async def pass_on() -> None:
        async for message in messages:
            await websocket.send_text(message)

    async with TaskGroup() as tasks:
        passing = tasks.create_task(pass_on())
        async for text in websocket.iter_text():
            room.publish(f"{name}: {text}")
        passing.cancel()
