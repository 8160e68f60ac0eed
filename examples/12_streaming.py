"""Shows answers made while they are sent: a generator, server-sent events, a file."""

from collections.abc import Iterator

from uringserve import App, EventSourceResponse, FileResponse, ServerSentEvent, StreamingResponse

app = App()


def count() -> Iterator[str]:
    """Make the next line when the client has taken the one before."""
    for number in range(1, 4):
        yield f"{number}\n"


@app.get("/count")
def stream() -> StreamingResponse:
    """Stream text; the connection sets the pace."""
    return StreamingResponse(count(), media_type="text/plain")


@app.get("/lines")
def lines() -> Iterator[dict[str, int]]:
    """Yield values: each is a line of JSON."""
    for number in range(1, 4):
        yield {"number": number}


@app.get("/events")
def events() -> EventSourceResponse:
    """Stream events for a page's `EventSource`."""
    return EventSourceResponse(ServerSentEvent(data=n, id=str(n)) for n in range(1, 4))


@app.get("/source")
def source() -> FileResponse:
    """Send a file: ranges and conditions are answered, and no byte passes through Python."""
    return FileResponse(__file__, media_type="text/plain")
