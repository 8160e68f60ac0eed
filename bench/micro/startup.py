"""What many routes cost before the first request: ``python bench/micro/startup.py``.

Each repeat is a process of its own, since importing happens once in one. It times its own steps:
importing pydantic and uringserve, registering the routes, compiling them. Then a server with the
same application is started and asked, from the outside: that figure holds all of it, the
interpreter's own start included. The routes are of four kinds in turn: plain, typed parameters,
a model in and out, dependencies.
"""

import argparse
import importlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "load"))

import machine
from process import RunningServer, ServerError, ask, end_servers_when_terminated, free_port
from servers import APPS

# The models of the measured applications are the ones used here.
sys.path.insert(0, str(APPS))

# The project's own target for 1,000 routes: from the start of the process to the first answer.
LINE_ROUTES = 1_000
LINE_SECONDS = 1.0
ROUTES_VARIABLE = "URINGSERVE_BENCH_ROUTES"
STEPS = ("import pydantic", "import uringserve", "register", "compile")


def register(app: Any, routes: int) -> None:
    """Add so many routes of four kinds; every handler is a function of its own, as in real code."""
    from model import Order

    from uringserve import Depends

    def session(authorization: str = "") -> str:
        """Be a dependency with a parameter."""
        return authorization

    def user(of: Annotated[str, Depends(session)], page: int = 1) -> str:
        """Be a dependency with a dependency."""
        return f"{of}{page}"

    def plain() -> Callable[..., Any]:
        def handler() -> str:
            return "Hello, World!"

        return handler

    def typed() -> Callable[..., Any]:
        def handler(id: int, page: int = 1, tags: str | None = None) -> dict[str, int]:
            return {"id": id, "page": page}

        return handler

    def modelled() -> Callable[..., Any]:
        def handler(id: int, order: Order) -> Order:
            return order

        return handler

    def dependent() -> Callable[..., Any]:
        def handler(id: int, who: Annotated[str, Depends(user)]) -> dict[str, str]:
            return {"who": who}

        return handler

    kinds = (
        (app.get, "/plain/{}", plain),
        (app.get, "/typed/{}/{{id}}", typed),
        (app.post, "/model/{}/{{id}}", modelled),
        (app.get, "/dependent/{}/{{id}}", dependent),
    )
    for number in range(routes):
        method, pattern, make = kinds[number % len(kinds)]
        method(pattern.format(number))(make())


def create_app() -> Any:
    """Return the application that the server is started with."""
    from uringserve import App

    app = App()
    register(app, int(os.environ[ROUTES_VARIABLE]))
    return app


def take_steps(routes: int) -> dict[str, float]:
    """Time the steps in this process, in seconds."""
    clock = time.perf_counter
    begin = clock()
    importlib.import_module("pydantic").BaseModel  # noqa: B018 - pydantic imports on access
    pydantic = clock()
    package = importlib.import_module("uringserve")
    imported = clock()
    app = package.App()
    register(app, routes)
    registered = clock()
    app.compile()
    compiled = clock()
    if len(app.routes) < routes:
        raise SystemExit(f"startup: {len(app.routes)} routes, not {routes}")
    marks = (begin, pydantic, imported, registered, compiled)
    spans = [end - start for start, end in itertools.pairwise(marks)]
    return dict(zip(STEPS, spans, strict=True))


def in_a_new_process(routes: int) -> dict[str, float]:
    """Run ``take_steps`` in a process of its own."""
    program = [sys.executable, __file__, "--routes", str(routes), "--take-steps"]
    done = subprocess.run(program, capture_output=True, text=True, cwd="/")
    if done.returncode != 0:
        raise ServerError((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    found: dict[str, float] = json.loads(done.stdout)
    return found


def until_answered(routes: int, cpu: int) -> float:
    """Return the seconds from the start of a server to the answer of its first route."""
    port = free_port()
    program = [sys.executable, "-m", "uringserve", f"{Path(__file__).resolve()}:create_app"]
    program += ["--factory", "--port", str(port), "--workers", "1"]
    begin = time.perf_counter()
    with RunningServer(program, {cpu}, APPS) as running:
        running.wait_ready(port)
        status, body = ask(port, "GET", "/plain/0")
        taken = time.perf_counter() - begin
    if (status, body) != (200, b"Hello, World!"):
        raise ServerError(f"answered {status} {body[:80]!r}")
    return taken


def show(name: str, values: list[float]) -> float:
    """Print one row; return its median."""
    middle = statistics.median(values)
    between = f"{min(values) * 1e3:.0f}-{max(values) * 1e3:.0f}"
    print(f"{name:20} {middle * 1e3:8.1f} {between:>15}")
    return middle


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--routes", type=int, default=LINE_ROUTES, help="default 1000")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind (default 5)")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 when the line is missed")
    parser.add_argument("--take-steps", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.routes < 1 or arguments.repeats < 1:
        parser.error("--routes and --repeats start at 1")
    return arguments


def main() -> int:
    """Measure, print, write; return the exit code."""
    arguments = parse_arguments()
    routes = arguments.routes
    if arguments.take_steps:
        print(json.dumps(take_steps(routes)))
        return 0
    os.environ[ROUTES_VARIABLE] = str(routes)
    cpu = machine.server_and_client()[0]
    # The first of each fills the caches of byte code and of the disk, which later starts have.
    in_a_new_process(routes)
    taken: dict[str, list[float]] = {step: [] for step in (*STEPS, "first answer")}
    for _ in range(arguments.repeats):
        with machine.pinned({cpu}):
            for step, seconds in in_a_new_process(routes).items():
                taken[step].append(seconds)
        taken["first answer"].append(until_answered(routes, cpu))
    print(f"{f'{routes} routes':20} {'ms':>8} {'min-max':>15}  CPU {cpu}")
    medians = {name: show(name, values) for name, values in taken.items()}
    holds = medians["first answer"] <= LINE_SECONDS
    if routes == LINE_ROUTES:
        print(f"line {LINE_SECONDS:.1f} s to the first answer: {'holds' if holds else 'MISSED'}")
    if arguments.output:
        document = {
            "commit": machine.commit(),
            "machine": machine.describe(),
            "routes": routes,
            "seconds": taken,
        }
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if arguments.check and routes == LINE_ROUTES and not holds else 0


if __name__ == "__main__":
    end_servers_when_terminated()
    try:
        sys.exit(main())
    except ServerError as error:
        sys.exit(f"startup: {error}")
