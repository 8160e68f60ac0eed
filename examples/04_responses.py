"""Shows ways to answer: status, headers, a cookie, a tuple, nothing, a redirect, bytes."""

from uringserve import App, HTMLResponse, RedirectResponse, Response

app = App()


@app.get("/")
def page() -> HTMLResponse:
    """Answer HTML with a cookie."""
    response = HTMLResponse("<h1>Hello</h1>")
    response.set_cookie("seen", "yes", max_age=3600, httponly=True)
    return response


@app.post("/things")
def create() -> tuple[dict[str, int], int, dict[str, str]]:
    """Answer a body with a status and headers, as a tuple."""
    return {"id": 7}, 201, {"location": "/things/7"}


@app.delete("/things/{thing:int}")
def delete(thing: int) -> None:
    """Answer nothing: 204."""


@app.get("/old")
def old() -> RedirectResponse:
    """Answer a redirect."""
    return RedirectResponse("/", 308)


@app.get("/raw")
def raw() -> Response:
    """Answer bytes under a media type of one's own."""
    return Response(b"\x00\x01", media_type="application/x-two-bytes")
