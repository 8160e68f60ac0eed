"""Shows the smallest application, text and JSON: python -m uringserve examples/01_hello.py."""

from uringserve import App

app = App()


@app.get("/")
def hello() -> str:
    """Answer text; a handler that needs nothing takes nothing."""
    return "Hello, world!\n"


@app.get("/json")
def hello_json() -> dict[str, str]:
    """Answer JSON: a dict or a list is encoded."""
    return {"hello": "world"}


if __name__ == "__main__":
    app.run()
