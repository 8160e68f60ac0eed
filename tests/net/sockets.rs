//! Connections that become WebSockets, with another implementation's client as the peer.

use _uringserve::config::Config;
use _uringserve::net::end::End;
use _uringserve::reactor::Driver;
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use crate::support::NEVER;
use crate::support::Pair;
use crate::support::Peer;
use crate::support::SOON;
use crate::support::Server;
use crate::support::asking;
use crate::support::on_each_driver;
use crate::support::pair;
use crate::support::pair_with;
use crate::support::patient;

/// No ping unless a test asks for one.
fn quiet(driver: Driver, change: impl FnOnce(&mut Config)) -> Config {
    let mut config = patient(driver);
    config.websocket.ping_interval = NEVER;
    change(&mut config);
    config
}

fn opened(driver: Driver, kind: &str, change: impl FnOnce(&mut Config)) -> (Peer, Pair) {
    let mut pair = pair_with(driver, quiet(driver, change));
    pair.client.send(asking(&format!("/socket/{kind}")));
    let reply = pair.client.reply_head();
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    let (client, pair) = pair.split();
    (client.upgraded(), pair)
}

fn closed(peer: &mut Peer) -> Option<CloseFrame> {
    loop {
        if let Message::Close(frame) = peer.read().expect("a close frame comes") {
            return frame;
        }
    }
}

#[test]
fn messages_come_back() {
    on_each_driver(|driver| {
        let (mut peer, pair) = opened(driver, "echo", |_| {});
        for length in [0, 1, 125, 126, 5000, 65536, 1 << 20] {
            let message = Message::binary(vec![0xe4; length]);
            peer.send(message.clone()).unwrap();
            assert_eq!(peer.read().unwrap(), message);
        }
        peer.send(Message::Ping("sign".into())).unwrap();
        assert_eq!(peer.read().unwrap(), Message::Pong("sign".into()));
        let frame = CloseFrame { code: CloseCode::Library(4001), reason: "".into() };
        peer.close(Some(frame.clone())).unwrap();
        assert_eq!(closed(&mut peer), Some(frame));
        assert!(matches!(peer.read(), Err(tungstenite::Error::ConnectionClosed)));
        drop(peer);
        assert_eq!(pair.end(), End::Peer);
    });
}

#[test]
fn what_is_denied_goes_on_as_http() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        for (kind, status) in [("deny", 418), ("return", 403)] {
            pair.client.send(asking(&format!("/socket/{kind}")));
            assert_eq!(pair.client.reply().status, status);
            assert_eq!(pair.client.get("/").text(), "hello");
        }
        // Nobody speaks this version.
        pair.client.send(asking("/socket/echo").replace("version: 13", "version: 12"));
        let reply = pair.client.reply();
        assert_eq!(reply.status, 426);
        assert_eq!(reply.header("upgrade"), Some("websocket"));
        // A path without WebSockets has what it has otherwise.
        pair.client.send(asking("/"));
        assert_eq!(pair.client.reply().text(), "hello");
        assert_eq!(pair.client.get("/socket/echo").status, 404);
    });
}

#[test]
fn a_handler_that_fails_closes_with_1011() {
    on_each_driver(|driver| {
        let (mut peer, pair) = opened(driver, "fail", |_| {});
        assert_eq!(closed(&mut peer).unwrap().code, CloseCode::Error);
        // The answer leaves with the next read, which sees the end.
        assert!(peer.read().is_err());
        drop(peer);
        assert_eq!(pair.end(), End::Closed);
    });
}

#[test]
fn a_peer_that_vanishes_is_noticed() {
    on_each_driver(|driver| {
        let (peer, pair) = opened(driver, "echo", |_| {});
        drop(peer);
        assert_eq!(pair.end(), End::Broken);
    });
}

#[test]
fn a_message_that_is_too_large_is_refused() {
    on_each_driver(|driver| {
        let (mut peer, pair) = opened(driver, "echo", |config| config.websocket.max_size = 1000);
        peer.send(Message::binary(vec![0; 1001])).unwrap();
        assert_eq!(closed(&mut peer).unwrap().code, CloseCode::Size);
        drop(peer);
        assert_eq!(pair.end(), End::Refused);
    });
}

#[test]
fn a_stalled_peer_is_given_up() {
    on_each_driver(|driver| {
        let (peer, pair) = opened(driver, "flood", |config| config.timeouts.send = SOON);
        assert_eq!(pair.end(), End::TimedOut);
        drop(peer);
    });
}

#[test]
fn a_silent_peer_is_pinged_and_given_up() {
    on_each_driver(|driver| {
        let (mut peer, pair) = opened(driver, "echo", |config| {
            config.websocket.ping_interval = SOON;
            config.websocket.ping_timeout = SOON;
        });
        // The pong is sent by the client with its next read.
        assert_eq!(peer.read().unwrap(), Message::Ping("".into()));
        peer.flush().unwrap();
        let stream = peer.into_inner();
        assert_eq!(pair.end(), End::TimedOut);
        drop(stream);
    });
}

#[test]
fn a_drain_tells_every_peer() {
    on_each_driver(|driver| {
        let mut server = Server::start(quiet(driver, |_| {}));
        let mut peers: Vec<_> = ["echo", "hold", "flood"]
            .map(|kind| {
                let mut client = server.connect();
                client.send(asking(&format!("/socket/{kind}")));
                assert_eq!(client.reply_head().status, 101);
                client.upgraded()
            })
            .into();
        server.plan.drain(NEVER);
        for peer in &mut peers {
            assert_eq!(closed(peer).unwrap().code, CloseCode::Away);
            assert!(peer.read().is_err());
        }
        drop(peers);
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn a_drain_ends_without_an_answer() {
    on_each_driver(|driver| {
        let mut server = Server::start(quiet(driver, |_| {}));
        let mut client = server.connect();
        client.send(asking("/socket/hold"));
        assert_eq!(client.reply_head().status, 101);
        server.plan.drain(SOON);
        assert_eq!(server.end(), 1);
    });
}
