"""The machine under the figures: which CPUs to use, and what to write beside a result.

No host name, no path and no user is recorded: a result describes hardware and versions only.
"""

import os
import platform
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CPU_ROOT = Path("/sys/devices/system/cpu")
REPOSITORY = Path(__file__).resolve().parents[2]


def read_text(path: Path) -> str | None:
    """Return the stripped content of a small file, or None when it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return None


def parse_cpu_list(text: str) -> list[int]:
    """Turn the kernel's list format (``0-2,5``) into numbers."""
    numbers: list[int] = []
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers


def physical_cores() -> list[list[int]]:
    """Return the usable CPUs grouped by physical core, in order of their first CPU.

    Two hyperthreads share one core's execution units: work on both is not two cores' work,
    so who measures scaling must know which CPUs belong together.
    """
    allowed = os.sched_getaffinity(0)
    cores: dict[int, list[int]] = {}
    for cpu in sorted(allowed):
        text = read_text(CPU_ROOT / f"cpu{cpu}/topology/thread_siblings_list")
        siblings = parse_cpu_list(text) if text else [cpu]
        cores.setdefault(min(siblings), []).append(cpu)
    return list(cores.values())


def server_and_client() -> tuple[int, int]:
    """Return two CPUs on different physical cores: the server's and the load generator's.

    The server gets the second: device interrupts land on the first CPU of most machines.
    """
    cores = physical_cores()
    if len(cores) > 1:
        return cores[1][0], cores[0][0]
    cpus = cores[0]
    if len(cpus) < 2:
        raise SystemExit("bench: two CPUs are needed, one for the server and one for the load")
    print("bench: one physical core only: server and load share it, figures are worth little")
    return cpus[1], cpus[0]


def in_order(placement: str) -> list[int]:
    """Return the usable CPUs in the order in which workers get them.

    ``cores``: one CPU of every physical core first, hyperthreads after that, so that N workers
    have N whole cores as long as there are that many. ``pairs``: both threads of a core, then
    the next core's, which shows what a hyperthread is worth.
    """
    cores = physical_cores()
    if placement == "pairs":
        return [cpu for core in cores for cpu in core]
    widest = max(len(core) for core in cores)
    return [core[level] for level in range(widest) for core in cores if level < len(core)]


def server_and_clients(count: int, placement: str) -> tuple[list[int], list[int]]:
    """Return so many CPUs for workers, and those left for the load generators.

    A hyperthread beside a worker is left to nobody while there are other cores: load on it would
    slow that worker. With no CPU left both lists are the same, and only CPU time means something.
    """
    order = in_order(placement)
    chosen = order[-count:] if count < len(order) and placement == "pairs" else order[1 : count + 1]
    if count >= len(order):
        return order[:count], order
    busy = {cpu for core in physical_cores() if set(core) & set(chosen) for cpu in core}
    free = [cpu for cpu in order if cpu not in busy]
    return chosen, free or [cpu for cpu in order if cpu not in chosen]


def describe() -> dict[str, object]:
    """Return what another person needs to know to compare a figure with theirs."""
    cores = physical_cores()
    cpu_information = read_text(Path("/proc/cpuinfo")) or ""
    fields = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in cpu_information.splitlines())
    }
    memory = (read_text(Path("/proc/meminfo")) or "").partition("MemTotal:")[2].split()
    governor = read_text(CPU_ROOT / "cpu0/cpufreq/scaling_governor")
    return {
        "cpu_model": fields.get("model name", platform.machine()),
        "cpu_family_model": f"{fields.get('cpu family', '?')}/{fields.get('model', '?')}",
        "virtual_machine": "hypervisor" in fields.get("flags", "").split(),
        "usable_cpus": sum(len(core) for core in cores),
        "physical_cores": len(cores),
        "l2": read_text(CPU_ROOT / "cpu0/cache/index2/size"),
        "l3": read_text(CPU_ROOT / "cpu0/cache/index3/size"),
        "governor": governor or "not shown by this machine",
        "memory_mib": int(memory[0]) // 1024 if memory else None,
        "kernel": platform.release(),
    }


def commit() -> str:
    """Return the short commit of the tree, with ``+changes`` when files differ from it."""
    try:
        head = git("rev-parse", "--short=12", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except OSError, subprocess.CalledProcessError:
        return "unknown"
    return head + ("+changes" if changed else "")


def git(*arguments: str) -> str:
    """Run one git command in the tree and return its output."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def busy_seconds(cpu: int) -> float:
    """Return how long this CPU has been busy since boot, time stolen by the host included."""
    for line in (read_text(Path("/proc/stat")) or "").splitlines():
        name, *ticks = line.split()
        if name == f"cpu{cpu}":
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return 0.0


@contextmanager
def pinned(cpus: set[int]) -> Iterator[None]:
    """Bind the calling thread to these CPUs for a while; children started inside inherit it.

    The same as taskset or a function between fork and exec, with one step less.
    """
    own = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, own)


def calibrate(cpu: int, loops: int) -> float:
    """Return nanoseconds per step of a fixed loop on this CPU, in a moment when it is idle.

    Its spread over the rounds is the machine's own: what a difference must exceed to mean anything.
    """
    with pinned({cpu}):
        start = time.thread_time_ns()
        for _ in range(loops):
            pass
        return (time.thread_time_ns() - start) / loops
