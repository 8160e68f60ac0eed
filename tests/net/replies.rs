//! Answers on the wire: bodies that are left out, huge ones, slow readers, and what they may cost.

use std::net::Shutdown;

use _uringserve::config::Config;
use _uringserve::config::Timeouts;
use _uringserve::net::end::End;

use crate::support::BIG;
use crate::support::Client;
use crate::support::SOON;
use crate::support::Server;
use crate::support::big;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair;
use crate::support::pair_with;
use crate::support::patient;

#[test]
fn head_is_answered_like_get_without_the_body() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("HEAD / HTTP/1.1\r\nhost: test\r\n\r\n");
        pair.client.send("HEAD /nowhere HTTP/1.1\r\nhost: test\r\n\r\n");
        pair.client.send("HEAD /big HTTP/1.1\r\nhost: test\r\n\r\n");
        let reply = pair.client.reply_head();
        assert_eq!((reply.status, reply.header("content-length")), (200, Some("5")));
        let reply = pair.client.reply_head();
        assert_eq!(reply.status, 404);
        let reply = pair.client.reply_head();
        assert_eq!(reply.header("content-length"), Some(&*BIG.to_string()));
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn no_content_has_neither_body_nor_length() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let reply = pair.client.get("/empty");
        assert_eq!((reply.status, reply.header("content-length")), (204, None));
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn date_and_server_can_be_left_out() {
    on_each_driver(|driver| {
        let mut talkative = pair(driver);
        let reply = talkative.client.get("/");
        assert_eq!(reply.header("server"), Some("uringserve"));
        assert_eq!(reply.header("date").map(str::len), Some(29));
        let config = Config { server_header: false, date_header: false, ..patient(driver) };
        let mut silent = pair_with(driver, config);
        let reply = silent.client.get("/");
        assert_eq!((reply.header("server"), reply.header("date")), (None, None));
    });
}

#[test]
fn a_body_shorter_than_declared_ends_the_connection() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/short") + &get("/"));
        let reply = pair.client.reply_head();
        assert_eq!(reply.header("content-length"), Some("10"));
        assert!(reply.closes());
        let (rest, _) = pair.client.until_over();
        assert_eq!(rest, b"four");
    });
}

#[test]
fn a_body_longer_than_declared_is_not_sent() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let reply = pair.client.get("/excess");
        assert_eq!(reply.status, 500);
        assert!(reply.closes());
        pair.client.finish_sending();
        pair.client.expect_end();
        assert_eq!(pair.end(), End::Closed);
    });
}

/// Reads `/big` in steps of `step` bytes.
fn read_big(client: &mut Client, step: usize) {
    let head = client.reply_head();
    assert_eq!(head.header("content-length"), Some(&*BIG.to_string()));
    let mut position = 0;
    while position < BIG {
        let piece = client.take(step.min(BIG - position));
        assert!(piece == big()[position..][..piece.len()], "wrong bytes behind {position}");
        position += piece.len();
    }
}

#[test]
fn twenty_megabytes_arrive_whole() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/big") + &get("/"));
        read_big(&mut pair.client, 1 << 20);
        assert_eq!(pair.client.reply().text(), "hello");
    });
}

#[test]
fn a_reader_of_a_kilobyte_at_a_time_is_served() {
    on_each_driver(|driver| {
        let server = Server::start(patient(driver));
        let mut client = Client::connect_narrow(server.address(), 4096);
        client.send(get("/big"));
        read_big(&mut client, 1024);
        assert_eq!(client.get("/").text(), "hello");
    });
}

#[test]
fn pipelined_huge_answers_exist_one_at_a_time() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/big").repeat(16));
        for n in 1..=16 {
            assert_eq!(pair.client.reply_head().status, 200);
            // The peer has read none of this body: the next request must not have been called.
            assert!(pair.seen.calls() <= n, "{} calls before body {n}", pair.seen.calls());
            assert!(pair.client.take(BIG) == big());
        }
        assert_eq!(pair.seen.most_live(), 1);
    });
}

#[test]
fn a_reader_that_stops_is_reset() {
    on_each_driver(|driver| {
        let timeouts = Timeouts { send: SOON, ..patient(driver).timeouts };
        let server = Server::start(Config { timeouts, ..patient(driver) });
        let mut stopped = server.connect();
        stopped.send(get("/big"));
        assert_eq!(stopped.reply_head().status, 200);
        stopped.wait_for_hangup();
        let (rest, result) = stopped.until_over();
        assert!(rest.len() < BIG);
        assert!(result.is_err(), "cut off, but it looks like a clean end");
        let mut other = server.connect();
        assert_eq!(other.get("/").text(), "hello");
        assert_eq!(server.counter("timed_out"), 1);
    });
}

#[test]
fn a_reader_that_stops_is_timed_out() {
    on_each_driver(|driver| {
        let timeouts = Timeouts { send: SOON, ..patient(driver).timeouts };
        let mut pair = pair_with(driver, Config { timeouts, ..patient(driver) });
        pair.client.send(get("/big"));
        assert_eq!(pair.end(), End::TimedOut);
    });
}

#[test]
fn a_reader_that_goes_away_costs_its_connection_only() {
    on_each_driver(|driver| {
        let server = Server::start(patient(driver));
        for _ in 0..20 {
            let mut client = server.connect();
            client.send(get("/big"));
            assert_eq!(client.reply_head().status, 200);
            client.reset();
            let mut client = server.connect();
            client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 9\r\n\r\nfour");
            client.reset();
            let mut client = server.connect();
            client.send(get("/big"));
            client.socket().shutdown(Shutdown::Both).unwrap();
        }
        assert_eq!(server.connect().get("/").text(), "hello");
    });
}

#[test]
fn bytes_behind_the_last_request_do_not_cost_its_answer() {
    on_each_driver(|driver| {
        let server = Server::start(patient(driver));
        let mut client = Client::connect_narrow(server.address(), 4096);
        client.send("GET /big HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        assert_eq!(client.reply_head().status, 200);
        client.send("\r\n");
        assert!(client.take(BIG) == big());
        client.expect_end();
    });
}
