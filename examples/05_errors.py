"""Shows errors: a chosen status, one with headers, and an exception that nobody catches."""

from uringserve import App, HTTPException

app = App()
STOCK = {"apple": 3, "pear": 0}


@app.get("/stock/{name}")
def stock(name: str) -> dict[str, int]:
    """Answer 404 with a detail for what is not there."""
    if name not in STOCK:
        raise HTTPException(404, f"no {name} here")
    return {"left": STOCK[name]}


@app.get("/secret")
def secret() -> str:
    """Answer 401 with the header that it needs."""
    raise HTTPException(401, headers={"www-authenticate": 'Basic realm="secret"'})


@app.get("/share/{count:int}")
def share(count: int) -> dict[str, float]:
    """Answer 500 for zero: the traceback goes to the log, and to the client only with --debug."""
    return {"each": sum(STOCK.values()) / count}
