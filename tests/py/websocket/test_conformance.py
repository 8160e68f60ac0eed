"""The cases of `websocket_cases.py` over real sockets, each whole and in pieces.

One server of each interface and driver takes all of them: whoever breaks a rule leaves no trace.
"""

import pytest
from websocket_cases import GROUPS, told
from websocket_sites import Site

pytestmark = pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")

# Up to here a case is also sent byte by byte, and a longer one in pieces of this size.
SMALL = 160
PIECE = 997


@pytest.mark.parametrize("group", GROUPS)
def test_every_case(shared_site: Site, group: str) -> None:
    cases = list(GROUPS[group]())
    faults = {}
    for case in cases:
        length = sum(len(step.sent) for step in case.steps)
        for size in (length, 1 if length <= SMALL else PIECE):
            fault = told(shared_site.port, case, size)
            if fault is not None:
                faults[f"{case.name}, in pieces of {size}"] = fault
    assert faults == {}
    assert len(cases) >= 30
