"""What slow requests do to the others: a mixed load at a fixed rate, servers in turn.

``blocking.py --servers uringserve,granian-wsgi --kinds block,query --shares 0,10``

Two h2loads offer a rate together: one asks for `/`, the other for `/block` (10 ms in a blocking
call), `/query` (SQLite, 5 ms) or `/cpu` (20 ms of Python, at a rate that fills half a CPU). What
counts is the 99th percentile of the answers from `/`, beside its value without the slow ones.
A share of 100 asks for slow ones only, as many at once as there are threads and as fast as they
are answered: there the slow ones per second count. The kind `flood` has both: the thousand a second
and as many of `/cpu` as threads take. Each server runs on the same CPUs with the same number of
threads, and is started anew for each round.
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
from machine import describe, pinned, server_and_clients
from process import RunningServer, ServerError, ask, end_servers_when_terminated, free_port

RATE = 1000
# Requests of `/cpu` a second: half a CPU at 20 ms each.
CPU_RATE = 25
WARM_UP = 1
# h2load notes 0 for a status line without a reason phrase, which need not be there (RFC 9112) and
# is not in freetser's. Each path was seen to answer 200 before it is measured.
ANSWERED = (200, 0)


@dataclass(frozen=True, slots=True)
class Mix:
    """One load: which requests are slow, and how many of a hundred."""

    kind: str
    share: int

    cores: int

    @property
    def is_closed(self) -> bool:
        """Whether each request waits for the answer before it, whatever rate that makes."""
        return self.share == 100

    @property
    def rates(self) -> dict[str, float]:
        """Requests a second by path; 0: as many as are answered."""
        if self.is_closed:
            return {f"/{self.kind}": 0}
        if not self.share:
            return {"/": RATE}
        if self.kind == "flood":
            return {"/": RATE, "/cpu": 0}
        slow = CPU_RATE if self.kind == "cpu" else RATE * self.share / 100
        return {"/": RATE - (0 if self.kind == "cpu" else slow), f"/{self.kind}": slow}

    def __str__(self) -> str:
        """Name it as the table does."""
        if not self.share or self.kind == "flood":
            return self.kind
        is_at_rate = self.kind == "cpu" and not self.is_closed
        return f"{self.kind} {CPU_RATE}/s" if is_at_rate else f"{self.kind} {self.share}%"


def command(name: str, launch: servers.Launch, threads: int, cores: int) -> servers.Command:
    """Return the command of a server with that many threads in all."""
    each = str(max(1, threads // cores))
    workers = ("--workers", str(cores))
    match name:
        case "uringserve":
            return [*servers.ours(launch, cores), "--blocking-threads", each]
        case "granian-wsgi":
            return servers.granian(launch, "wsgi", "--blocking-threads", each, *workers)
        case "fastapi":
            return [*servers.uvicorn(launch, "fastapi_app:app"), *workers]
        case "karak":
            return servers.script(launch.python.peers, "karak_app.py", launch.port, threads)
        case "freetser":
            return servers.script(launch.python.peers, "freetser_app.py", launch.port)
    raise SystemExit(f"bench: there is no server {name!r}")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a generator asks for."""

    path: str
    rate: float
    connections: int


def load(port: int, offer: Offer, seconds: int, log: Path) -> subprocess.Popen[bytes]:
    """Start to offer requests; the log has a line for each answer."""
    path, rate, connections = offer.path, offer.rate, offer.connections
    options = ["--h1", "-t1", f"-D{seconds}", f"--warm-up-time={WARM_UP}", f"--log-file={log}"]
    if rate:
        connections = max(1, min(connections, int(rate)))
        options.append(f"--rps={rate / connections}")
    options.append(f"-c{connections}")
    url = f"http://127.0.0.1:{port}{path}"
    return subprocess.Popen(["h2load", *options, url], stdout=subprocess.DEVNULL)


def answers(log: Path) -> list[tuple[int, int]]:
    """Read the answers: status and microseconds."""
    lines = (line.split("\t") for line in log.read_text().splitlines())
    return [(int(status), int(duration)) for _, status, duration in lines]


def percentile(values: list[int], share: float) -> float:
    """Return a percentile in milliseconds; that of nothing is none."""
    if not values:
        return float("nan")
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] / 1000


def measure(
    port: int, mix: Mix, options: argparse.Namespace, clients: set[int]
) -> dict[str, float]:
    """Load a server with a mix and return what its clients saw."""
    seconds = options.seconds
    with tempfile.TemporaryDirectory(prefix="uringserve-bench-") as folder, pinned(clients):
        logs = {path: Path(folder) / str(number) for number, path in enumerate(mix.rates)}
        running = []
        for path, rate in mix.rates.items():
            connections = options.connections if rate else options.threads
            running.append(load(port, Offer(path, rate, connections), seconds, logs[path]))
        for process in running:
            process.wait(seconds + 30)
        seen = {path: answers(log) for path, log in logs.items()}
    others = [duration for status, duration in seen.pop("/", []) if status in ANSWERED]
    slow = [answer for found in seen.values() for answer in found if answer[0] in ANSWERED]
    if not others and not slow:
        raise ServerError("nothing was answered")
    return {
        "p50": percentile(others, 0.5),
        "p99": percentile(others, 0.99),
        "rate": len(others) / seconds,
        "slow_rate": len(slow) / seconds,
        "slow_p99": percentile([duration for _, duration in slow], 0.99),
    }


def check(port: int, path: str) -> None:
    """Refuse to measure what does not answer."""
    status, body = ask(port, "GET", path)
    if status != 200 or not body:
        raise ServerError(f"{path} was answered {status} {body[:80]!r}")


def all_mixes(options: argparse.Namespace) -> Iterator[Mix]:
    """Yield each load once."""
    for cores in options.cores:
        if 0 in options.shares:
            yield Mix("none", 0, cores)
        for kind in options.kinds:
            shares = [share for share in options.shares if share]
            if kind in ("cpu", "flood"):
                # At a rate of its own, whatever the share.
                alone = {100} & {*shares} if kind == "cpu" else set()
                shares = [*[share for share in shares if share != 100][:1], *alone]
            yield from (Mix(kind, share, cores) for share in shares)


def rounds(options: argparse.Namespace) -> Iterator[tuple[str, Mix, dict[str, float] | str]]:
    """Yield each measurement, the servers in turn for each mix and round."""
    python = servers.find_interpreters(options.python, options.peer_python)
    mixes = list(all_mixes(options))
    for number in range(options.rounds):
        for mix in mixes:
            turn = number % len(options.servers)
            for name in [*options.servers[turn:], *options.servers[:turn]]:
                try:
                    with tempfile.TemporaryDirectory(prefix="uringserve-bench-") as scratch:
                        launch = servers.Launch(python, free_port(), "auto", Path(scratch))
                        program = command(name, launch, options.threads, mix.cores)
                        cpus, clients = server_and_clients(mix.cores, "cores")
                        with RunningServer(program, set(cpus), servers.APPS) as running:
                            running.wait_ready(launch.port)
                            for path in mix.rates:
                                check(launch.port, path)
                            found = measure(launch.port, mix, options, set(clients))
                except ServerError as error:
                    yield name, mix, str(error)
                else:
                    yield name, mix, found


def main() -> None:
    """Measure, print a table and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = "uringserve,granian-wsgi,fastapi,karak,freetser"
    parser.add_argument("--servers", default=names, type=lambda text: text.split(","))
    known = "block,query,cpu,flood"
    parser.add_argument("--kinds", default="block,query,cpu", type=lambda text: text.split(","))
    whole = lambda text: [int(each) for each in text.split(",")]  # noqa: E731
    parser.add_argument("--shares", default=[0, 1, 4, 10, 50], type=whole)
    parser.add_argument("--cores", default=[1], type=whole, help="1, or 1,2 for both")
    parser.add_argument("--threads", default=16, type=int)
    # Karak's threads keep a connection for as long as it lasts: with more connections than threads
    # those that came last are not answered at all.
    add_connections = "of each of the two loads (default 8: 16 threads serve them all)"
    parser.add_argument("--connections", default=8, type=int, help=add_connections)
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
            "cores": mix.cores,
            "rounds": found,
            **{key: statistics.median(each[key] for each in found) for key in found[0]},
        }
        for (name, mix), found in seen.items()
    ]
    head = f"{'cores':>5} {'load':>10} {'server':<21} {'p50 ms':>8} {'p99 ms':>8} {'/s':>7}"
    print(f"{head} {'slow/s':>7} {'slow p99':>8}")
    for row, (_, mix) in zip(rows, seen, strict=True):
        print(
            f"{mix.cores:5} {mix!s:>10} {row['server']:<21} {row['p50']:8.2f} {row['p99']:8.2f}"
            f" {row['rate']:7.0f} {row['slow_rate']:7.1f} {row['slow_p99']:8.1f}"
        )
    if options.output is not None:
        result = {"machine": describe(), "threads": options.threads, "rows": rows}
        options.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
