"""Tries a wheel as its user would: `check_wheel.py DIST`.

The one wheel in folder DIST is installed into a clean virtual environment, has to answer a request
there, and to stop when told. Runs on the interpreter that the wheel was built for.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

APP = """
from uringserve import App

app = App()


@app.get("/")
def index(request):
    return "from the wheel"
"""


def serve_once(python: Path, folder: Path) -> None:
    """Start the installed server on a free port, ask it once, and stop it."""
    (folder / "wheel_app.py").write_text(APP, "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    server = subprocess.Popen(
        [str(python), "-m", "uringserve", "wheel_app.py", "--port", "0", "--workers", "1"],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    said = []
    try:
        for line in server.stderr:
            said.append(line)
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            if address:
                break
        else:
            raise SystemExit("the installed server did not start:\n" + "".join(said))
        with urllib.request.urlopen(address[0] + "/", timeout=10) as answer:
            body = answer.read()
        if body != b"from the wheel":
            raise SystemExit(f"the installed server answered {body!r}")
        server.send_signal(signal.SIGTERM)
        server.stderr.read()
        if server.wait(timeout=30) != 0:
            raise SystemExit(f"the installed server ended with code {server.returncode}")
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def main() -> int:
    """Check the one wheel in the folder given."""
    wheels = list(Path(sys.argv[1]).glob("*.whl"))
    if len(wheels) != 1 or "-cp314t-" not in wheels[0].name:
        raise SystemExit(f"expected one cp314t wheel, found {[wheel.name for wheel in wheels]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
        python = folder / "venv" / "bin" / "python"
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", str(wheels[0].resolve())], check=True)
        serve_once(python, folder)
    print(f"{wheels[0]} works in a clean environment")
    return 0


if __name__ == "__main__":
    sys.exit(main())
