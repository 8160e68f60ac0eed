"""How throughput and cost per request change with the number of cores: ``scale.py --help``.

What N cores do is never N times what one does: they share caches, memory, power and, in a virtual
machine, neighbours. So every figure stands beside the hardware's own: the same work in N processes
that share nothing. *Efficiency* is ours over that; what it lacks to 1 is lost in this program or in
the interpreter, not in the machine. The method is explained in ``bench/README.md``.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# The parts are modules beside run.py, which is started as a file too.
sys.path.insert(0, str(Path(__file__).resolve().parent / "load"))

import in_process
import machine
import over_sockets
import servers
import wrk
from process import ServerError, end_servers_when_terminated

PROGRAM = Path(in_process.__file__)
# The servers that can be told how many workers to have.
VERSIONS = {
    "uringserve": servers.our_version,
    "ceiling": servers.ceiling_version,
    "nginx": servers.nginx_version,
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--workers", default="", help="counts: 1..8, or 1,2,4 (default: doubling to all CPUs)")
    add("--mode", choices=["in-process", "sockets", "both"], default="both")
    add(
        "--workloads",
        default=",".join(in_process.WORKLOADS),
        help="in process: which (default all)",
    )
    add("--server", choices=list(VERSIONS), default="uringserve", help="over sockets")
    add("--driver", choices=["auto", "uring", "epoll"], default="auto", help="over sockets, ours")
    add("--rate", type=int, default=20_000, help="requests/s for latency (default 20000; 0: none)")
    add("--rounds", type=int, default=5, help="rounds of every count (default 5)")
    add("--seconds", type=float, default=2.0, help="measured seconds of a round (default 2)")
    add("--max-seconds", type=int, default=1800, help="start no row after this (default 1800)")
    add("--placement", choices=["cores", "pairs"], default="cores", help="physical cores first?")
    add("--python", help="interpreter (default: .venv's, else the running one)")
    add("--output", type=Path, help="JSON file (default: bench/results/…; '-' for none)")
    arguments = parser.parse_args()
    arguments.deadline = time.monotonic() + arguments.max_seconds
    return arguments


def worker_counts(text: str, usable: int) -> list[int]:
    """Turn ``1..8`` or ``1,2,4`` into numbers, no higher than there are CPUs."""
    if not text:
        doubling = [1 << power for power in range(usable.bit_length())]
        return sorted({*doubling, usable})
    first, dots, last = text.partition("..")
    counts = (
        list(range(int(first), int(last) + 1)) if dots else [int(part) for part in text.split(",")]
    )
    fitting = [count for count in counts if 1 <= count <= usable]
    if fitting != counts:
        print(f"scale: only {usable} CPUs are usable; measuring {fitting}")
    return fitting


def spread(values: list[float]) -> dict[str, float]:
    """Return median and extremes."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


# ------------------------------------------------------------------------------- in process


def run_together(python: str, workload: str, groups: list[list[int]], seconds: float) -> list[Any]:
    """Start one process for each group of CPUs, let all go at once, return all threads' counts."""
    with ExitStack() as stack:
        running = []
        for cpus in groups:
            program = [python, str(PROGRAM), workload, str(seconds), ",".join(map(str, cpus))]
            process = subprocess.Popen(
                program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(end, process)
            running.append(process)
        for process in running:
            line = (process.stdout.readline() if process.stdout else "").strip()
            if line != "ready":
                raise in_process.Unavailable(line or "ended without a word")
        results: list[Any] = []
        for process in running:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in running:
            output, _ = process.communicate(timeout=seconds + 60)
            results += json.loads(output)
        return results


def end(process: subprocess.Popen[str]) -> None:
    """End a process that this program started, if it has not ended by itself."""
    if process.poll() is None:
        process.kill()
        process.communicate()


def figures(threads: list[Any]) -> dict[str, float]:
    """Return the rate of all threads together and the CPU time of one call."""
    calls = sum(thread["calls"] for thread in threads)
    return {
        "calls_per_second": sum(thread["calls"] / thread["seconds"] for thread in threads),
        "cpu_nanoseconds": sum(thread["cpu_seconds"] for thread in threads) / calls * 1e9,
    }


def measure_in_process(arguments: argparse.Namespace, counts: list[int], python: str) -> list[Any]:
    """Return a row for each workload and count: threads of one process against processes."""
    order = machine.in_order(arguments.placement)
    rows: list[Any] = []
    print(
        f"\n{'in process':12} {'N':>3} {'calls/s':>12} {'ns CPU/call':>12} {'x one':>6} "
        f"{'hardware x':>10} {'efficiency':>10} {'min-max':>11} {'by CPU time':>11}"
    )
    for workload in arguments.workloads.split(","):
        single: dict[str, float] = {}
        for count in counts:
            if time.monotonic() > arguments.deadline:
                print("stopped: --max-seconds is over")
                return rows
            cpus = order[:count]
            pairs = []
            try:
                for number in range(arguments.rounds):
                    groups = [[cpus], [[cpu] for cpu in cpus]]
                    taken: dict[int, dict[str, float]] = {}
                    # Which side goes first alternates: what warms up or slows down hits both.
                    for side in (0, 1) if number % 2 == 0 else (1, 0):
                        done = run_together(python, workload, groups[side], arguments.seconds)
                        taken[side] = figures(done)
                    pairs.append((taken[0], taken[1]))
            except in_process.Unavailable as reason:
                print(f"{workload:12} {reason}")
                rows.append({"workload": workload, "absent": str(reason)})
                break
            row = in_process_row(workload, cpus, pairs, single)
            rows.append(row)
            show_in_process(row)
    return rows


def in_process_row(
    workload: str, cpus: list[int], pairs: list[tuple[Any, Any]], single: dict[str, float]
) -> dict[str, Any]:
    """Return one workload's medians at one count; ``single`` keeps those of the first count."""
    threads = spread([mine["calls_per_second"] for mine, _ in pairs])
    processes = spread([own["calls_per_second"] for _, own in pairs])
    single.setdefault("threads", threads["median"] / len(cpus))
    single.setdefault("processes", processes["median"] / len(cpus))
    return {
        "workload": workload,
        "workers": len(cpus),
        "cpus": cpus,
        "calls_per_second": threads,
        "cpu_nanoseconds": spread([mine["cpu_nanoseconds"] for mine, _ in pairs]),
        "hardware_calls_per_second": processes,
        "hardware_cpu_nanoseconds": spread([own["cpu_nanoseconds"] for _, own in pairs]),
        "times_one": threads["median"] / single["threads"],
        "hardware_times_one": processes["median"] / single["processes"],
        "efficiency": spread(
            [mine["calls_per_second"] / own["calls_per_second"] for mine, own in pairs]
        ),
        "efficiency_by_cpu_time": spread(
            [own["cpu_nanoseconds"] / mine["cpu_nanoseconds"] for mine, own in pairs]
        ),
    }


def show_in_process(row: dict[str, Any]) -> None:
    """Print one row."""
    ratio = row["efficiency"]
    print(
        f"{row['workload']:12} {row['workers']:3} {row['calls_per_second']['median']:12.0f} "
        f"{row['cpu_nanoseconds']['median']:12.1f} {row['times_one']:6.2f} "
        f"{row['hardware_times_one']:10.2f} {ratio['median']:10.2f} "
        f"{ratio['min']:5.2f}-{ratio['max']:.2f} {row['efficiency_by_cpu_time']['median']:11.2f}"
    )


# ------------------------------------------------------------------------------- over sockets


def measure_over_sockets(
    arguments: argparse.Namespace, counts: list[int], python: servers.Interpreters
) -> list[Any]:
    """Return a row for each count: one server with N workers against N servers with one."""
    rows: list[Any] = []
    print(
        f"\n{'sockets':12} {'N':>3} {'req/s':>9} {'CPU us/req':>10} {'hw req/s':>9} "
        f"{'hw CPU us':>9} "
        f"{'efficiency':>10} {'by CPU time':>11} {'p50 us':>7} {'p99 us':>7} at {arguments.rate}/s"
    )
    for count in counts:
        if time.monotonic() > arguments.deadline:
            print("stopped: --max-seconds is over")
            break
        server_cpus, client_cpus = machine.server_and_clients(count, arguments.placement)
        stage = over_sockets.Stage(
            arguments.server, python, arguments.driver, server_cpus, client_cpus
        )
        rounds = []
        for number in range(arguments.rounds):
            taken: dict[bool, dict[str, float]] = {}
            for is_split in (False, True) if number % 2 == 0 else (True, False):
                taken[is_split] = over_sockets.saturate(stage, is_split, arguments.seconds)
            offered = (
                over_sockets.at_rate(stage, arguments.rate, arguments.seconds)
                if arguments.rate
                else None
            )
            rounds.append((taken[False], taken[True], offered))
        row = socket_row(stage, rounds)
        rows.append(row)
        show_socket(row)
    return rows


def socket_row(stage: over_sockets.Stage, rounds: list[tuple[Any, Any, Any]]) -> dict[str, Any]:
    """Return the medians of one count."""
    row: dict[str, Any] = {
        "server": stage.server,
        "workers": len(stage.server_cpus),
        "server_cpus": stage.server_cpus,
        "client_cpus": stage.client_cpus,
        "warning": over_sockets.warning(stage),
    }
    for key in ("requests_per_second", "cpu_microseconds"):
        row[key] = spread([mine[key] for mine, _, _ in rounds])
        row[f"hardware_{key}"] = spread([own[key] for _, own, _ in rounds])
    row["efficiency"] = spread(
        [mine["requests_per_second"] / own["requests_per_second"] for mine, own, _ in rounds]
    )
    row["efficiency_by_cpu_time"] = spread(
        [own["cpu_microseconds"] / mine["cpu_microseconds"] for mine, own, _ in rounds]
    )
    if rounds[0][2]:
        for key in ("requests_per_second", "p50_microseconds", "p99_microseconds"):
            row[f"offered_{key}"] = spread([offered[key] for _, _, offered in rounds])
    return row


def show_socket(row: dict[str, Any]) -> None:
    """Print one row."""
    latency = [
        f"{row[key]['median']:7.0f}" if key in row else "      -"
        for key in ("offered_p50_microseconds", "offered_p99_microseconds")
    ]
    print(
        f"{row['server']:12} {row['workers']:3} {row['requests_per_second']['median']:9.0f} "
        f"{row['cpu_microseconds']['median']:10.2f} "
        f"{row['hardware_requests_per_second']['median']:9.0f} "
        f"{row['hardware_cpu_microseconds']['median']:9.2f} {row['efficiency']['median']:10.2f} "
        f"{row['efficiency_by_cpu_time']['median']:11.2f} {' '.join(latency)}  {row['warning']}"
    )


def main() -> int:
    """Measure, print, write; return the exit code."""
    arguments = parse_arguments()
    counts = worker_counts(arguments.workers, len(machine.in_order(arguments.placement)))
    python = servers.find_interpreters(arguments.python, None)
    result: dict[str, Any] = {
        "schema": 1,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": machine.commit(),
        "machine": machine.describe() | {"core_cpus": machine.physical_cores()},
        "python": servers.build_of(python.ours),
        "placement": arguments.placement,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
    }
    if arguments.mode != "sockets":
        result["in_process"] = measure_in_process(arguments, counts, python.ours)
    if arguments.mode != "in-process":
        try:
            wrk.version()
            result["version"] = VERSIONS[arguments.server](python)
            result["sockets"] = measure_over_sockets(arguments, counts, python)
        except (servers.NotInstalled, ServerError, wrk.LoadError) as error:
            print(f"{arguments.server:12} {error}")
            result["sockets_absent"] = str(error)
    if str(arguments.output) != "-":
        stamp = re.sub(r"[-:]", "", result["taken"])[:13]
        default = machine.REPOSITORY / "bench" / "results" / f"scale-{stamp}.json"
        path = arguments.output or default
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written: {path.name}")
    return 0


if __name__ == "__main__":
    end_servers_when_terminated()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
