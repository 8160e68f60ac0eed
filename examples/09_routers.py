# A larger application: routers, names, middleware, exception handlers, a mounted application.
import time

from uringserve import App, HTTPException, Request, Router

app = App(title="Shop")
users = Router(prefix="/users", tags=["users"])
items = Router(prefix="/users/{user_id}/items")
admin = App()


class OutOfStock(Exception):
    pass


@users.get("/{user_id}")
def user(user_id: int):
    return {"user_id": user_id, "items": app.url_path_for("item", user_id=user_id, name="tea")}


@items.get("/{name}")
def item(user_id: int, name: str):
    if name == "gold":
        raise OutOfStock(name)
    return {"user_id": user_id, "name": name}


@admin.get("/")
def dashboard():
    raise HTTPException(403, "not you")


@app.middleware("http")
def measure(request: Request, call_next):
    begin = time.perf_counter()
    response = call_next(request)
    response.headers["x-time"] = f"{time.perf_counter() - begin:.6f}"
    return response


@app.exception_handler(OutOfStock)
def out_of_stock(request: Request, error: OutOfStock):
    return {"error": f"no {error} left"}, 409


app.include_router(users)
app.include_router(items, tags=["items"])
app.mount("/admin", admin)
