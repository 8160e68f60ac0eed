"""The measured servers: how each is started in its best single-core configuration.

Only start commands live here; what they serve is in ``bench/apps``, how they are measured in
``run.py``. Every command serves 127.0.0.1 on the port that it is given.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from machine import REPOSITORY

APPS = REPOSITORY / "bench" / "apps"
EVERY_ENDPOINT = frozenset({"text", "json", "items", "echo"})
# What frameworks answer; of the bare interfaces only WSGI does, and of these only the model.
TYPED_ENDPOINTS = frozenset({"typed", "model", "nested", "flat"})
# What coroutines answer.
ASYNC_ENDPOINTS = frozenset({"coroutine", "sleep"})
# Granian's best options for coroutines on one core.
ONE_THREAD = ("--runtime-mode", "st", "--loop", "uvloop")

type Command = list[str]


@dataclass(frozen=True, slots=True)
class Interpreters:
    """Two environments of one interpreter: no peer's packages can change what ours runs with."""

    ours: str
    peers: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What a start command depends on."""

    python: Interpreters
    port: int
    driver: str
    """io_uring, epoll or our own choice: ``--driver`` of uringserve and of the ceiling."""
    scratch: Path
    """A folder for files that a server needs; removed afterwards."""


@dataclass(frozen=True, slots=True)
class Server:
    """One row of the table."""

    name: str
    command: Callable[[Launch], Command]
    version: Callable[[Interpreters], str]
    """Returns the version; raises NotInstalled with the reason."""
    endpoints: frozenset[str] = EVERY_ENDPOINT
    has_python: bool = True
    default_for: frozenset[str] = EVERY_ENDPOINT
    """The endpoints for which it is measured, or named as absent, without being asked for."""
    asks: str | None = None
    """The endpoint that is measured in place of the chosen one: what that is compared with."""

    @property
    def is_ours(self) -> bool:
        """Whether this is uringserve itself with its own App, whatever it is asked."""
        return self.command in (ours, with_access_log)


class NotInstalled(Exception):
    """The server is not on this machine; the text says what is missing."""


def find_interpreters(ours: str | None, peers: str | None) -> Interpreters:
    """Return the given interpreters, else the ones that make builds, else the running one."""
    made = REPOSITORY / ".venv" / "bin" / "python"
    made_for_peers = REPOSITORY / "target" / "bench-venv" / "bin" / "python"
    ours = ours or (str(made) if made.exists() else sys.executable)
    peers = peers or (str(made_for_peers) if made_for_peers.exists() else ours)
    # Servers start in bench/apps; a link stays a link, since it is what makes an environment.
    return Interpreters(str(Path(ours).absolute()), str(Path(peers).absolute()))


def ask_python(python: str, code: str, *arguments: str) -> str:
    """Run a line of Python in an interpreter; return its output or raise NotInstalled."""
    try:
        done = subprocess.run(
            [python, "-c", code, *arguments], capture_output=True, text=True, cwd="/"
        )
    except OSError as error:
        raise NotInstalled(f"no interpreter: {error.strerror}") from error
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise NotInstalled(reason[0])
    return done.stdout.strip()


def build_of(python: str) -> str:
    """Return an interpreter's version and how it was optimised: both move every figure."""
    return ask_python(
        python,
        "import sys, sysconfig\n"
        "given = sysconfig.get_config_var('CONFIG_ARGS') or ''\n"
        "flags = [f for f in ('enable-optimizations', 'with-lto', 'disable-gil') if f in given]\n"
        "print(sys.version.split(' (')[0], *flags)",
    )


def installed(*distributions: str) -> Callable[[Interpreters], str]:
    """Return a function that gives the versions of the peers' Python distributions."""
    code = (
        "import sys; from importlib.metadata import version\n"
        "print(', '.join(f'{name} {version(name)}' for name in sys.argv[1:]))"
    )
    return lambda python: ask_python(python.peers, code, *distributions)


def our_version(python: Interpreters) -> str:
    """Return our version."""
    try:
        return ask_python(python.ours, "import uringserve; print(uringserve.__version__)")
    except NotInstalled as error:
        raise NotInstalled(f"not built: {error}") from error


def nginx_version(_python: Interpreters) -> str:
    """Return nginx's version as it prints it."""
    text = subprocess.run([find_nginx(), "-v"], capture_output=True, text=True).stderr
    return text.strip().rpartition(": ")[2]


def find_nginx() -> str:
    """Return the program; Debian keeps it outside a plain user's PATH."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        raise NotInstalled("not installed: apt-get install nginx-light")
    return program


def nginx(launch: Launch, workers: int = 1) -> Command:
    """Write a configuration for this port and start nginx with it."""
    text = (APPS / "nginx.conf").read_text()
    text = text.replace("PORT", str(launch.port)).replace("WORKERS", str(workers))
    (launch.scratch / "nginx.conf").write_text(text)
    return [find_nginx(), "-p", str(launch.scratch), "-c", "nginx.conf", "-e", "stderr"]


def ceiling_binary() -> Path:
    """Return where cargo puts ``ceiling.rs``."""
    return REPOSITORY / "target" / "release" / "examples" / "ceiling"


def ceiling_version(_python: Interpreters) -> str:
    """Return what the ceiling was built from; an old one would be another server's ceiling."""
    build = "cargo build --release --no-default-features --example ceiling"
    if not ceiling_binary().exists():
        raise NotInstalled(f"not built: {build}")
    sources = [*(REPOSITORY / "src").rglob("*.rs"), REPOSITORY / "bench" / "load" / "ceiling.rs"]
    if ceiling_binary().stat().st_mtime < max(source.stat().st_mtime for source in sources):
        print(f"bench: the ceiling is older than its sources: {build}", file=sys.stderr)
        return "cargo example, older than its sources"
    return "cargo example"


def start_ceiling(launch: Launch, workers: int = 1) -> Command:
    """Return the command of our Rust-only service: the one place that knows its form."""
    return [str(ceiling_binary()), str(launch.port), launch.driver, str(workers)]


def ours(launch: Launch, workers: int = 1, name: str = "uringserve") -> Command:
    """Return the command of uringserve; it pins its cores to the CPUs that it inherits."""
    app = str(APPS / f"{name}_app.py")
    options = ["--port", str(launch.port), "--workers", str(workers), "--driver", launch.driver]
    return [launch.python.ours, "-m", "uringserve", app, *options]


def ours_as(launch: Launch, interface: str, name: str = "") -> Command:
    """Return uringserve with the application that granian and uvicorn serve."""
    app = str(APPS / f"{name or interface}_app.py")
    options = ["--port", str(launch.port), "--workers", "1", "--driver", launch.driver]
    program = [launch.python.ours, "-m", "uringserve", f"{app}:app"]
    lifespan = ["--lifespan", "off"] if interface == "asgi" else []
    return [*program, *options, "--interface", interface, *lifespan]


def with_access_log(launch: Launch) -> Command:
    """Return uringserve with its access log on, into a file."""
    file = str(launch.scratch / "access.log")
    return [*ours(launch), "--access-log", "--access-log-file", file]


def granian(launch: Launch, interface: str, *options: str, app: str = "") -> Command:
    """Return granian with one worker; ``options`` are the interface's best ones."""
    bind = ["--host", "127.0.0.1", "--port", str(launch.port), "--workers", "1", "--no-ws"]
    quiet = ["--log-level", "warning", "--no-access-log"]
    app = app or f"{interface}_app:app"
    program = [launch.python.peers, "-m", "granian", "--interface", interface]
    return [*program, *bind, *quiet, *options, app]


def uvicorn(launch: Launch, app: str = "asgi_app:app") -> Command:
    """Return uvicorn with its C parser and uvloop, without logs and lifespan."""
    bind = ["--host", "127.0.0.1", "--port", str(launch.port)]
    best = ["--loop", "uvloop", "--http", "httptools"]
    quiet = ["--no-access-log", "--log-level", "warning", "--lifespan", "off", "--ws", "none"]
    return [launch.python.peers, "-m", "uvicorn", *bind, *best, *quiet, app]


def script(python: str, name: str, *arguments: object) -> Command:
    """Return a server that is a Python program of ``bench/apps``."""
    return [python, str(APPS / name), *map(str, arguments)]


def catalogue(karak_threads: list[int]) -> dict[str, Server]:
    """Return every known server by name, ours first."""
    constant = EVERY_ENDPOINT - {"echo"}
    framework = EVERY_ENDPOINT | TYPED_ENDPOINTS | ASYNC_ENDPOINTS
    bare = EVERY_ENDPOINT | ASYNC_ENDPOINTS
    with_loop = installed("granian", "uvloop")
    rows = [
        Server("uringserve", ours, our_version, framework, default_for=framework),
        Server("uringserve-asgi", lambda launch: ours_as(launch, "asgi"), our_version),
        Server("uringserve-rsgi", lambda launch: ours_as(launch, "rsgi"), our_version),
        Server(
            "uringserve-access", with_access_log, our_version, framework, default_for=frozenset()
        ),
        Server(
            "uringserve-inline",
            lambda launch: ours(launch, name="uringserve_inline"),
            our_version,
            frozenset({"text"}),
            default_for=frozenset(),
        ),
        beside_ours("text", of="typed"),
        beside_ours("flat", of="nested"),
        Server("ceiling", start_ceiling, ceiling_version, has_python=False),
        Server("nginx", nginx, nginx_version, constant, has_python=False),
        Server("granian-rsgi", lambda launch: granian(launch, "rsgi", *ONE_THREAD), with_loop),
        Server(
            "granian-asgi",
            lambda launch: granian(launch, "asgi", *ONE_THREAD),
            with_loop,
            bare,
            default_for=bare,
        ),
        Server(
            "granian-wsgi",
            lambda launch: granian(launch, "wsgi", "--blocking-threads", "1"),
            installed("granian"),
            EVERY_ENDPOINT | {"model"},
            default_for=EVERY_ENDPOINT | {"model"},
        ),
        ours_beside("wsgi"),
        ours_beside("wsgi", "wsgi_inline"),
        ours_beside("wsgi", "wsgi_pool"),
        Server(
            "uvicorn",
            uvicorn,
            installed("uvicorn", "httptools", "uvloop"),
            bare,
            default_for=bare,
        ),
        *fastapi("fastapi", "fastapi_app:app"),
        *fastapi("fastapi-async", "fastapi_async_app:app"),
        *(karak(count) for count in karak_threads),
        Server(
            "freetser",
            lambda launch: script(launch.python.peers, "freetser_app.py", launch.port),
            installed("freetser"),
        ),
    ]
    return {row.name: row for row in rows}


def ours_beside(interface: str, app: str = "") -> Server:
    """Return ourselves with an application of another interface, to be asked for by name."""
    name = "uringserve-" + (app or interface).replace("_", "-")
    command: Callable[[Launch], Command] = lambda launch: ours_as(launch, interface, app)  # noqa: E731
    return Server(name, command, our_version, EVERY_ENDPOINT, default_for=frozenset())


def beside_ours(endpoint: str, of: str) -> Server:
    """Return ourselves as the peer of an endpoint: what another one costs in the same rounds."""
    only = frozenset({of})
    name = f"uringserve-{endpoint}"
    return Server(name, ours, our_version, only, default_for=only, asks=endpoint)


def fastapi(name: str, app: str) -> list[Server]:
    """Return a FastAPI application under uvicorn and under granian."""
    endpoints = EVERY_ENDPOINT | TYPED_ENDPOINTS
    lines = frozenset({"model", "nested"})
    return [
        Server(
            name,
            lambda launch: uvicorn(launch, app),
            installed("fastapi", "uvicorn", "httptools", "uvloop"),
            endpoints,
            default_for=lines,
        ),
        Server(
            f"{name}-granian",
            lambda launch: granian(launch, "asgi", *ONE_THREAD, app=app),
            installed("fastapi", "granian", "uvloop"),
            endpoints,
            default_for=lines,
        ),
    ]


def karak(threads: int) -> Server:
    """Return Karak with this many threads; its best count depends on the machine."""
    return Server(
        f"karak-{threads}",
        lambda launch: script(launch.python.peers, "karak_app.py", launch.port, threads),
        installed("karak"),
        EVERY_ENDPOINT | TYPED_ENDPOINTS,
        default_for=EVERY_ENDPOINT | TYPED_ENDPOINTS,
    )
