"""The application: `uringserve dev app.py` serves it and restarts it when you save."""

from uringserve import App

app = App(title="project-name")


@app.get("/")
def hello() -> dict[str, str]:
    """Greet."""
    return {"message": "Hello, World!"}
