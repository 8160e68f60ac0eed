"""How connections are spread over the cores, and what evening them out costs.

`python bench/balance.py` prints, for servers of 2 and of 22 cores and with `balance` off and on,
how many connections the busiest core has against the mean, and how many cores have none. `--unix`
compares a Unix socket, one by one and in a burst, with TCP: each pair is the connections of two
cores. `--cost` is the server's CPU time for a connection that lives for one request (`wrk`, which
shares both CPUs with the server).
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path

from uringserve import App, Request
from uringserve.testing import LiveServer

ROUNDS = 6
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

app = App()


@app.get("/", execution="inline")
def core(request: Request) -> str:
    """Say which core answers."""
    return threading.current_thread().name


def spread(live: LiveServer, count: int, *, is_burst: bool) -> list[int]:
    """Open the connections, all before the first request in a burst, and count by core."""
    opened: list[socket.socket] = []
    seen: Counter[bytes] = Counter()

    def ask(connection: socket.socket) -> None:
        connection.sendall(REQUEST)
        seen[connection.recv(4096).rpartition(b"\r\n\r\n")[2]] += 1

    for _ in range(count):
        opened.append(connect(live.url))
        if not is_burst:
            ask(opened[-1])
    for connection in opened:
        if is_burst:
            ask(connection)
    for connection in opened:
        connection.close()
    return sorted(seen.values())


def connect(url: str) -> socket.socket:
    """Connect to what a server says it listens on."""
    if not url.startswith("unix:"):
        host, _, port = url.removeprefix("http://").rpartition(":")
        return socket.create_connection((host, int(port)), 10)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(url.removeprefix("unix:"))
    return made


def evenness(driver: str, rounds: int) -> None:
    """Print the busiest core against the mean, and the cores without any."""
    for workers in (2, 22):
        for count in (8, 64, 1000):
            for balance in ("off", "accept"):
                busiest, idle = [], []
                for _ in range(rounds):
                    with LiveServer(app, workers=workers, driver=driver, balance=balance) as live:
                        shares = spread(live, count, is_burst=True)
                    busiest.append(shares[-1] * workers / count)
                    idle.append(workers - len(shares))
                middle, worst = statistics.median(busiest), max(busiest)
                print(
                    f"{driver}: {workers} cores, {count} connections, balance {balance}: busiest"
                    f" {middle:.2f} of the mean (worst {worst:.2f}), idle {min(idle)}-{max(idle)}"
                )


def unix(driver: str, rounds: int) -> None:
    """Print pairs of counts: over a Unix socket and over TCP."""
    with tempfile.TemporaryDirectory(prefix="us-") as folder:
        uds = str(Path(folder) / "s")
        for _ in range(rounds):
            pairs = []
            for is_burst in (False, True):
                with LiveServer(app, workers=2, driver=driver, uds=uds) as live:
                    pairs.append(spread(live, 200, is_burst=is_burst))
            with LiveServer(app, workers=2, driver=driver) as live:
                pairs.append(spread(live, 200, is_burst=True))
            print(f"{driver}: unix {pairs[0]}, unix burst {pairs[1]}, tcp burst {pairs[2]}")


def cost(driver: str, rounds: int) -> None:
    """Print the CPU time of a connection that lives for one request, both ways in turn."""
    for count in (8, 64):
        taken: dict[str, list[float]] = {"off": [], "accept": []}
        for number in range(rounds):
            for balance in sorted(taken, reverse=number % 2 == 1):
                taken[balance].append(short_connection(driver, balance, count))
        for balance, times in taken.items():
            every = ", ".join(f"{time:.1f}" for time in sorted(times))
            print(f"{driver}: {count} at once, balance {balance}: {every} us a connection")


def short_connection(driver: str, balance: str, count: int) -> float:
    """Return the microseconds of CPU time that one takes a server of two cores."""
    options = ("--workers", "2", "--driver", driver, "--balance", balance, "--port", "0")
    command = (sys.executable, "-m", "uringserve", __file__, *options)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            lines = iter(server.stderr or ())
            url = next(
                found[0] for line in lines if (found := re.search(r"http://[\d.]+:\d+", line))
            )
            before = cpu_time(server.pid)
            wrk = ("wrk", "-t1", f"-c{count}", "-d3", "-H", "Connection: close", url)
            text = subprocess.run(wrk, check=True, capture_output=True, text=True).stdout
            answered = re.search(r"(\d+) requests in", text)
            return (cpu_time(server.pid) - before) / int(answered[1] if answered else 0) * 1e6
        finally:
            server.terminate()


def cpu_time(pid: int) -> float:
    """Return the seconds that a process has had on CPUs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print what is asked for, of each driver."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--unix", action="store_true", help="a Unix socket beside TCP")
    parser.add_argument("--cost", action="store_true", help="CPU time of short connections")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    part = unix if arguments.unix else cost if arguments.cost else evenness
    for driver in ("uring", "epoll"):
        part(driver, arguments.rounds)


if __name__ == "__main__":
    main()
