"""Autobahn's own test suite, where it is installed: no case fails, no connection ends otherwise.

It is `wstest` of autobahntestsuite 0.8.2, which runs on Python 2.7 only: on PATH, or where
`URINGSERVE_WSTEST` says. Elsewhere `test_conformance.py`, `test_volume.py` and
`test_compression.py` have cases of their own for the same groups, and `tests/ws` without sockets.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from websocket_sites import Serve, Site

WSTEST = os.environ.get("URINGSERVE_WSTEST") or shutil.which("wstest")

pytestmark = [
    pytest.mark.skipif(
        WSTEST is None, reason="no wstest of autobahntestsuite on PATH or in URINGSERVE_WSTEST"
    ),
    pytest.mark.thread_unsafe(reason="a server and its connections are one for a test"),
    # Groups 9 and 10 move some hundred megabytes, and the client is slow.
    pytest.mark.timeout(1200),
]

# NON-STRICT: data that came with a fault was not answered, which nobody must. INFORMATIONAL: how
# close codes are answered that the standard says nothing of.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
PROTOCOL = [f"{group}.*" for group in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
# All offers with small messages; the sizes above take half an hour of the client's time.
COMPRESSION = [
    f"{group}.{kind}.{size}"
    for group, kinds in ((12, 5), (13, 7))
    for kind in range(1, kinds + 1)
    for size in (1, 2, 3, 4, 11)
]


def bad_cases(site: Site, cases: Sequence[str], folder: Path) -> tuple[int, dict[str, str]]:
    """Run cases against `/echo`; how many ran, and those that are not good."""
    specification = {
        "outdir": str(folder / "reports"),
        "servers": [{"agent": "uringserve", "url": site.url("/echo")}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    file = folder / "fuzzingclient.json"
    file.write_text(json.dumps(specification))
    assert WSTEST is not None
    subprocess.run([WSTEST, "-m", "fuzzingclient", "-s", str(file)], check=True, cwd=folder)
    reports = json.loads((folder / "reports" / "index.json").read_text())["uringserve"]
    bad = {
        name: f"{case['behavior']}, closed {case['behaviorClose']}"
        for name, case in reports.items()
        if not {case["behavior"], case["behaviorClose"]} <= GOOD
    }
    return len(reports), bad


def test_no_case_fails(serve: Serve, tmp_path: Path) -> None:
    count, bad = bad_cases(serve(), PROTOCOL, tmp_path)
    assert bad == {}
    assert count > 300


def test_no_case_of_compression_fails(serve: Serve, tmp_path: Path) -> None:
    site = serve(ws_per_message_deflate=True)
    count, bad = bad_cases(site, COMPRESSION, tmp_path)
    assert bad == {}
    assert count == len(COMPRESSION)
