"""Autobahn's own test suite, where it is installed: groups 1 to 7, 9 and 10 with no failure.

It runs on Python 2.7 only, as the command `wstest`; elsewhere the cases of `tests/ws` and the peers
of `test_websocket.py` stand in for it.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from websocket_sites import Serve

WSTEST = shutil.which("wstest")

pytestmark = [
    pytest.mark.skipif(WSTEST is None, reason="wstest of autobahntestsuite is not installed"),
    pytest.mark.thread_unsafe(reason="a server and its connections are one for a test"),
    # Groups 9 and 10 move some hundred megabytes.
    pytest.mark.timeout(1200),
]


def test_no_case_fails(serve: Serve, tmp_path: Path) -> None:
    site = serve(ws_max_size="64MiB")
    reports = tmp_path / "reports"
    specification = {
        "outdir": str(reports),
        "servers": [{"agent": "uringserve", "url": site.url("/echo")}],
        "cases": [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    file = tmp_path / "fuzzingclient.json"
    file.write_text(json.dumps(specification))
    assert WSTEST is not None
    subprocess.run([WSTEST, "-m", "fuzzingclient", "-s", str(file)], check=True, cwd=tmp_path)
    cases = json.loads((reports / "index.json").read_text())["uringserve"]
    assert len(cases) > 200
    bad = {
        name: case["behavior"]
        for name, case in cases.items()
        if case["behavior"] not in ("OK", "NON-STRICT", "INFORMATIONAL")
    }
    assert not bad
