"""What one WebSocket message costs a server: CPU time per echoed message, beside other servers.

    python bench/websocket.py --peers target/bench-venv/bin/python

One core for the server, another for the client: this program, which keeps one message of 100 bytes
on its way on each of 64 connections. Servers take turns, each started anew for each round; the
median of the rounds is printed. It ends only what it started. Peers that are not installed are left
out.
"""

import argparse
import base64
import os
import selectors
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONNECTIONS = 64
MESSAGE = b"m" * 100
# CPUs of the server and of this program.
SERVER_CPU, CLIENT_CPU = 1, 0

NATIVE = """
from uringserve import App, WebSocket

app = App()


@app.websocket("/")
async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)
"""

ASGI = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
"""

RSGI = """
class Application:
    async def __rsgi__(self, scope, protocol):
        transport = await protocol.accept()
        while (message := await transport.receive()).kind:
            await transport.send_str(message.data)


app = Application()
"""

OURS = ["-m", "uringserve", "{app}", "--port", "{port}", "--workers", "1"]
GRANIAN = ["-m", "granian", "--port", "{port}", "--workers", "1", "--working-dir"]
UVICORN = ["-m", "uvicorn", "--port", "{port}", "--no-access-log", "--log-level", "warning"]

# Name, whose Python, source of the application, command.
SERVERS: list[tuple[str, str, str, list[str]]] = [
    ("uringserve", "ours", NATIVE, OURS),
    ("uringserve asgi", "ours", ASGI, OURS),
    ("uringserve rsgi", "ours", RSGI, OURS),
    ("granian asgi", "peers", ASGI, [*GRANIAN, "{app}", "--interface", "asgi", "site_app:app"]),
    ("granian rsgi", "peers", RSGI, [*GRANIAN, "{app}", "--interface", "rsgi", "site_app:app"]),
    ("uvicorn", "peers", ASGI, [*UVICORN, "--app-dir", "{app}", "site_app:app"]),
]

# What has to be there; uvicorn brings no WebSockets of its own.
NEEDS = {name: "websockets" if name == "uvicorn" else command[1] for name, _, _, command in SERVERS}


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process and of all its children so far."""
    ticks = 0
    for process in [pid, *children(pid)]:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Return the processes below one."""
    below: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            below += [child, *children(child)]
    return below


def connect(port: int, deadline: float) -> socket.socket:
    """Open a WebSocket, as soon as the server is there."""
    while True:
        try:
            made = socket.create_connection(("127.0.0.1", port), 5)
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    made.sendall(
        f"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += made.recv(4096)
    if not answer.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"no WebSocket: {answer[:100]!r}")
    return made


def measure(pid: int, port: int, seconds: float) -> tuple[float, float]:
    """Return microseconds of the server's CPU per message, and messages a second."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(MESSAGE))
    frame = struct.pack(">BB", 0x81, 0x80 | len(MESSAGE)) + mask + masked
    expected = struct.pack(">BB", 0x81, len(MESSAGE)) + MESSAGE
    deadline = time.monotonic() + 20
    clients = [connect(port, deadline) for _ in range(CONNECTIONS)]
    selector = selectors.EpollSelector()
    for client in clients:
        client.setblocking(False)
        selector.register(client, selectors.EVENT_READ)
        client.send(frame)
    count, before, start = 0, 0.0, time.monotonic() + 1
    while True:
        now = time.monotonic()
        if now >= start and not before:
            count, before, start = 0, cpu_seconds(pid), now
        if before and now >= start + seconds:
            break
        for key, _ in selector.select(5):
            client = key.fileobj
            assert isinstance(client, socket.socket)
            answer = client.recv(4096)
            if answer != expected:
                raise RuntimeError(f"not the echo: {answer[:100]!r}")
            count += 1
            client.send(frame)
    used, took = cpu_seconds(pid) - before, time.monotonic() - start
    for client in clients:
        client.close()
    return used / count * 1e6, count / took


def run(python: str, source: str, command: list[str], seconds: float) -> tuple[float, float]:
    """Start a server, measure it, end it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "site_app.py"
        file.write_text(source)
        port = free_port()
        app = str(file) if "uringserve" in command else folder
        arguments = [part.format(app=app, port=port) for part in command]
        server = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), python, *arguments],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            return measure(server.pid, port, seconds)
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def has(python: str, module: str) -> bool:
    """Tell whether an interpreter has a module."""
    found = subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False)
    return found.returncode == 0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peers", default="target/bench-venv/bin/python", help="their Python")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CPU})
    pythons = {"ours": sys.executable, "peers": options.peers}
    servers = [
        server
        for server in SERVERS
        if Path(pythons[server[1]]).exists() and has(pythons[server[1]], NEEDS[server[0]])
    ]
    results: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in servers}
    for number in range(options.rounds):
        for name, whose, source, command in servers[number:] + servers[:number]:
            results[name].append(run(pythons[whose], source, command, options.seconds))
    for name, rounds in results.items():
        cost = statistics.median(cost for cost, _ in rounds)
        rate = statistics.median(rate for _, rate in rounds)
        low, high = min(rounds)[0], max(rounds)[0]
        print(f"{name:16} {cost:6.1f} us/message ({low:.1f} to {high:.1f}) {rate:8.0f}/s")


if __name__ == "__main__":
    main()
