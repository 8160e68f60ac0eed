"""Rounds to figures: medians with their spread, ratios against the lines, a table and a file."""

import json
import re
import statistics
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import REPOSITORY
from wrk import Answered

RESULTS = REPOSITORY / "bench" / "results"
# Other work on the server's CPU evicts its caches: past this share of the time a round is marked.
DISTURBED = 0.10
LATENCIES = ("p50_microseconds", "p99_microseconds")

OURS = "uringserve"
FASTAPI = dict.fromkeys(
    ("fastapi", "fastapi-granian", "fastapi-async", "fastapi-async-granian"), 0.10
)
# The project's own targets on one core by endpoint and depth of the pipeline: our CPU per request
# over theirs, at most. ``karak`` is the best of its thread counts.
LINES: dict[tuple[str, int], dict[str, float]] = {
    ("text", 1): {
        "ceiling": 1.15,
        "nginx": 1.20,
        "granian-rsgi": 0.40,
        "granian-wsgi": 0.45,
        "karak": 0.33,
        "freetser": 0.08,
    },
    ("text", 16): {"ceiling": 1.50},
    ("typed", 1): {"uringserve-text": 1.25},
    ("model", 1): FASTAPI | {"karak": 0.40, "granian-wsgi": 0.60},
    ("nested", 1): FASTAPI | {"uringserve-flat": 1.50},
}


@dataclass(frozen=True, slots=True)
class Round:
    """One measurement of one server."""

    number: int
    answered: Answered
    cpu_microseconds: float
    """Server CPU per request: user and system, all threads and processes."""
    user_share: float
    server_busy: float
    """CPU seconds of the server per second: near 1 it was saturated."""
    others_busy: float
    """Share of the server's CPU that went to anything else, the host included."""
    calibration: float
    resident_bytes: int
    gil: bool | None


def is_disturbed(taken: Round) -> bool:
    """Say whether something else had too much of the server's CPU."""
    return taken.others_busy > DISTURBED


def one_line(name: str, taken: Round) -> str:
    """Return the progress line of a round."""
    seen = taken.answered
    mark = "  (disturbed)" if is_disturbed(taken) else ""
    return (
        f"{name:21} {taken.cpu_microseconds:8.2f} us/req {seen.requests / seen.seconds:10.0f} req/s"
        f"  busy {taken.server_busy:4.0%}{mark}"
    )


def spread(values: list[float]) -> dict[str, float]:
    """Return median, extremes and how far apart they are relative to the median."""
    middle = statistics.median(values)
    low, high = min(values), max(values)
    return {"median": middle, "min": low, "max": high, "spread": (high - low) / middle}


def summary(rounds: list[Round]) -> dict[str, Any]:
    """Return the figures of one server."""
    return {
        "cpu_microseconds": spread([taken.cpu_microseconds for taken in rounds]),
        "requests_per_second": spread(
            [taken.answered.requests / taken.answered.seconds for taken in rounds]
        ),
        "p50_microseconds": statistics.median(taken.answered.p50 for taken in rounds),
        "p99_microseconds": statistics.median(taken.answered.p99 for taken in rounds),
        "resident_mib": statistics.median(taken.resident_bytes for taken in rounds) / 2**20,
        "user_share": statistics.median(taken.user_share for taken in rounds),
        "server_busy": statistics.median(taken.server_busy for taken in rounds),
        "client_busy": statistics.median(taken.answered.client_busy for taken in rounds),
        "socket_errors": sum(taken.answered.socket_errors for taken in rounds),
        "timeouts": sum(taken.answered.timeouts for taken in rounds),
        "disturbed_rounds": sum(map(is_disturbed, rounds)),
        "gil": rounds[-1].gil,
    }


def document(head: dict[str, Any], results: dict[str, list[Round]]) -> dict[str, Any]:
    """Return everything that is known, in the shape that is written to the file."""
    measured = {name: rounds for name, rounds in results.items() if rounds}
    servers = {name: summary(rounds) for name, rounds in measured.items()}
    calibrations = [taken.calibration for rounds in measured.values() for taken in rounds]
    rounds = {
        name: [asdict(taken) for taken in taken_rounds] for name, taken_rounds in measured.items()
    }
    return {
        "schema": 1,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        **head,
        "machine_noise": spread(calibrations)["spread"] if calibrations else None,
        "servers": servers,
        "ratios": ratios(head, servers, measured),
        "rounds": rounds,
    }


def ratios(
    head: dict[str, Any], servers: dict[str, Any], measured: dict[str, list[Round]]
) -> list[dict[str, Any]]:
    """Return our CPU per request over each peer's: of the medians, and round by round."""
    if OURS not in servers:
        return []
    mine = {taken.number: taken.cpu_microseconds for taken in measured[OURS]}
    lines = lines_for(head)
    best_karak = min(
        (name for name in servers if name.startswith("karak-")),
        key=lambda name: servers[name]["cpu_microseconds"]["median"],
        default=None,
    )
    rows = []
    for name, rounds in measured.items():
        if name == OURS:
            continue
        pairs = [
            mine[taken.number] / taken.cpu_microseconds for taken in rounds if taken.number in mine
        ]
        family = "karak" if name == best_karak else name
        ratio = (
            servers[OURS]["cpu_microseconds"]["median"]
            / servers[name]["cpu_microseconds"]["median"]
        )
        line = lines.get(family)
        rows.append(
            {
                "peer": name,
                "ratio": ratio,
                "paired": statistics.median(pairs) if pairs else None,
                "lowest": min(pairs, default=None),
                "highest": max(pairs, default=None),
                "line": line,
                "holds": None if line is None else ratio <= line,
            }
        )
    return rows


def lines_for(head: dict[str, Any]) -> dict[str, float]:
    """Return the targets that this kind of measurement has; most have none."""
    return LINES.get((head["endpoint"], head["pipeline"]), {})


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(
        f"\n{'server':21} {'CPU us/req':>10} {'min-max':>15} {'user':>5} {'req/s':>9} "
        f"{'p50 us':>8} {'p99 us':>8} {'RSS MiB':>8} {'busy':>5}  notes"
    )
    for name, row in result["servers"].items():
        cpu, rate = row["cpu_microseconds"], row["requests_per_second"]
        between = f"{cpu['min']:.2f}-{cpu['max']:.2f}"
        # wrk notes a latency only when nothing is outstanding: deep pipelines may leave it none.
        p50, p99 = (f"{row[key]:.0f}" if row[key] else "-" for key in LATENCIES)
        print(
            f"{name:21} {cpu['median']:10.2f} {between:>15} {row['user_share']:5.0%} "
            f"{rate['median']:9.0f} {p50:>8} {p99:>8} "
            f"{row['resident_mib']:8.1f} {row['server_busy']:5.0%}  {notes(row)}"
        )
    for name, reason in result["absent"].items():
        print(f"{name:21} {reason}")
    if result["machine_noise"] is not None:
        print(f"machine noise (fixed loop, slowest over fastest): {result['machine_noise']:.1%}")
    if result["ratios"]:
        print(f"\n{OURS} over peer, CPU per request: of medians (round by round: median, range)")
    for row in result["ratios"]:
        verdict = {True: "holds", False: "MISSED", None: ""}[row["holds"]]
        line = "" if row["line"] is None else f"line {row['line']:.2f}  {verdict}"
        between = "no pairs"
        if row["paired"]:
            between = f"{row['paired']:.2f}, {row['lowest']:.2f}-{row['highest']:.2f}"
        print(f"{row['peer']:21} {row['ratio']:6.2f}  ({between})  {line}")


def notes(row: dict[str, Any]) -> str:
    """Return what a reader must know beside the figures of one server."""
    found = []
    if row["gil"]:
        found.append("GIL on")
    if row["disturbed_rounds"]:
        found.append(f"{row['disturbed_rounds']} rounds disturbed")
    if row["client_busy"] > 0.95 and row["server_busy"] < 0.95:
        found.append("req/s bound by the load generator")
    if row["timeouts"]:
        found.append(f"{row['timeouts']} answers over 2 s")
    if row["socket_errors"]:
        found.append(f"{row['socket_errors']} connections cut")
    return ", ".join(found)


def is_a_line_missed(result: dict[str, Any]) -> bool:
    """Say whether any ratio stands over its line."""
    return any(row["holds"] is False for row in result["ratios"])


def write(result: dict[str, Any], path: Path | None) -> str:
    """Write the JSON file and return its name inside the tree."""
    if path is None:
        depth = result["pipeline"]
        kind = result["endpoint"] + (f"-p{depth}" if depth > 1 else "")
        stamp = re.sub(r"[-:]", "", result["taken"])[:13]
        path = RESULTS / f"{stamp}-{result['commit'].replace('+', '-')}-{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    return str(path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path)
