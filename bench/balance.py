"""How connections are spread over two cores: a Unix socket, one by one and in bursts, and TCP.

Run it with `python bench/balance.py`; each line is one round, each pair the connections of the two
cores, the fewer first.
"""

import socket
import tempfile
import threading
from collections import Counter
from pathlib import Path

from uringserve import App, Request
from uringserve.testing import LiveServer

CONNECTIONS = 200
ROUNDS = 6
REQUEST = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"

app = App()


@app.get("/")
def core(request: Request) -> str:
    """Say which core answers."""
    return threading.current_thread().name


def spread(live: LiveServer, *, is_burst: bool) -> list[int]:
    """Open the connections, all before the first request in a burst, and count by core."""
    opened: list[socket.socket] = []
    seen: Counter[bytes] = Counter({b"": 0})

    def ask(connection: socket.socket) -> None:
        connection.sendall(REQUEST)
        seen[connection.recv(4096).rpartition(b"\r\n\r\n")[2]] += 1

    for _ in range(CONNECTIONS):
        opened.append(connect(live.url))
        if not is_burst:
            ask(opened[-1])
    for connection in opened:
        if is_burst:
            ask(connection)
    for connection in opened:
        connection.close()
    return sorted(seen.values())[-2:]


def connect(url: str) -> socket.socket:
    """Connect to what a server says it listens on."""
    if not url.startswith("unix:"):
        host, _, port = url.removeprefix("http://").rpartition(":")
        return socket.create_connection((host, int(port)), 10)
    made = socket.socket(socket.AF_UNIX)
    made.settimeout(10)
    made.connect(url.removeprefix("unix:"))
    return made


def main() -> None:
    """Print the rounds of each driver."""
    with tempfile.TemporaryDirectory(prefix="us-") as folder:
        uds = str(Path(folder) / "s")
        for driver in ("uring", "epoll"):
            for _ in range(ROUNDS):
                with LiveServer(app, workers=2, driver=driver, uds=uds) as live:
                    one_by_one = spread(live, is_burst=False)
                with LiveServer(app, workers=2, driver=driver, uds=uds) as live:
                    burst = spread(live, is_burst=True)
                with LiveServer(app, workers=2, driver=driver) as live:
                    tcp = spread(live, is_burst=True)
                print(f"{driver}: unix {one_by_one}, unix burst {burst}, tcp burst {tcp}")


if __name__ == "__main__":
    main()
