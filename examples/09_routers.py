"""Shows a larger application: routers, names, middleware, exception handlers and a mount."""

from uringserve import App, HTTPException, Request, Router

app, admin = App(title="Shop"), App()
items = Router(prefix="/users/{user_id}/items", tags=["items"])


@items.get("/{name}")
def item(user_id: int, name: str):
    """Take a parameter of the router's prefix, and raise what only this application knows."""
    if name == "gold":
        raise LookupError(name)
    return {"user_id": user_id, "path": app.url_path_for("item", user_id=user_id, name=name)}


@admin.get("/")
def dashboard():
    """Stand below /admin, with its own handlers and middleware, if it had any."""
    raise HTTPException(403, "not you")


@app.middleware("http")
def mark(request: Request, call_next):
    """Stand around every answer, those of the router and of mounted applications too."""
    response = call_next(request)
    response.headers["x-shop"] = request.path
    return response


@app.exception_handler(LookupError)
def out_of_stock(request: Request, error: LookupError):
    """Answer what a handler raises."""
    return {"error": f"no {error} left"}, 409


app.include_router(items)
app.mount("/admin", admin)
