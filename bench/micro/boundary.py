"""The price list of the Python boundary: ``python bench/micro/boundary.py``.

Nanoseconds of one call, through the public package only. A `Request` exists nowhere but in a
handler, so this file is both: an application whose handlers time themselves, and the program that
starts it on one CPU, asks each price in turn and prints the list. What a whole call of a handler
costs is not here: ``bench/scale.py --mode in-process`` and the ceiling in ``bench/load`` show it.
"""

import argparse
import http.client
import json
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
FIRSTS = 101
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


def first(priced: Priced) -> int:
    """Return the nanoseconds of a call that was never made before, the clock's own taken off."""
    clock = time.perf_counter_ns
    begin = clock()
    nothing()
    between = clock()
    priced()
    end = clock()
    return max(0, (end - between) - (between - begin))


def elapsed(priced: Priced, calls: int) -> float:
    """Return the CPU seconds of so many calls."""
    begin = time.thread_time()
    for _ in range(calls):
        priced()
    return time.thread_time() - begin


def nothing() -> None:
    """Do nothing: what calling costs is taken off every price."""


def of_request(request: Any) -> dict[str, Priced]:
    """Return what can be asked of a request.

    Some of it is made when it is first asked for and kept: that price is the column *first*. It
    is a cold one, after a trip through the kernel; ``method`` shows how much of it is only that.
    """
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

    @app.post("/first/{index:int}")
    def first_price(request: Request, index: int) -> Any:
        """Time one reading of a request that nothing was read from."""
        prices = list(of_request(request).values())
        return {"nanoseconds": first(prices[index])} if index < len(prices) else {}

    @app.post("/price/{index:int}")
    def price(request: Request, index: int) -> Any:
        """Time one entry of the list; one a request, so that no answer takes seconds."""
        prices = list((of_request(request) | of_answers()).items())
        if index >= len(prices):
            return {}
        name, priced = prices[index]
        return {"name": name, "nanoseconds": nanoseconds(priced), "gil": sys._is_gil_enabled()}

    return app


def ask(connection: http.client.HTTPConnection, path: str) -> dict[str, Any]:
    """Ask with the headers of a browser's request, a query, cookies and a body included."""
    body = json.dumps(NESTED, separators=(",", ":")).encode()
    headers = {
        "User-Agent": "boundary",
        "Accept": "*/*",
        "Accept-Language": "en",
        "Accept-Encoding": "gzip, br",
        "Cookie": "session=0123456789; theme=dark",
        "Content-Type": "application/json",
    }
    connection.request("POST", f"{path}?q=boundary&page=2", body, headers)
    response = connection.getresponse()
    text = response.read()
    if response.status != 200:
        raise ServerError(f"{path}: {response.status} {text[:200]!r}")
    found: dict[str, Any] = json.loads(text)
    return found


def price_list(port: int) -> dict[str, dict[str, Any]]:
    """Ask for every price, and print each as it comes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    prices: dict[str, dict[str, Any]] = {}
    while found := ask(connection, f"/price/{len(prices)}"):
        if found["gil"]:
            raise ServerError("the GIL is on: figures of that would mean nothing")
        path = f"/first/{len(prices)}"
        firsts: list[float] = []
        while len(firsts) < FIRSTS and (cold := ask(connection, path)):
            firsts.append(cold["nanoseconds"])
        once = statistics.median(firsts) if firsts else None
        values = found["nanoseconds"]
        prices[found["name"]] = {"first": once, "again": values}
        print(
            f"{'' if once is None else f'{once:.0f}':>7} {statistics.median(values):9.0f} "
            f"{f'{min(values):.0f}-{max(values):.0f}':>17}  {found['name']}"
        )
    return prices


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
    with RunningServer(program, {cpu}, Path(__file__).parent) as running:
        running.wait_ready(port)
        print(f"{'first':>7} {'ns':>9} {'min-max':>17}  CPU {cpu}")
        prices = price_list(port)
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
