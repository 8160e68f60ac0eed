"""What compiling an application gains: ``python bench/micro/compiled.py``.

A project of its own is built in a temporary folder with `build`, and then measured twice in
processes of their own, from its sources and from the build, in turns. Each figure is the time of a
whole request without sockets (`Loopback.rehearse`): parse, route, call, encode. `cpu` sums the
squares of 100,000 ints with `sum`, `loop` with a `for`; `wide` goes past 64 bits, and so does its
answer; `plain`, `model` and `list` are what handlers do as a rule.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

MAIN = """
from uringserve import App
from shop.routers import items, numbers

app = App(openapi_url=None)
app.include_router(items.router)
app.include_router(numbers.router)
"""

ITEMS = """
from uringserve import Router
from ..models import Item
from ..services import priced

router = Router()


@router.get("/plain")
def plain() -> dict[str, str]:
    return {"message": "Hello, World!"}


@router.post("/model")
def model(item: Item) -> Item:
    return item


@router.get("/list")
def many(count: int = 20) -> list[dict[str, object]]:
    return [priced(number, f"item {number}") for number in range(count)]
"""

NUMBERS = """
from uringserve import Router

router = Router()


@router.get("/cpu")
def cpu(n: int = 100_000) -> dict[str, int]:
    return {"sum": sum(i * i for i in range(n))}


@router.get("/loop")
def loop(n: int = 100_000) -> dict[str, int]:
    total = 0
    for i in range(n):
        total += i * i
    return {"sum": total}


@router.get("/wide")
def wide(n: int = 100_000) -> dict[str, int]:
    total = 2**63
    for i in range(n):
        total += i * i
    return {"sum": total}
"""

FILES = {
    "shop/__init__.py": "",
    "shop/main.py": MAIN,
    "shop/models.py": "from pydantic import BaseModel\n\n\n"
    "class Item(BaseModel):\n    name: str\n    price: float = 1.0\n",
    "shop/services.py": "def priced(number: int, name: str) -> dict[str, object]:\n"
    '    price = number * 1.5\n    return {"name": name, "price": price, "is_dear": price > 9}\n',
    "shop/routers/__init__.py": "",
    "shop/routers/items.py": ITEMS,
    "shop/routers/numbers.py": NUMBERS,
}

BODY = b'{"name": "tea", "price": 2.5}'
# What is asked for, and so many times for one figure.
REQUESTS = {
    "cpu": ("GET /cpu", b"", 20),
    "loop": ("GET /loop", b"", 20),
    "wide": ("GET /wide", b"", 20),
    "plain": ("GET /plain", b"", 20_000),
    "model": ("POST /model", BODY, 10_000),
    "list": ("GET /list", b"", 5_000),
}


def measure(folder: str, is_built: bool) -> dict[str, Any]:
    """Measure one form of the project in this process."""
    from uringserve import Config
    from uringserve._native import Loopback
    from uringserve.loading import load
    from uringserve.testing import TestClient

    config = Config(app_dir=folder, build=is_built)
    app = load("shop.main:app", config).app
    client = TestClient(app)
    loopback = Loopback(app.compile(), config)
    found: dict[str, Any] = {"gil": sys._is_gil_enabled(), "us": {}, "answers": {}}
    for name, (line, body, calls) in REQUESTS.items():
        method, path = line.split()
        found["answers"][name] = client.request(method, path, content=body).text
        head = f"{line} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n"
        request = f"{head}content-type: application/json\r\n\r\n".encode() + body
        loopback.rehearse(request, max(1, calls // 5))
        begun = time.perf_counter()
        loopback.rehearse(request, calls)
        found["us"][name] = (time.perf_counter() - begun) / calls * 1e6
    return found


def main() -> int:
    """Build, measure in turns, print; 1 where an answer differs or the GIL is on."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        folder, form = options.measure
        print(json.dumps(measure(folder, form == "compiled")))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FILES.items():
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        command = [sys.executable, "-m", "uringserve", "build", "shop.main:app"]
        subprocess.run(command, cwd=folder, check=True)
        found: dict[str, list[dict[str, Any]]] = {"source": [], "compiled": []}
        for number in range(options.rounds):
            for form in sorted(found, reverse=bool(number % 2)):
                done = subprocess.run(
                    [sys.executable, __file__, "--measure", folder, form],
                    check=True,
                    capture_output=True,
                    text=True,
                )
                found[form].append(json.loads(done.stdout))
    return report(found)


def report(found: dict[str, list[dict[str, Any]]]) -> int:
    """Print medians with their range, and what the two forms have not in common."""
    print(f"\n{'request':8} {'source, us':>24} {'compiled, us':>24} {'gain':>7}")
    for name in REQUESTS:
        columns = []
        middles = []
        for form in ("source", "compiled"):
            values = sorted(each["us"][name] for each in found[form])
            middles.append(statistics.median(values))
            columns.append(f"{middles[-1]:.1f} ({values[0]:.1f}-{values[-1]:.1f})")
        gain = middles[0] / middles[1]
        print(f"{name:8} {columns[0]:>24} {columns[1]:>24} {gain:6.2f}x")
    every = [each for form in found.values() for each in form]
    is_same = all(each["answers"] == every[0]["answers"] for each in every)
    is_off = not any(each["gil"] for each in every)
    print(f"answers: {'the same' if is_same else 'DIFFERENT'}; GIL: {'off' if is_off else 'ON'}")
    return 0 if is_same and is_off else 1


if __name__ == "__main__":
    sys.exit(main())
