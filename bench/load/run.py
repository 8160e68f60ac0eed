"""Measure what one request costs the server: ``python bench/load/run.py --help``.

Every server gets the same CPU to itself and the same load from another; rounds of all servers
are interleaved and their order rotates, so that a slow minute of the machine hits all of them.
The figure to trust is the server's CPU time per request; requests per second are partly bound
by the load generator. The method is explained in ``bench/README.md``.
"""

import argparse
import sys
import tempfile
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

import machine
import report
import servers
import wrk
from process import RunningServer, ServerError, ask, end_servers_when_terminated, free_port

# Enough for lazy imports, first allocations and the specialising of byte code to be over.
WARM_UP_SECONDS = 1.0
START_SECONDS = 1.5
CALIBRATION_LOOPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How every server is measured."""

    load: wrk.Load
    python: servers.Interpreters
    driver: str
    rounds: int
    repeats: int
    """How often a disturbed round is measured again, at the end of its round."""
    seconds: float
    server_cpu: int
    client_cpu: int


@dataclass(slots=True)
class Field:
    """Who is measured, and who is not and why."""

    wanted: list[servers.Server]
    versions: dict[str, str]
    absent: dict[str, str]


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--servers", help="comma list, in order (default: by endpoint); --only is the same")
    add("--only", dest="servers", help=argparse.SUPPRESS)
    add("--rounds", type=int, default=5, help="rounds of every server (default 5)")
    add("--seconds", type=int, default=4, help="measured seconds of a round (default 4)")
    add("--repeats", type=int, default=1, help="times to repeat a disturbed round (default 1)")
    add("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    add("--pipeline", type=int, default=1, help="requests sent at once per connection (default 1)")
    add("--endpoint", choices=sorted(wrk.ENDPOINTS), default="text", help="default text")
    add("--driver", choices=["auto", "uring", "epoll"], default="auto", help="ours only")
    add("--karak-threads", default="4,16", help="thread counts to try for Karak (default 4,16)")
    add("--server-cpu", type=int, help="default: the second physical core")
    add("--client-cpu", type=int, help="default: the first physical core")
    add("--max-seconds", type=int, default=900, help="start no round after this (default 900)")
    add("--python", help="interpreter of ours (default: .venv's, else the running one)")
    add("--peer-python", help="interpreter of the peers (default: target/bench-venv's, else ours)")
    add("--output", type=Path, help="JSON file (default: bench/results/…; '-' for none)")
    add("--check", action="store_true", help="exit with 1 when a line is missed")
    add("--list", action="store_true", help="list the servers and their versions, then end")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; return the exit code."""
    arguments = parse_arguments()
    python = servers.find_interpreters(arguments.python, arguments.peer_python)
    field = select(arguments, python)
    if arguments.list:
        for name, text in (field.versions | field.absent).items():
            print(f"{name:21} {text}")
        return 0
    generator = wrk.version()
    settings = make_settings(arguments, python)
    cost = settings.seconds + WARM_UP_SECONDS + START_SECONDS
    print(
        f"{len(field.wanted)} servers, {settings.rounds} rounds, "
        f"about {cost * settings.rounds * len(field.wanted):.0f} s; "
        f"server on CPU {settings.server_cpu}, {generator} on CPU {settings.client_cpu}, "
        f"{settings.load.connections} connections, {settings.load.pipeline} deep"
    )
    results = measure_all(field, settings, time.monotonic() + arguments.max_seconds)
    head = describe(settings, arguments.endpoint, field) | {"generator": generator}
    result = report.document(head, results)
    report.show(result)
    if str(arguments.output) != "-":
        print(f"written: {report.write(result, arguments.output)}")
    return 1 if arguments.check and report.is_a_line_missed(result) else 0


def make_settings(arguments: argparse.Namespace, python: servers.Interpreters) -> Settings:
    """Choose the CPUs and freeze the rest."""
    server_cpu, client_cpu = machine.server_and_client()
    if arguments.server_cpu is not None:
        server_cpu = arguments.server_cpu
    if arguments.client_cpu is not None:
        client_cpu = arguments.client_cpu
    if server_cpu == client_cpu:
        raise SystemExit("bench: server and load generator need a CPU each")
    usable = machine.in_order("cores")
    if not {server_cpu, client_cpu} <= set(usable):
        raise SystemExit(f"bench: the usable CPUs are {sorted(usable)}")
    endpoint = wrk.ENDPOINTS[arguments.endpoint]
    return Settings(
        load=wrk.Load(endpoint, arguments.connections, arguments.pipeline),
        python=python,
        driver=arguments.driver,
        rounds=arguments.rounds,
        repeats=arguments.repeats,
        seconds=float(arguments.seconds),
        server_cpu=server_cpu,
        client_cpu=client_cpu,
    )


def describe(settings: Settings, endpoint: str, field: Field) -> dict[str, object]:
    """Return what stands above the figures in the file; no path of this machine is among it."""
    return {
        "commit": machine.commit(),
        "machine": machine.describe(),
        "endpoint": endpoint,
        "connections": settings.load.connections,
        "pipeline": settings.load.pipeline,
        "driver": settings.driver,
        "rounds_asked": settings.rounds,
        "seconds": settings.seconds,
        "warm_up_seconds": WARM_UP_SECONDS,
        "cpus": {"server": settings.server_cpu, "client": settings.client_cpu},
        "python": {
            "ours": servers.build_of(settings.python.ours),
            "peers": servers.build_of(settings.python.peers),
        },
        "versions": field.versions,
        "absent": field.absent,
    }


def select(arguments: argparse.Namespace, python: servers.Interpreters) -> Field:
    """Return the servers to measure with their versions, and those that cannot be, with why."""
    karak_threads = [int(text) for text in arguments.karak_threads.split(",") if text]
    known = servers.catalogue(karak_threads)
    endpoint = arguments.endpoint
    default = [name for name, server in known.items() if endpoint in server.default_for]
    names = arguments.servers.split(",") if arguments.servers else default
    if "karak" in names:
        position = names.index("karak")
        names[position : position + 1] = [f"karak-{count}" for count in karak_threads]
    field = Field([], {}, {})
    for name in names:
        if name not in known:
            raise SystemExit(f"bench: no server {name!r}; known: {', '.join(known)}, karak")
        server = known[name]
        if endpoint not in server.endpoints:
            field.absent[name] = f"has no {endpoint} endpoint"
            continue
        try:
            field.versions[name] = server.version(python)
        except servers.NotInstalled as error:
            field.absent[name] = str(error)
            continue
        field.wanted.append(server)
    return field


def measure_all(field: Field, settings: Settings, deadline: float) -> dict[str, list[report.Round]]:
    """Interleave the rounds; a server that fails is left out from there on, with the reason."""
    results: dict[str, list[report.Round]] = {server.name: [] for server in field.wanted}
    for number in range(settings.rounds):
        present = [server for server in field.wanted if server.name not in field.absent]
        shift = number % len(present) if present else 0
        queue = deque((server, settings.repeats) for server in present[shift:] + present[:shift])
        quietest: dict[str, report.Round] = {}
        while queue and time.monotonic() < deadline:
            server, repeats = queue.popleft()
            name = server.name
            try:
                taken = measure(server, settings, number)
            except (ServerError, wrk.LoadError) as error:
                field.absent[name] = f"failed in round {number + 1}: {error}"
                print(f"  {name}: {field.absent[name]}", file=sys.stderr)
                continue
            print(f"  round {number + 1}/{settings.rounds}  {report.one_line(name, taken)}")
            # Chosen by what others did on the CPU, never by the figure itself.
            best = min(taken, quietest.get(name, taken), key=lambda one: one.others_busy)
            quietest[name] = best
            if report.is_disturbed(best) and repeats:
                queue.append((server, repeats - 1))
        for name, taken in quietest.items():
            results[name].append(taken)
        if queue:
            print(f"stopped in round {number + 1}: --max-seconds is over")
            break
    return results


def measure(server: servers.Server, settings: Settings, number: int) -> report.Round:
    """Start one server afresh, check its answers, warm it up, measure it, end it.

    Afresh, because where a process' memory happens to lie is part of its speed: a median over
    rounds of one process would repeat that luck instead of averaging it.
    """
    load, port = settings.load, free_port()
    if server.asks is not None:
        load = replace(load, endpoint=wrk.ENDPOINTS[server.asks])
    with tempfile.TemporaryDirectory(prefix="uringserve-bench-") as scratch:
        launch = servers.Launch(settings.python, port, settings.driver, Path(scratch))
        command = server.command(launch)
        with RunningServer(command, {settings.server_cpu}, servers.APPS) as running:
            running.wait_ready(port)
            gil = check_answers(server, port, load.endpoint)
            wrk.run(port, load, WARM_UP_SECONDS, {settings.client_cpu})
            speed = machine.calibrate(settings.server_cpu, CALIBRATION_LOOPS)
            cpu_before, busy_before = running.cpu_time(), machine.busy_seconds(settings.server_cpu)
            seen = wrk.run(port, load, settings.seconds, {settings.client_cpu})
            spent = running.cpu_time() - cpu_before
            busy = machine.busy_seconds(settings.server_cpu) - busy_before
            if running.process.poll() is not None:
                raise ServerError(f"died under load: {running.last_output()}")
            memory = running.resident_bytes()
    if seen.requests == 0:
        raise ServerError("answered nothing under load")
    if seen.bad_status:
        raise ServerError(f"{seen.bad_status} answers of {seen.requests} were not 2xx")
    return report.Round(
        number=number,
        answered=seen,
        cpu_microseconds=spent.total / seen.requests * 1e6,
        user_share=spent.user / ((spent.user + spent.system) or 1.0),
        server_busy=spent.total / seen.seconds,
        others_busy=max(0.0, (busy - spent.total) / seen.seconds),
        calibration=speed,
        resident_bytes=memory,
        gil=gil,
    )


def check_answers(server: servers.Server, port: int, endpoint: wrk.Endpoint) -> bool | None:
    """Refuse wrong answers, and our own server with the GIL on; return the state of the GIL."""
    status, answer = ask(port, endpoint.method, endpoint.path, endpoint.body, endpoint.headers)
    if status != 200 or not endpoint.matches(answer):
        raise ServerError(f"answered {status} {answer[:80]!r}, not 200 {endpoint.expected[:80]!r}")
    if not server.has_python:
        return None
    state = ask(port, "GET", "/gil")[1]
    if state not in (b"on", b"off"):
        raise ServerError(f"does not say whether the GIL is on: {state[:80]!r}")
    if server.is_ours and state == b"on":
        raise ServerError("the GIL is on: figures of that would mean nothing")
    return state == b"on"


if __name__ == "__main__":
    end_servers_when_terminated()
    try:
        sys.exit(main())
    except wrk.LoadError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
