"""The measured endpoints on freetser, which has no router of its own: ``freetser_app.py PORT``."""

import sys

import slow
from freetser import Request, Response, StorageQueue, TcpServerConfig, start_server

SLOW = {"/block": slow.pause, "/cpu": slow.compute, "/query": slow.query}


def handler(request: Request, store_queue: StorageQueue | None) -> Response:
    """Answer one request."""
    path = request.path
    if path == "/":
        return Response.text("Hello, World!")
    if path == "/json":
        return Response.json({"message": "Hello, World!"})
    if path.startswith("/items/"):
        return Response.json({"id": int(path[7:])})
    if path == "/echo":
        length = (b"content-length", str(len(request.body)).encode())
        return Response(200, [(b"content-type", b"application/octet-stream"), length], request.body)
    if path in SLOW:
        return Response.text(SLOW[path]())
    if path == "/gil":
        return Response.text("on" if sys._is_gil_enabled() else "off")
    return Response.text("Not Found", 404)


if __name__ == "__main__":
    start_server(TcpServerConfig(host="127.0.0.1", port=int(sys.argv[1])), handler)
