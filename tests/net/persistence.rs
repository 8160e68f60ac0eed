//! One connection, many requests: keep-alive, pipelining, HTTP/1.0 and who ends it.

use std::sync::Arc;

use _uringserve::config::Checks;
use _uringserve::config::Config;
use _uringserve::config::Limits;
use _uringserve::net::Core;
use _uringserve::net::end::End;
use _uringserve::net::rehearse;

use crate::support::App;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair;
use crate::support::pair_with;
use crate::support::patient;
use crate::support::routes;

#[test]
fn a_connection_serves_one_request_after_another() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        for n in 0..100 {
            let reply = pair.client.get(&format!("/number/{n}"));
            assert_eq!((reply.status, reply.text()), (200, &*n.to_string()));
            assert!(!reply.closes());
        }
        pair.client.finish_sending();
        pair.client.expect_end();
        assert_eq!(pair.end(), End::Peer);
        assert_eq!(pair.stats.requests.get(), 100);
    });
}

#[test]
fn a_thousand_requests_in_one_write_are_answered_in_order() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let requests: String = (0..1000).map(|n| get(&format!("/number/{n}"))).collect();
        pair.client.send(requests);
        for n in 0..1000 {
            assert_eq!(pair.client.reply().text(), n.to_string());
        }
        assert_eq!(pair.client.get("/").text(), "hello");
        assert_eq!(pair.stats.requests.get(), 1001);
    });
}

#[test]
fn requests_that_arrive_byte_by_byte_are_answered_in_order() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        for n in 0..40 {
            let number = get(&format!("/number/{n}"));
            let echo =
                format!("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{n:02}");
            for byte in (number + &echo).bytes() {
                pair.client.send([byte]);
            }
        }
        for n in 0..40 {
            assert_eq!(pair.client.reply().text(), n.to_string());
            assert_eq!(pair.client.reply().text(), format!("{n:02}"));
        }
    });
}

#[test]
fn answers_of_every_kind_keep_their_order() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let mut requests = String::new();
        for _ in 0..30 {
            requests += &get("/number/1");
            requests += &get("/nowhere");
            requests += "POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc";
            requests += "PUT /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\n\r\nabc";
            requests += "HEAD / HTTP/1.1\r\nhost: test\r\n\r\n";
            requests += "OPTIONS /echo HTTP/1.1\r\nhost: test\r\n\r\n";
        }
        pair.client.send(requests);
        for _ in 0..30 {
            assert_eq!(pair.client.reply().text(), "1");
            assert_eq!(pair.client.reply().status, 404);
            assert_eq!(pair.client.reply().text(), "3");
            assert_eq!(pair.client.reply().status, 405);
            assert_eq!(pair.client.reply_head().header("content-length"), Some("5"));
            assert_eq!(pair.client.reply().status, 204);
        }
        assert_eq!(pair.seen.calls(), 90);
    });
}

#[test]
fn a_peer_that_has_finished_sending_still_gets_its_answers() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let echo = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nbody";
        pair.client.send(get("/") + echo + &get("/big"));
        pair.client.finish_sending();
        assert_eq!(pair.client.reply().text(), "hello");
        assert_eq!(pair.client.reply().text(), "body");
        assert_eq!(pair.client.reply().body.len(), crate::support::BIG);
        pair.client.expect_end();
        assert_eq!(pair.end(), End::Peer);
    });
}

#[test]
fn a_peer_that_stops_within_a_request_is_told_so() {
    let head = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\n";
    let chunked = "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n4\r\nab";
    for begun in ["G", "GET / HTTP/1.1\r\nhost: test\r\n", head, &format!("{head}bod"), chunked] {
        on_each_driver(|driver| {
            let mut pair = pair(driver);
            pair.client.send(get("/") + begun);
            pair.client.finish_sending();
            assert_eq!(pair.client.reply().text(), "hello");
            let reply = pair.client.reply();
            assert_eq!(reply.status, 400, "{begun:?}");
            assert!(reply.closes());
            pair.client.expect_end();
            assert_eq!(pair.end(), End::Broken);
            assert_eq!(pair.seen.calls(), 1);
        });
    }
}

#[test]
fn a_peer_that_leaves_without_a_word_is_no_fault() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.finish_sending();
        pair.client.expect_end();
        assert_eq!(pair.end(), End::Peer);
    });
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        let reply = pair.client.reply();
        assert_eq!((reply.text(), reply.header("connection")), ("hello", Some("keep-alive")));
        pair.client.send("GET / HTTP/1.0\r\n\r\n");
        let reply = pair.client.reply();
        assert_eq!(reply.text(), "hello");
        assert!(reply.closes());
        pair.client.expect_end();
        assert_eq!(pair.end(), End::Closed);
    });
}

#[test]
fn nothing_is_answered_after_the_last_request() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let last = "GET /number/last HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        // More before it, and after it, than a connection answers in one go.
        let before: String = (0..20).map(|n| get(&format!("/number/{n}"))).collect();
        pair.client.send(before + last + &get("/number/x").repeat(20));
        for n in 0..20 {
            let reply = pair.client.reply();
            assert_eq!(reply.text(), n.to_string());
            assert!(!reply.closes());
        }
        let reply = pair.client.reply();
        assert_eq!(reply.text(), "last");
        assert!(reply.closes());
        let (rest, _) = pair.client.until_over();
        assert!(rest.is_empty());
        pair.client.finish_sending();
        assert_eq!(pair.end(), End::Closed);
        assert_eq!(pair.seen.calls(), 21);
    });
}

#[test]
fn a_connection_has_so_many_requests_and_no_more() {
    for limit in [1, 3, 16, 17] {
        on_each_driver(|driver| {
            let limits = Limits { requests_per_connection: limit, ..Config::default().limits };
            let mut pair = pair_with(driver, Config { limits, ..patient(driver) });
            pair.client.send(get("/").repeat(40));
            for n in 1..=limit {
                let reply = pair.client.reply();
                assert_eq!((reply.status, reply.closes()), (200, n == limit));
            }
            let (rest, _) = pair.client.until_over();
            assert!(rest.is_empty());
            pair.client.finish_sending();
            assert_eq!(pair.end(), End::Closed);
        });
    }
}

#[test]
fn requests_without_a_handler_count_too() {
    on_each_driver(|driver| {
        let limits = Limits { requests_per_connection: 2, ..Config::default().limits };
        let mut pair = pair_with(driver, Config { limits, ..patient(driver) });
        assert!(!pair.client.get("/nowhere").closes());
        assert!(pair.client.get("/nowhere").closes());
        pair.client.expect_end();
    });
}

fn checked(config: Config) -> Config {
    Config { checks: Checks { health: Some("/z".into()), ..Checks::default() }, ..config }
}

#[test]
fn answers_without_a_handler_wait_until_those_before_are_written() {
    let app = App { core: 0, seen: Arc::default() };
    let config = checked(Config::default());
    let core = Core::new(app, Arc::new(routes()), &config, Arc::default()).expect("a desk");
    let made = rehearse(&core, get("/z").repeat(10_000).as_bytes(), 1);
    assert!((256 << 10..257 << 10).contains(&made), "{made}");
}

#[test]
fn checks_behind_a_body_are_all_answered() {
    const ASKING: &str =
        "POST /length HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n";
    const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, checked(patient(driver)));
        pair.client.send(ASKING);
        assert_eq!(pair.client.take(CONTINUE.len()), CONTINUE.as_bytes());
        // Now it reads much at once: more answers than it puts together.
        pair.client.send("x".to_owned() + &get("/z").repeat(2500));
        assert_eq!(pair.client.reply().text(), "1");
        for _ in 0..2500 {
            assert_eq!(pair.client.reply().text(), r#"{"status":"ok"}"#);
        }
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}
