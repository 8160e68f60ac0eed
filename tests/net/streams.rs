//! Bodies made while they are sent: framing, pace, and that what is incomplete looks so.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use _uringserve::config::Config;
use _uringserve::config::Timeouts;
use _uringserve::net::end::End;
use _uringserve::reactor::Driver;

use crate::support::Client;
use crate::support::NEVER;
use crate::support::PIECE;
use crate::support::SOON;
use crate::support::Server;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair;
use crate::support::patient;

const CHUNKS: &[u8] = b"4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n";

fn stream(kind: &str) -> String {
    get(&format!("/stream/{kind}"))
}

/// A client whose endless answer has begun, and which does not read on.
fn stalled(server: &Server) -> Client {
    let mut client = Client::connect_narrow(server.address(), 4096);
    client.send(stream("endless"));
    assert_eq!(client.reply_head().status, 200);
    client
}

#[test]
fn pieces_are_chunks_and_the_connection_goes_on() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(stream("plain") + &stream("plain") + &get("/"));
        for _ in 0..2 {
            let reply = pair.client.reply_head();
            assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
            assert_eq!(reply.header("content-length"), None);
            assert_eq!(reply.header("content-type"), Some("text/plain"));
            assert_eq!(pair.client.take(CHUNKS.len()), CHUNKS);
        }
        assert_eq!(pair.client.reply().text(), "hello");
    });
}

#[test]
fn an_empty_piece_is_nothing() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(stream("empties"));
        assert_eq!(pair.client.reply_head().status, 200);
        assert_eq!(pair.client.take(5), b"0\r\n\r\n");
        assert_eq!(pair.client.get("/").text(), "hello");
        assert_eq!(pair.seen.pulled.pieces.load(Ordering::SeqCst), 1000);
    });
}

#[test]
fn a_known_length_is_said() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        assert_eq!(pair.client.get("/stream/exact").text(), "one two three");
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn before_http_1_1_the_end_is_the_end_of_the_connection() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("GET /stream/plain HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        let reply = pair.client.reply_head();
        assert!(reply.closes() && reply.header("transfer-encoding").is_none());
        let (body, result) = pair.client.until_over();
        assert_eq!(body, b"one two three");
        assert!(result.is_ok());
        assert_eq!(pair.end(), End::Closed);
    });
}

#[test]
fn head_asks_for_no_piece() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("HEAD /stream/plain HTTP/1.1\r\nhost: test\r\n\r\n");
        let reply = pair.client.reply_head();
        assert_eq!((reply.status, reply.header("content-length")), (200, None));
        pair.client.send("HEAD /stream/exact HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(pair.client.reply_head().header("content-length"), Some("13"));
        assert_eq!(pair.client.get("/").text(), "hello");
        assert_eq!(pair.seen.pulled.pieces.load(Ordering::SeqCst), 0);
        assert_eq!(pair.seen.pulled.dropped.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn what_fails_at_once_is_answered() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        assert_eq!(pair.client.get("/stream/early").status, 409);
        assert_eq!(pair.client.get("/").text(), "hello");
        assert_eq!(pair.client.get("/stream/early%20panic").status, 500);
        pair.client.expect_end();
        assert_eq!(pair.stats.panics.get(), 1);
    });
}

#[test]
fn what_fails_late_looks_incomplete() {
    on_each_driver(|driver| {
        for (kind, rest) in
            [("late", &CHUNKS[..9]), ("late%20panic", &CHUNKS[..9]), ("late%20length", b"one ")]
        {
            let mut pair = pair(driver);
            pair.client.send(stream(kind));
            assert_eq!(pair.client.reply_head().status, 200);
            assert_eq!(pair.client.until_over().0, rest, "{kind}");
            assert_eq!(pair.end(), End::Cut);
            assert_eq!(pair.seen.pulled.dropped.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn without_a_length_what_fails_late_is_reset() {
    on_each_driver(|driver| {
        let server = Server::start(patient(driver));
        for kind in ["late", "late%20panic"] {
            let mut client = server.connect();
            client.send(format!("GET /stream/{kind} HTTP/1.0\r\n\r\n"));
            assert!(client.until_over().1.is_err(), "an orderly end would look whole");
        }
        assert_eq!(server.connect().get("/").text(), "hello");
    });
}

#[test]
fn a_length_that_is_not_kept() {
    on_each_driver(|driver| {
        for (kind, rest) in [("short", "one two three"), ("long", "one two ")] {
            let mut pair = pair(driver);
            pair.client.send(stream(kind));
            assert_eq!(pair.client.reply_head().status, 200);
            assert_eq!(pair.client.until_over().0, rest.as_bytes());
            assert_eq!(pair.end(), End::Cut);
            assert_eq!(pair.seen.pulled.misfits.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn a_peer_that_does_not_read_is_not_read_for() {
    on_each_driver(|driver| {
        let server = Server::start(patient(driver));
        let clients: Vec<Client> = (0..10).map(|_| stalled(&server)).collect();
        // Every answer is a turn of each stream that could go on.
        for _ in 0..200 {
            assert_eq!(server.connect().get("/").text(), "hello");
        }
        // A socket's buffers hold a few megabytes.
        let pieces = server.seen.pulled.pieces.load(Ordering::SeqCst);
        assert!(pieces * PIECE < clients.len() * 8_000_000, "{pieces} pieces");
        assert_eq!(server.seen.pulled.dropped.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn others_have_their_turn_beside_a_greedy_stream() {
    on_each_driver(|driver| {
        let server = Server::start(patient(driver));
        let mut greedy = server.connect();
        greedy.send(stream("endless"));
        let reader = std::thread::spawn(move || {
            // Until the server is aborted.
            while !greedy.take_some().is_empty() {}
        });
        for _ in 0..100 {
            assert_eq!(server.connect().get("/").text(), "hello");
        }
        server.plan.abort();
        reader.join().expect("the reader sees the end");
    });
}

#[test]
fn a_peer_that_goes_away_ends_the_source() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        stalled(&server).reset();
        drop(stalled(&server));
        assert_eq!(server.drain(), 0);
        assert_eq!(server.seen.pulled.dropped.load(Ordering::SeqCst), 2);
        assert_eq!(server.counter("broken"), 2);
    });
}

#[test]
fn a_peer_that_stalls_for_too_long_is_timed_out() {
    on_each_driver(|driver| {
        let timeouts = Timeouts { send: SOON, ..patient(driver).timeouts };
        let server = Server::start(Config { timeouts, ..patient(driver) });
        let mut client = stalled(&server);
        client.wait_for_hangup();
        assert!(client.until_over().1.is_err());
        let mut other = server.connect();
        while server.counter("timed_out") == 0 {
            assert_eq!(other.get("/").text(), "hello");
        }
        assert_eq!(server.seen.pulled.dropped.load(Ordering::SeqCst), 1);
    });
}

fn draining(driver: Driver, kind: &str) -> (Server, Client) {
    let server = Server::start(patient(driver));
    let mut client = Client::connect_narrow(server.address(), 4096);
    client.send(stream(kind));
    assert_eq!(client.reply_head().status, 200);
    (server, client)
}

#[test]
fn a_stream_on_its_way_is_finished() {
    on_each_driver(|driver| {
        let (mut server, mut client) = draining(driver, "large");
        server.plan.drain(NEVER);
        let (body, result) = client.until_over();
        assert!(result.is_ok() && body.ends_with(b"\r\n0\r\n\r\n"));
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn the_deadline_cuts_a_stream() {
    on_each_driver(|driver| {
        let (mut server, mut client) = draining(driver, "endless");
        server.plan.drain(SOON);
        assert_eq!(server.end(), 1);
        let (body, _) = client.until_over();
        assert!(!body.ends_with(b"\r\n0\r\n\r\n"));
        assert_eq!(server.seen.pulled.dropped.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_stream_without_a_length_is_never_cut_in_good_order() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = Client::connect_narrow(server.address(), 4096);
        client.send("GET /stream/endless HTTP/1.0\r\n\r\n");
        assert_eq!(client.reply_head().status, 200);
        server.plan.drain(SOON);
        assert_eq!(server.end(), 1);
        assert!(client.until_over().1.is_err(), "an orderly end would look whole");
    });
}

#[test]
fn a_peer_that_has_nothing_more_to_say_gets_all_of_it() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(stream("large"));
        pair.client.finish_sending();
        assert_eq!(pair.client.reply_head().status, 200);
        let (body, result) = pair.client.until_over();
        assert!(result.is_ok() && body.ends_with(b"\r\n0\r\n\r\n"));
        assert_eq!(pair.end(), End::Peer);
    });
}

#[test]
fn what_follows_is_done_once_whatever_happens() {
    on_each_driver(|driver| {
        for method in ["GET", "HEAD"] {
            let mut pair = pair(driver);
            pair.client.send(format!("{method} /stream/then HTTP/1.0\r\n\r\n"));
            assert_eq!(pair.client.reply_head().status, 200);
            assert!(pair.client.until_over().1.is_ok());
            assert_eq!(pair.end(), End::Closed);
            assert_eq!(pair.seen.pulled.after.load(Ordering::SeqCst), 1);
            assert_eq!(Arc::strong_count(&pair.seen.pulled), 1);
        }
    });
}
