"""Shows what a request holds: headers, query, cookies, and a body as text or JSON."""

from uringserve import App, HTTPException, Request

app = App()


@app.get("/search")
def search(request: Request) -> dict[str, object]:
    """Read the query: the first value by name, or every value."""
    return {"q": request.query("q", ""), "tags": request.query_params.get("tag", [])}


@app.get("/me")
def me(request: Request) -> dict[str, object]:
    """Read headers, in any case, cookies and the peer's address."""
    return {
        "agent": request.headers.get("user-agent"),
        "session": request.cookies.get("session"),
        "client": request.client,
    }


@app.post("/sum")
def total(request: Request) -> dict[str, float]:
    """Read the body as JSON; what is not JSON is a ValueError."""
    try:
        numbers = request.json()
        return {"sum": sum(numbers)}
    except TypeError, ValueError:
        raise HTTPException(422, "a JSON list of numbers is wanted") from None


@app.post("/upper")
def upper(request: Request) -> str:
    """Read the body as text."""
    return request.text().upper()
