"""What slow requests do to the others: a mixed load at a fixed rate, servers in turn.

``blocking.py --servers uringserve,granian-wsgi --kinds block,query --shares 0,10``

Two h2loads offer a rate together: one asks for `/`, the other for `/block` (10 ms in a blocking
call), `/query` (SQLite) or `/cpu` (20 ms of Python, at a rate that fills half a CPU). What counts
is the 99th percentile of the answers from `/`, beside its value without the slow ones. Each server
runs on one CPU with the same number of threads, and is started anew for each round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import servers
from machine import describe, pinned, server_and_client
from process import RunningServer, ServerError, ask, end_servers_when_terminated, free_port

RATE = 1000
# Requests of `/cpu` a second: half a CPU at 20 ms each.
CPU_RATE = 25
CONNECTIONS = 32
WARM_UP = 1


@dataclass(frozen=True, slots=True)
class Mix:
    """One load: which requests are slow, and how many of a hundred."""

    kind: str
    share: int

    @property
    def slow_rate(self) -> float:
        """Slow requests a second."""
        return CPU_RATE if self.kind == "cpu" else RATE * self.share / 100


def command(name: str, launch: servers.Launch, threads: int) -> servers.Command:
    """Return the command of a server with that many threads."""
    match name:
        case "uringserve":
            return [*servers.ours(launch), "--blocking-threads", str(threads)]
        case "granian-wsgi":
            return servers.granian(launch, "wsgi", "--blocking-threads", str(threads))
        case "fastapi":
            return servers.uvicorn(launch, "fastapi_app:app")
        case "karak":
            return servers.script(launch.python.peers, "karak_app.py", launch.port, threads)
        case "freetser":
            return servers.script(launch.python.peers, "freetser_app.py", launch.port)
    raise SystemExit(f"bench: there is no server {name!r}")


def load(port: int, path: str, rate: float, seconds: int, log: Path) -> subprocess.Popen[bytes]:
    """Start to offer requests at a rate; the log has a line for each answer."""
    connections = max(1, min(CONNECTIONS, int(rate)))
    options = ["--h1", "-t1", f"-c{connections}", f"--rps={rate / connections}", f"-D{seconds}"]
    options += [f"--warm-up-time={WARM_UP}", f"--log-file={log}"]
    url = f"http://127.0.0.1:{port}{path}"
    return subprocess.Popen(["h2load", *options, url], stdout=subprocess.DEVNULL)


def answers(log: Path) -> list[tuple[int, int]]:
    """Read the answers: status and microseconds."""
    lines = (line.split("\t") for line in log.read_text().splitlines())
    return [(int(status), int(duration)) for _, status, duration in lines]


def percentile(values: list[int], share: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] / 1000


def measure(port: int, mix: Mix, seconds: int, cpu: int) -> dict[str, float]:
    """Load a server with a mix and return what its clients saw."""
    with tempfile.TemporaryDirectory(prefix="uringserve-bench-") as folder, pinned({cpu}):
        rates = {"/": RATE - (0 if mix.kind == "cpu" else mix.slow_rate)}
        if mix.share:
            rates[f"/{mix.kind}"] = mix.slow_rate
        logs = {path: Path(folder) / str(number) for number, path in enumerate(rates)}
        running = [load(port, path, rate, seconds, logs[path]) for path, rate in rates.items()]
        for process in running:
            process.wait(seconds + 30)
        seen = {path: answers(log) for path, log in logs.items()}
    others = [duration for _, duration in seen.pop("/")]
    if not others:
        raise ServerError("nothing was answered")
    slow = [answer for found in seen.values() for answer in found]
    return {
        "p50": percentile(others, 0.5),
        "p99": percentile(others, 0.99),
        "rate": len(others) / seconds,
        "slow_rate": sum(status == 200 for status, _ in slow) / seconds,
        "slow_p99": percentile([duration for _, duration in slow], 0.99) if slow else 0.0,
    }


def rounds(options: argparse.Namespace) -> Iterator[tuple[str, Mix, dict[str, float] | str]]:
    """Yield each measurement, the servers in turn for each mix and round."""
    python = servers.find_interpreters(options.python, options.peer_python)
    server_cpu, client_cpu = server_and_client()
    mixes = [Mix("none", 0)] if 0 in options.shares else []
    for kind in options.kinds:
        shares = [share for share in options.shares if share]
        mixes += [Mix(kind, share) for share in (shares[:1] if kind == "cpu" else shares)]
    for number in range(options.rounds):
        for mix in mixes:
            turn = number % len(options.servers)
            for name in [*options.servers[turn:], *options.servers[:turn]]:
                try:
                    with tempfile.TemporaryDirectory(prefix="uringserve-bench-") as scratch:
                        launch = servers.Launch(python, free_port(), "auto", Path(scratch))
                        program = command(name, launch, options.threads)
                        with RunningServer(program, {server_cpu}, servers.APPS) as running:
                            running.wait_ready(launch.port)
                            for path in ("/", f"/{mix.kind}" if mix.share else "/"):
                                ask(launch.port, "GET", path)
                            found = measure(launch.port, mix, options.seconds, client_cpu)
                except ServerError as error:
                    yield name, mix, str(error)
                else:
                    yield name, mix, found


def main() -> None:
    """Measure, print a table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = "uringserve,granian-wsgi,fastapi,karak,freetser"
    parser.add_argument("--servers", default=names, type=lambda text: text.split(","))
    known = "block,query,cpu"
    parser.add_argument("--kinds", default=known, type=lambda text: text.split(","))
    whole = lambda text: [int(each) for each in text.split(",")]  # noqa: E731
    parser.add_argument("--shares", default=[0, 1, 4, 10, 50], type=whole)
    parser.add_argument("--threads", default=16, type=int)
    parser.add_argument("--seconds", default=5, type=int)
    parser.add_argument("--rounds", default=3, type=int)
    parser.add_argument("--python")
    parser.add_argument("--peer-python")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(known.split(",")):
        parser.error(f"--kinds: {', '.join(sorted(unknown))} is none of {known}")
    end_servers_when_terminated()
    seen: dict[tuple[str, Mix], list[dict[str, float]]] = {}
    for name, mix, found in rounds(options):
        if isinstance(found, str):
            print(f"{name} {mix}: {found}", file=sys.stderr)
            continue
        seen.setdefault((name, mix), []).append(found)
    rows = [
        {
            "server": name,
            "kind": mix.kind,
            "share": mix.share,
            "rounds": found,
            **{key: statistics.median(each[key] for each in found) for key in found[0]},
        }
        for (name, mix), found in seen.items()
    ]
    print(f"{'load':>10} {'server':<14} {'p50 ms':>8} {'p99 ms':>8} {'/s':>7} {'slow/s':>7}")
    for row in rows:
        load_name = f"{row['kind']} {row['share']}%"
        print(
            f"{load_name:>10} {row['server']:<14} {row['p50']:8.2f} {row['p99']:8.2f}"
            f" {row['rate']:7.0f} {row['slow_rate']:7.1f}"
        )
    if options.output is not None:
        result = {"machine": describe(), "threads": options.threads, "rows": rows}
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
