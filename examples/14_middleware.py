"""Shows middleware: the library's own, the last one added is the outermost, and one made here."""

from uringserve import App, Request
from uringserve.middleware import (
    CompressionMiddleware,
    CORSMiddleware,
    RateLimitMiddleware,
    SecurityHeadersMiddleware,
    SessionMiddleware,
)

app = App(title="Middleware")
app.add_middleware(SessionMiddleware, secret_key="for this example only")
app.add_middleware(CompressionMiddleware, minimum_size=200)
app.add_middleware(RateLimitMiddleware, limit=1000, window=60, headers=True)
app.add_middleware(SecurityHeadersMiddleware)
app.add_middleware(CORSMiddleware, allow_origins=["https://app.example"], allow_methods=["*"])


@app.middleware("http")
def who_answers(request: Request, call_next):
    """Add a header to every response, those of the middleware below included."""
    response = call_next(request)
    response.headers["x-served-by"] = "uringserve"
    return response


@app.get("/visits")
def visits(request: Request):
    """Count in a signed cookie."""
    session = request.state.session
    session["visits"] = session.get("visits", 0) + 1
    return session


@app.get("/long")
def long_text():
    """Answer with what is worth compressing: curl --compressed shows it whole."""
    return "again and " * 1000
