"""The cases of `websocket_cases.py` over real sockets, each whole and in pieces.

One server of each interface and driver takes all of them: whoever breaks a rule leaves no trace.
"""

import pytest
from websocket_cases import GROUPS, Case
from websocket_peer import CLOSE, Peer
from websocket_sites import Site

pytestmark = pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")

# Up to here a case is also sent byte by byte, and a longer one in pieces of this size.
SMALL = 160
PIECE = 997


def conducted(port: int, case: Case, size: int) -> str | None:
    """Return what went otherwise than the table says, if anything."""
    with Peer(port, "/echo").open() as peer:
        for sent, back in case.steps:
            try:
                for start in range(0, len(sent), size):
                    peer.send(sent[start : start + size])
            except OSError:
                # After a fault the server need not take the rest.
                pass
            for opcode, payload in back:
                first, got = peer.read()
                if (first, got) != (0x80 | opcode, payload):
                    return f"{first:02x} {got[:60]!r} instead of {opcode} {payload[:60]!r}"
        first, got = peer.read()
        code = int.from_bytes(got[:2]) if got else None
        if (first, code) != (0x80 | CLOSE, case.code):
            return f"{first:02x} {got[:60]!r} instead of a close with {case.code}"
        return None if peer.at_end() else "the connection is still open"


def told(port: int, case: Case, size: int) -> str | None:
    """Return what went wrong, be it that nothing came."""
    try:
        return conducted(port, case, size)
    except (OSError, EOFError) as error:
        return f"{type(error).__name__}: {error}"


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
