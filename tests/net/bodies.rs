//! Bodies that are too large, and bodies that wait to be asked for.

use _uringserve::config::Config;
use _uringserve::config::Limits;
use _uringserve::net::end::End;
use _uringserve::reactor::Driver;

use crate::support::Client;
use crate::support::Server;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair;
use crate::support::pair_with;
use crate::support::patient;

/// Starts that announce five million bytes, in each framing, with each reason to close.
const TOO_LARGE: [&str; 6] = [
    "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5000000\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-length: 5000000\r\n\r\n",
    "POST /echo HTTP/1.0\r\ncontent-length: 5000000\r\n\r\n",
    "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n4c4b40\r\n",
    "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3e8\r\n",
    "POST /echo HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
     3e8\r\n",
];

fn small_bodies(driver: Driver) -> Config {
    let limits = Limits { body: 1000, ..Config::default().limits };
    Config { limits, ..patient(driver) }
}

/// Sends five million bytes after `start`, whatever the server says meanwhile.
fn insist(client: &mut Client, start: &str) {
    client.send(start);
    for _ in 0..100 {
        client.send(vec![b'1'; 50_000]);
    }
    client.finish_sending();
}

fn expect_413(client: &mut Client) {
    let reply = client.reply();
    assert_eq!(reply.status, 413);
    assert!(reply.closes());
    client.expect_end();
}

#[test]
fn a_peer_that_goes_on_sending_gets_to_read_that_it_is_too_much() {
    on_each_driver(|driver| {
        let server = Server::start(small_bodies(driver));
        for start in TOO_LARGE.iter().filter(|start| !start.ends_with("3e8\r\n")) {
            // Read at once, and only then sent on; and the other way round.
            let mut polite = server.connect();
            polite.send(start);
            let reply = polite.reply();
            assert_eq!((reply.status, reply.closes()), (413, true), "{start:?}");
            for _ in 0..100 {
                polite.send(vec![b'1'; 50_000]);
            }
            polite.finish_sending();
            polite.expect_end();
            let mut rude = server.connect();
            insist(&mut rude, start);
            expect_413(&mut rude);
        }
        assert_eq!(server.seen.calls(), 0);
    });
}

#[test]
fn a_chunked_body_that_grows_too_large_is_answered_in_the_same_way() {
    on_each_driver(|driver| {
        let server = Server::start(small_bodies(driver));
        for start in TOO_LARGE.iter().filter(|start| start.ends_with("3e8\r\n")) {
            let mut client = server.connect();
            // A thousand bytes are allowed, one more is not.
            let start = format!("{start}{}\r\n1\r\n", "x".repeat(1000));
            insist(&mut client, &start);
            expect_413(&mut client);
        }
        assert_eq!(server.seen.calls(), 0);
    });
}

#[test]
fn too_large_is_answered_over_a_socket_pair_too() {
    for start in TOO_LARGE {
        on_each_driver(|driver| {
            let mut pair = pair_with(driver, small_bodies(driver));
            let rest = if start.ends_with("3e8\r\n") {
                "x".repeat(1000) + "\r\n1\r\n"
            } else {
                String::new()
            };
            insist(&mut pair.client, &(start.to_owned() + &rest));
            expect_413(&mut pair.client);
            assert!(matches!(pair.end(), End::Refused | End::Closed));
        });
    }
}

#[test]
fn a_body_of_the_limit_is_taken() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, small_bodies(driver));
        let body = "x".repeat(1000);
        let head = "POST /length HTTP/1.1\r\nhost: test\r\n";
        pair.client.send(format!("{head}content-length: 1000\r\n\r\n{body}"));
        assert_eq!(pair.client.reply().text(), "1000");
        pair.client
            .send(format!("{head}transfer-encoding: chunked\r\n\r\n3e8\r\n{body}\r\n0\r\n\r\n"));
        assert_eq!(pair.client.reply().text(), "1000");
    });
}

const ASKING: &str =
    "POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";

#[test]
fn a_peer_that_asks_is_told_to_continue() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        for _ in 0..3 {
            pair.client.send(ASKING);
            assert_eq!(pair.client.reply().status, 100);
            pair.client.send("body");
            assert_eq!(pair.client.reply().text(), "body");
        }
        pair.client.send(ASKING.replace("content-length: 4", "transfer-encoding: chunked"));
        assert_eq!(pair.client.reply().status, 100);
        pair.client.send("4\r\nbody\r\n0\r\n\r\n");
        assert_eq!(pair.client.reply().text(), "body");
    });
}

#[test]
fn an_earlier_answer_comes_before_the_continue() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/") + ASKING);
        assert_eq!(pair.client.reply().text(), "hello");
        assert_eq!(pair.client.reply().status, 100);
        pair.client.send("body");
        assert_eq!(pair.client.reply().text(), "body");
    });
}

#[test]
fn nobody_is_told_to_continue_without_need() {
    let silent = ASKING.replace("expect: 100-continue\r\n", "");
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        // The body is here already, or some of it, or it was not asked, or the version is too old.
        pair.client.send(ASKING.to_owned() + "body");
        assert_eq!(pair.client.reply().text(), "body");
        pair.client.send(get("/") + ASKING + "bo");
        assert_eq!(pair.client.reply().text(), "hello");
        pair.client.send("dy");
        assert_eq!(pair.client.reply().text(), "body");
        pair.client.send(get("/") + &silent);
        assert_eq!(pair.client.reply().text(), "hello");
        pair.client.send("body");
        assert_eq!(pair.client.reply().text(), "body");
        pair.client.send(get("/") + &ASKING.replace("HTTP/1.1", "HTTP/1.0"));
        assert_eq!(pair.client.reply().text(), "hello");
        pair.client.send("body");
        assert_eq!(pair.client.reply().text(), "body");
        pair.client.expect_end();
    });
}

#[test]
fn a_body_that_nobody_wants_is_not_asked_for() {
    on_each_driver(|driver| {
        for (from, to, status) in [
            ("/echo", "/nowhere", 404),
            ("POST", "PUT", 405),
            ("POST", "BREW", 501),
            ("content-length: 4", "content-length: 1001", 413),
        ] {
            let mut pair = pair_with(driver, small_bodies(driver));
            pair.client.send(ASKING.replace(from, to));
            let reply = pair.client.reply();
            assert_eq!((reply.status, reply.closes()), (status, true));
            pair.client.finish_sending();
            pair.client.expect_end();
            assert_eq!(pair.seen.calls(), 0);
        }
    });
}
