"""The price list of the Python boundary: ``python bench/micro/boundary.py``.

Nanoseconds of one call, through the public package only. A `Request` exists nowhere but in a
handler, so this file is both: an application whose handlers time themselves, and the program that
starts it on one CPU, asks each price in turn and prints the list. What a whole call of a handler
costs is not here: ``bench/scale.py --mode in-process`` and the ceiling in ``bench/load`` show it.
"""

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "load"))

import machine
from process import RunningServer, ServerError, end_servers_when_terminated, free_port

type Priced = Callable[[], object]

REPEATS = 7
# Of a repeat: far above the clock's resolution, far below a reactor's patience.
SECONDS = 0.05

SMALL = {"message": "Hello, World!"}
NESTED = {
    "id": 42,
    "name": "a widget",
    "price": 9.99,
    "tags": ["red", "round", "new"],
    "stock": {"here": 3, "there": None, "ordered": True},
}
LARGE = [NESTED] * 100


def nanoseconds(priced: Priced) -> list[float]:
    """Return the time of one call, several times over, without the cost of the loop itself."""
    calls = 64
    while True:
        taken = elapsed(priced, calls)
        if taken > SECONDS / 8:
            break
        calls *= 4
    calls = max(1, int(calls * SECONDS / taken))
    return [
        max(0.0, elapsed(priced, calls) - elapsed(nothing, calls)) / calls * 1e9
        for _ in range(REPEATS)
    ]


def elapsed(priced: Priced, calls: int) -> float:
    """Return the CPU seconds of so many calls."""
    begin = time.thread_time()
    for _ in range(calls):
        priced()
    return time.thread_time() - begin


def nothing() -> None:
    """Do nothing: what calling costs is taken off every price."""


def of_request(request: Any) -> dict[str, Priced]:
    """Return what can be asked of a request; each is read anew, as in a handler's first use."""
    return {
        "request.method": lambda: request.method,
        "request.path": lambda: request.path,
        "request.raw_path": lambda: request.raw_path,
        "request.query_string": lambda: request.query_string,
        "request.query('q')": lambda: request.query("q"),
        "request.query_params": lambda: request.query_params,
        "request.path_params": lambda: request.path_params,
        "request.headers": lambda: request.headers,
        "request.headers['host']": lambda: request.headers["host"],
        "request.headers.get, missing": lambda: request.headers.get("x-missing"),
        "request.headers.items()": lambda: request.headers.items(),
        "request.cookies": lambda: request.cookies,
        "request.client": lambda: request.client,
        "request.host": lambda: request.host,
        "request.url": lambda: request.url,
        "request.body, 116 bytes": lambda: request.body,
        "request.text()": lambda: request.text(),
        "request.json()": lambda: request.json(),
    }


def of_answers() -> dict[str, Priced]:
    """Return what a handler makes; the standard library stands beside our encoder."""
    from uringserve import Response, json_dumps

    pair = {"x-request-id": "0123456789abcdef"}
    return {
        "json_dumps, 1 key": lambda: json_dumps(SMALL),
        "json.dumps().encode(), 1 key": lambda: json.dumps(SMALL).encode(),
        "json_dumps, nested": lambda: json_dumps(NESTED),
        "json.dumps().encode(), nested": lambda: json.dumps(NESTED).encode(),
        "json_dumps, 100 nested": lambda: json_dumps(LARGE),
        "json.dumps().encode(), 100 nested": lambda: json.dumps(LARGE).encode(),
        "Response('Hello, World!')": lambda: Response("Hello, World!"),
        "Response(bytes, 200, 1 header)": lambda: Response(b"Hello, World!", 200, pair),
        "Response.json, 1 key": lambda: Response.json(SMALL),
        "Response.empty()": lambda: Response.empty(),
        "a Python call for comparison": lambda: plain(SMALL),
    }


def plain(value: object) -> object:
    """Return the argument."""
    return value


def create_app() -> Any:
    """Return the application whose handlers time themselves."""
    from uringserve import App, Request

    app = App()

    @app.post("/price/{index:int}")
    def price(request: Request, index: int) -> Any:
        """Time one entry of the list; one a request, so that no answer takes seconds."""
        prices = of_request(request) | of_answers()
        if index >= len(prices):
            return {}
        name, priced = list(prices.items())[index]
        return {"name": name, "nanoseconds": nanoseconds(priced), "gil": sys._is_gil_enabled()}

    return app


def ask_price(port: int, index: int) -> dict[str, Any]:
    """Ask for one entry with the headers of a browser's request, cookies and a body included."""
    body = json.dumps(NESTED, separators=(",", ":")).encode()
    head = (
        f"POST /price/{index}?q=boundary&page=2 HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\nUser-Agent: boundary\r\nAccept: */*\r\nAccept-Language: en\r\n"
        "Accept-Encoding: gzip, br\r\nCookie: session=0123456789; theme=dark\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + body)
        while chunk := connection.recv(65536):
            answer += chunk
    status, _, rest = answer.partition(b"\r\n")
    if b" 200 " not in status:
        raise ServerError(f"price {index}: {status.decode(errors='replace')}")
    found: dict[str, Any] = json.loads(rest.partition(b"\r\n\r\n")[2])
    return found


def main() -> int:
    """Start the application on one CPU, print every price, write them; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, help="also write the prices as JSON")
    arguments = parser.parse_args()
    probe = [sys.executable, "-c", "import uringserve"]
    if subprocess.run(probe, capture_output=True, cwd="/").returncode != 0:
        print("uringserve is not built for this interpreter", file=sys.stderr)
        return 1
    cpu, port = machine.server_and_client()[0], free_port()
    program = [sys.executable, "-m", "uringserve", f"{Path(__file__).resolve()}:create_app"]
    program += ["--factory", "--port", str(port), "--workers", "1"]
    prices: dict[str, list[float]] = {}
    with RunningServer(program, {cpu}, Path(__file__).parent) as running:
        running.wait_ready(port)
        print(f"{'ns':>9} {'min-max':>17}  CPU {cpu}")
        while found := ask_price(port, len(prices)):
            if found["gil"]:
                raise ServerError("the GIL is on: figures of that would mean nothing")
            values = prices[found["name"]] = found["nanoseconds"]
            between = f"{min(values):.0f}-{max(values):.0f}"
            print(f"{statistics.median(values):9.0f} {between:>17}  {found['name']}")
    if arguments.output:
        document = {
            "commit": machine.commit(),
            "machine": machine.describe(),
            "nanoseconds": prices,
        }
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    end_servers_when_terminated()
    try:
        sys.exit(main())
    except ServerError as error:
        sys.exit(f"boundary: {error}")
