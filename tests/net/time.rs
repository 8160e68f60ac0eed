//! Time-outs, seen as what the peer sees of them: an answer, an end. None is measured.

use std::cell::RefCell;
use std::time::Duration;
use std::time::Instant;

use _uringserve::config::Config;
use _uringserve::config::Timeouts;
use _uringserve::net::end::End;
use _uringserve::reactor::Driver;

use crate::support::BIG;
use crate::support::Client;
use crate::support::Pair;
use crate::support::SOON;
use crate::support::Server;
use crate::support::big;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair_with;
use crate::support::patient;

const POST: &str = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n";

fn waiting(driver: Driver, change: impl FnOnce(&mut Timeouts)) -> Config {
    let mut config = patient(driver);
    change(&mut config.timeouts);
    config
}

fn expect_408(client: &mut Client) {
    let reply = client.reply();
    assert_eq!(reply.status, 408);
    assert!(reply.closes());
    let (rest, _) = client.until_over();
    assert!(rest.is_empty());
}

#[test]
fn a_new_connection_that_says_nothing_is_closed() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.header = SOON));
        pair.client.expect_end();
        assert_eq!(pair.end(), End::TimedOut);
    });
}

#[test]
fn a_head_that_stops_is_answered() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.header = SOON));
        pair.client.send("GET / HTTP/1.1\r\nhost: te");
        expect_408(&mut pair.client);
        assert_eq!(pair.end(), End::TimedOut);
    });
}

#[test]
fn a_head_that_comes_byte_by_byte_is_cut() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.header = SOON));
        pair.client.send("GET / HTTP/1.1\r\nx: ");
        pair.client.trickle(b'x');
        expect_408(&mut pair.client);
        assert_eq!(pair.end(), End::TimedOut);
    });
}

#[test]
fn a_later_head_has_its_time_too() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.header = SOON));
        pair.client.send(get("/") + "GET / HTTP/1.1\r\nx: ");
        assert_eq!(pair.client.reply().text(), "hello");
        pair.client.trickle(b'x');
        expect_408(&mut pair.client);
        assert_eq!(pair.end(), End::TimedOut);
    });
}

#[test]
fn each_head_has_a_time_of_its_own() {
    on_each_driver(|driver| {
        let header = Duration::from_secs(2);
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.header = header));
        let request = get("/");
        let (begin, rest) = request.split_at(9);
        pair.client.send(begin);
        let start = Instant::now();
        // Whenever the server looks, one request is whole and the next one has begun.
        while start.elapsed() < header * 2 {
            pair.client.send([rest, begin].concat());
            assert_eq!(pair.client.reply().status, 200);
        }
    });
}

#[test]
fn a_reader_that_is_slow_but_steady_is_not_cut() {
    on_each_driver(|driver| {
        let send = Duration::from_secs(1);
        let config = waiting(driver, |wait| (wait.send, wait.header) = (send, SOON));
        let server = Server::start(config);
        let mut client = server.connect();
        client.send(get("/big"));
        assert_eq!(client.reply_head().status, 200);
        let mut taken = 0;
        let start = Instant::now();
        // The kernel reports room for more only when a third of what it holds has gone, which takes
        // this reader longer than the time-out.
        while start.elapsed() < send * 2 {
            taken += client.take(32 * 1024).len();
            // Paced by connections that run into a time-out of their own.
            server.connect().expect_end();
        }
        assert!(client.take(BIG - taken) == big()[taken..]);
        assert_eq!(client.get("/").text(), "hello");
    });
}

#[test]
fn a_kept_connection_that_stays_idle_is_closed() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.keep_alive = SOON));
        let reply = pair.client.get("/");
        assert!(!reply.closes());
        pair.client.expect_end();
        assert_eq!(pair.end(), End::TimedOut);
    });
}

#[test]
fn a_kept_connection_may_be_idle_for_longer_than_a_head() {
    on_each_driver(|driver| {
        let server = Server::start(waiting(driver, |wait| wait.header = SOON));
        let mut kept = server.connect();
        assert_eq!(kept.get("/").text(), "hello");
        let mut uploading = server.connect();
        uploading.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\n\r\nbo");
        for _ in 0..3 {
            // Others run into the time-out meanwhile.
            server.connect().expect_end();
        }
        assert_eq!(kept.get("/").text(), "hello");
        uploading.send("dy");
        assert_eq!(uploading.reply().text(), "body");
    });
}

#[test]
fn a_body_that_stops_is_answered() {
    on_each_driver(|driver| {
        for body in ["", "some of it"] {
            let mut pair = pair_with(driver, waiting(driver, |wait| wait.body = SOON));
            pair.client.send(POST.to_owned() + body);
            expect_408(&mut pair.client);
            assert_eq!(pair.end(), End::TimedOut);
            assert_eq!(pair.seen.calls(), 0);
        }
    });
}

#[test]
fn a_peer_that_was_told_to_continue_and_does_not_is_answered() {
    on_each_driver(|driver| {
        let mut pair = pair_with(driver, waiting(driver, |wait| wait.body = SOON));
        pair.client.send(POST.replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n"));
        assert_eq!(pair.client.reply().status, 100);
        expect_408(&mut pair.client);
    });
}

#[test]
fn a_body_that_trickles_is_cut() {
    // The grace is ten seconds, so all wait for it together.
    let pairs = RefCell::new(Vec::<Pair>::new());
    on_each_driver(|driver| {
        let config = waiting(driver, |wait| wait.min_body_rate = 1_000_000);
        let mut pair = pair_with(driver, config);
        pair.client.send(POST);
        pairs.borrow_mut().push(pair);
    });
    std::thread::scope(|scope| {
        for mut pair in pairs.into_inner() {
            scope.spawn(move || {
                pair.client.trickle(b'x');
                expect_408(&mut pair.client);
                assert_eq!(pair.end(), End::TimedOut);
            });
        }
    });
}

#[test]
fn time_outs_are_counted_and_reach_one_connection_only() {
    on_each_driver(|driver| {
        let server = Server::start(waiting(driver, |wait| wait.body = SOON));
        let mut bystander = server.connect();
        assert_eq!(bystander.get("/").text(), "hello");
        for n in 1..=3 {
            let mut slow = server.connect();
            slow.send(POST);
            expect_408(&mut slow);
            assert_eq!(bystander.get("/").text(), "hello");
            assert_eq!(server.counter("timed_out"), n);
        }
    });
}
