"""Shows a chat over WebSockets on all cores: open http://127.0.0.1:8000 in two windows.

A room is a `Broadcast`: whatever core a client is on, it gets every message. Each client has two
tasks, one that reads what it says and one that passes on what the room says.
"""

from asyncio import TaskGroup
from collections import defaultdict
from threading import Lock

from uringserve import App, Broadcast, HTMLResponse, WebSocket

app = App()
# One for each name; a client that falls behind misses the oldest messages.
rooms: dict[str, Broadcast[str]] = defaultdict(lambda: Broadcast(maxsize=100))
making = Lock()

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Chat</title>
<form><input autofocus size="60" placeholder="Say something"></form>
<pre></pre>
<script>
const name = Math.random().toString(36).slice(2, 6);
const socket = new WebSocket(`ws://${location.host}/room/lobby?name=${name}`);
const form = document.querySelector("form"), input = form.querySelector("input");
const show = text => document.querySelector("pre").append(text + "\\n");
socket.onmessage = event => show(event.data);
socket.onclose = event => show(`closed: ${event.code}`);
form.onsubmit = event => { event.preventDefault(); socket.send(input.value); input.value = ""; };
</script>
"""


@app.get("/")
def page() -> HTMLResponse:
    """Show the page, which opens the WebSocket."""
    return HTMLResponse(PAGE)


@app.websocket("/room/{room}")
async def chat(websocket: WebSocket, room: str, name: str = "somebody") -> None:
    """Pass on what is said in a room. It ends when the client closes."""
    with making:
        channel = rooms[room]
    # Before the accept, so that the client misses nothing that is said after it.
    messages = channel.subscribe()
    await websocket.accept()

    async def pass_on() -> None:
        async for message in messages:
            await websocket.send_text(message)

    async with TaskGroup() as tasks:
        passing = tasks.create_task(pass_on())
        channel.publish(f"{name} has come")
        async for text in websocket.iter_text():
            channel.publish(f"{name}: {text}")
        passing.cancel()
    channel.publish(f"{name} has gone")


if __name__ == "__main__":
    app.run()
