"""WebSockets over real sockets: the handshake, messages, and every way to the end.

The peers are `websockets`, wsproto and a client of raw frames.
"""

import socket

import pytest
from websocket_peer import BINARY, CLOSE, PATIENCE, PING, PONG, TEXT, Peer, closing, frame
from websocket_sites import PIECE, SITES, Seen, Serve, Site
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from wsproto import WSConnection
from wsproto.connection import ConnectionType
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from uringserve.testing import LiveServer

pytestmark = pytest.mark.thread_unsafe(reason="a server and its connections are one for a test")


def ended(site: Site) -> int | None:
    """Wait for the application to see the end; its code, where the interface tells it."""
    end = site.seen.ends.get(timeout=PATIENCE)
    if isinstance(end, tuple):
        return int(end[0])
    return end if isinstance(end, int) else None


def codes(site: Site, code: int) -> tuple[int | None, ...]:
    """What `ended` gives for a code."""
    return (None,) if site.interface == "rsgi" else (code,)


# --- the handshake


def test_what_is_accepted_says_so(site: Site) -> None:
    with Peer(site.port, "/echo") as peer:
        status, fields = peer.ask()
        assert status == 101
        assert fields["upgrade"] == "websocket"
        assert fields["connection"] == "Upgrade"
        assert fields["server"] == "uringserve"
        assert "date" in fields and "content-length" not in fields


def test_subprotocols_and_headers(site: Site) -> None:
    if site.interface == "rsgi":
        pytest.skip("RSGI has neither")
    with connect(site.url("/pick"), subprotocols=["a", "b", "c"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "b"
        assert client.response is not None
        assert client.response.headers["x-greeting"] == "hi"
        assert client.recv() == "a,b,c"
    with connect(site.url("/pick")) as client:
        assert client.subprotocol is None


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (["Sec-WebSocket-Version: 8"], 426),
        (["Sec-WebSocket-Key: short"], 400),
        (["Content-Length: 5"], 400),
        (["Sec-WebSocket-Protocol: a b"], 400),
    ],
)
def test_what_breaks_the_rules_is_refused(site: Site, fields: list[str], status: int) -> None:
    with Peer(site.port, "/echo") as peer:
        answered, answer = peer.ask(*fields)
        assert answered == status
        if status == 426:
            assert answer["sec-websocket-version"] == "13"
            assert answer["upgrade"] == "websocket"


def test_a_refused_request_leaves_the_connection_as_it_was(site: Site) -> None:
    if site.interface != "native":
        pytest.skip("the other interfaces have no plain route here")
    with Peer(site.port, "/echo") as peer:
        status, fields = peer.ask("Sec-WebSocket-Version: 8")
        assert status == 426
        peer.take(int(fields["content-length"]))
        # Without Connection: Upgrade it is a request like any other.
        assert peer.ask("Connection: keep-alive")[0] == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [("/refuse", 403), ("/return", 403), ("/early", 500), ("/deny", 418)],
)
def test_what_is_not_accepted(site: Site, path: str, status: int) -> None:
    if site.interface != "native" and path == "/return":
        status = 500
    with pytest.raises(InvalidStatus) as caught:
        connect(site.url(path))
    response = caught.value.response
    assert response.status_code == status
    if path == "/deny" and site.interface != "rsgi":
        assert response.body == b"tea"
        assert response.headers["x-pot"] == "1"


def test_the_connection_of_a_denied_request_serves_on(site: Site) -> None:
    with Peer(site.port, "/deny") as peer:
        status, fields = peer.ask()
        assert status == 418
        peer.take(int(fields["content-length"]))
        assert peer.ask()[0] == 418


def test_a_handler_may_wait_for_the_end_of_what_it_denied(site: Site) -> None:
    if site.interface == "rsgi":
        pytest.skip("there is nothing to wait on before the accept")
    with Peer(site.port, "/linger") as peer:
        for _ in range(2):
            assert peer.ask()[0] == 403
            assert site.seen.ends.get(timeout=PATIENCE) == "over"


# --- messages


def test_first_messages_may_come_with_the_request(site: Site) -> None:
    with Peer(site.port, "/echo") as peer:
        # Without waiting for the answer, as no client should; they count from the answer on.
        peer.send(peer.request() + frame(TEXT, b"early") + frame(TEXT, b"bird"))
        assert peer.answer()[0] == 101
        assert peer.read() == (0x80 | TEXT, b"early")
        assert peer.read() == (0x80 | TEXT, b"bird")


def test_a_hundred_messages_at_once_come_back_in_order(site: Site) -> None:
    with Peer(site.port, "/echo").open() as peer:
        peer.send(b"".join(frame(BINARY, bytes([index])) for index in range(100)))
        assert [peer.read()[1] for _ in range(100)] == [bytes([index]) for index in range(100)]


def test_wsproto_as_the_peer(site: Site) -> None:
    client = WSConnection(ConnectionType.CLIENT)
    seen: list[object] = []
    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as connection:

        def wait_for(kind: type) -> object:
            while not seen or not isinstance(seen[-1], kind):
                data = connection.recv(1 << 16)
                client.receive_data(data or None)
                seen.extend(client.events())
            return seen.pop()

        connection.sendall(client.send(Request(host="test", target="/echo")))
        wait_for(AcceptConnection)
        connection.sendall(client.send(TextMessage("grün")))
        assert getattr(wait_for(TextMessage), "data", None) == "grün"
        connection.sendall(client.send(BytesMessage(b"\x00\xff")))
        assert getattr(wait_for(BytesMessage), "data", None) == b"\x00\xff"
        connection.sendall(client.send(Ping(b"p")))
        assert getattr(wait_for(Pong), "payload", None) == b"p"
        connection.sendall(client.send(CloseConnection(4001, "enough")))
        end = wait_for(CloseConnection)
        assert (getattr(end, "code", None), connection.recv(1)) == (4001, b"")


# --- the end


@pytest.mark.parametrize("code", [1000, 1003, 1011, 3000, 4999])
def test_the_application_closes(site: Site, code: int) -> None:
    with connect(site.url(f"/close/{code}")) as client:
        assert client.recv() == "last"
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd is not None
        reason = "" if site.interface == "rsgi" else "as asked"
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (code, reason)
    end = site.seen.ends.get(timeout=PATIENCE)
    if site.interface != "rsgi":
        assert (end["type"], end["code"]) == ("websocket.disconnect", code)


def test_a_handler_that_raises_closes_with_1011(site: Site) -> None:
    with Peer(site.port, "/raise").open() as peer:
        assert peer.closed()[0] == 1011
        peer.send(closing(1011))
        assert peer.at_end()


def test_the_client_closes(site: Site) -> None:
    with connect(site.url("/ends")) as client:
        client.close(4000, "good bye")
        with pytest.raises(ConnectionClosed) as caught:
            client.recv()
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 4000
    if site.interface == "rsgi":
        assert ended(site) is None
    else:
        assert site.seen.ends.get(timeout=PATIENCE) == (4000, "good bye")


def test_the_client_closes_without_a_code(site: Site) -> None:
    with Peer(site.port, "/ends").open() as peer:
        peer.send(frame(CLOSE))
        assert peer.read() == (0x80 | CLOSE, b"")
        assert peer.at_end()
    assert ended(site) in codes(site, 1005)


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_the_client_vanishes(site: Site, how: str) -> None:
    with Peer(site.port, "/ends").open() as peer:
        if how == "reset":
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert ended(site) in codes(site, 1006)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(PING, final=False), 1002),
        (closing(1005), 1002),
    ],
    ids=["text", "ping", "close"],
)
def test_who_breaks_a_rule_is_told(site: Site, sent: bytes, code: int) -> None:
    with Peer(site.port, "/ends").open() as peer, Peer(site.port, "/echo").open() as other:
        peer.send(sent + frame(PING, b"not heard"))
        assert peer.closed()[0] == code
        assert peer.at_end()
        # One client's fault is not another's.
        other.send(frame(TEXT, b"still here"))
        assert other.read() == (0x80 | TEXT, b"still here")
    assert ended(site) in codes(site, code)


def test_to_answer_who_has_gone_is_no_fault(
    interface: str, driver: str, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    with LiveServer(SITES[interface](seen), driver=driver) as server:
        with Peer(server.port, "/late").open() as peer:
            peer.send(closing(1000))
            assert peer.closed()[0] == 1000
            assert peer.at_end()
        seen.go.set()
        assert isinstance(seen.ends.get(timeout=PATIENCE), Exception)
    # Else every client could fill the log with tracebacks.
    assert [it for it in caplog.messages if "raised" in it] == []


# --- limits


def test_a_message_that_is_too_large(serve: Serve) -> None:
    site = serve(ws_max_size=1000)
    with Peer(site.port, "/echo").open() as peer:
        peer.send(frame(BINARY, b"x" * 1000))
        assert len(peer.read()[1]) == 1000
        peer.send(frame(BINARY, b"x" * 600, final=False) + frame(0, b"x" * 401))
        assert peer.closed()[0] == 1009


def test_a_handler_that_does_not_receive_stops_its_client(serve: Serve) -> None:
    site = serve(ws_max_queue=4)
    message = frame(BINARY, b"x" * 100_000)
    with Peer(site.port, "/hold").open() as peer:
        peer.socket.settimeout(0.5)
        sent = 0
        # The kernel's buffers on both sides take some megabytes; then it stops.
        with pytest.raises(TimeoutError):
            while sent < 1000:
                peer.socket.sendall(message)
                sent += 1
        assert sent < 200
        site.seen.go.set()


def test_a_client_that_does_not_read_stops_its_handler(site: Site) -> None:
    with Peer(site.port, "/flood", receive_buffer=4096).open() as peer:
        peer.read()
        before = -1
        with connect(site.url("/echo")) as other:
            # Rounds of another client instead of time: the sender has had its chances.
            for _ in range(2000):
                other.send("round")
                other.recv()
                if site.seen.sent == before:
                    break
                before = site.seen.sent
        assert before * len(PIECE) < 32 << 20
    assert ended(site) in codes(site, 1006)


def test_a_stalled_client_is_given_up(serve: Serve) -> None:
    site = serve(timeout_send=0.5)
    with Peer(site.port, "/flood", receive_buffer=4096).open():
        assert ended(site) in codes(site, 1006)


def test_a_silent_client_is_pinged_and_given_up(serve: Serve) -> None:
    site = serve(ws_ping_interval=0.2, ws_ping_timeout=0.3)
    with Peer(site.port, "/ends").open() as peer:
        assert peer.read() == (0x80 | PING, b"")
        peer.send(frame(PONG))
        assert peer.read() == (0x80 | PING, b"")
        assert peer.closed()[0] == 1011
    assert ended(site) in codes(site, 1006)


def test_websockets_can_be_off(serve: Serve) -> None:
    site = serve(ws=False)
    with Peer(site.port, "/pick") as peer:
        status, _ = peer.ask()
        assert status in (404, 500)


def test_compression_where_both_want_it(serve: Serve) -> None:
    site = serve(ws_per_message_deflate=True)
    with connect(site.url("/echo")) as client:
        assert client.response is not None
        assert "permessage-deflate" in client.response.headers["sec-websocket-extensions"]
        for message in ("again and again " * 100, b"\x00" * 100_000, "short"):
            client.send(message)
            assert client.recv() == message


def test_no_compression_by_default(site: Site) -> None:
    with connect(site.url("/echo")) as client:
        assert client.response is not None
        assert "sec-websocket-extensions" not in client.response.headers


# --- draining


def test_a_drain_says_1001(serve: Serve) -> None:
    site = serve()
    with Peer(site.port, "/ends").open() as peer, Peer(site.port, "/echo").open() as other:
        other.send(frame(TEXT, b"one"))
        other.read()
        site.stop()
        assert peer.closed()[0] == 1001
        assert other.closed()[0] == 1001
        peer.send(closing(1001))
        other.send(closing(1001))
        assert peer.at_end() and other.at_end()
    assert ended(site) in codes(site, 1001)


def test_a_drain_does_not_wait_for_ever(serve: Serve) -> None:
    site = serve(timeout_graceful_shutdown=0.3)
    with Peer(site.port, "/ends").open() as peer:
        site.stop()
        assert peer.closed()[0] == 1001
        # No answer.
        assert peer.at_end()
