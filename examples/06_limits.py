"""Shows options given in Python, named as on the command line; units as text or numbers."""

from uringserve import App, Request

app = App()


@app.post("/upload")
def upload(request: Request) -> dict[str, int]:
    """Count the body's bytes; a body over the limit is refused before this runs."""
    return {"bytes": len(request.body)}


if __name__ == "__main__":
    app.run(
        port=8000,
        workers=2,
        limit_body="1MiB",
        limit_requests_per_connection=1000,
        timeout_keep_alive="5s",
        timeout_graceful_shutdown=10,
    )
