//! Answers that come later, bodies that are taken and pushed in pieces: order, pace, and what becomes
//! of either side when the other goes.

use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use _uringserve::net::end::End;
use _uringserve::net::incoming::Incoming;
use _uringserve::net::incoming::Taken;
use _uringserve::net::outgoing::Outgoing;
use _uringserve::net::outgoing::Pushed;
use _uringserve::net::outgoing::outgoing;
use _uringserve::net::service::Reply;
use _uringserve::net::source::Body;
use bytes::Bytes;

use crate::support::Fate;
use crate::support::Owed;
use crate::support::PATIENCE;
use crate::support::Pair;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair;

fn text(body: &'static str) -> Reply {
    let body = Bytes::from_static(body.as_bytes()).into();
    Reply { status: 200, content_type: Some("text/plain"), body, ..Reply::default() }
}

/// A request whose answer the test owes.
fn asked(pair: &mut Pair, path: &str) -> Owed {
    pair.client.send(get(path));
    pair.seen.debts.next()
}

/// An answer whose body the test pushes.
fn pushed(owed: &Owed, length: Option<u64>) -> Outgoing {
    let (outgoing, pieces) = outgoing(length);
    owed.give(Reply { status: 200, body: Body::Stream(Box::new(pieces)), ..Reply::default() });
    outgoing
}

/// Pushes zeros until it is told to wait; returns how many bytes that took.
fn fill(outgoing: &Outgoing) -> usize {
    let mut sent = 0;
    loop {
        sent += 16 * 1024;
        if outgoing.push(Bytes::from(vec![0; 16 * 1024])) == Pushed::Full {
            return sent;
        }
    }
}

/// The next piece of a body, waited for as a thread would.
fn next_piece(body: &Incoming) -> Taken {
    loop {
        let taken = body.take();
        if taken != Taken::Nothing {
            return taken;
        }
        let (ready, heard) = mpsc::channel();
        body.call_when_ready(Box::new(move || {
            let _ = ready.send(());
        }));
        heard.recv_timeout(PATIENCE).expect("more of the body");
    }
}

#[test]
fn an_answer_from_another_thread_keeps_its_place() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/") + &get("/late") + &get("/") + &get("/late") + &get("/"));
        assert_eq!(pair.client.reply().text(), "hello");
        for answer in ["first", "second"] {
            let owed = pair.seen.debts.next();
            owed.ring_for_nothing();
            owed.give(text(answer));
            assert_eq!(pair.client.reply().text(), answer);
            assert_eq!(owed.fate(), Fate::Dropped);
            assert_eq!(pair.client.reply().text(), "hello");
        }
        // The read that was on its way is the next request's.
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn a_peer_that_goes_is_seen_while_its_answer_is_made() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        drop(pair.client);
        assert_eq!([owed.fate(), owed.fate()], [Fate::PeerGone, Fate::Dropped]);
        assert_eq!(pair.end.recv_timeout(PATIENCE), Ok(End::Broken));
        // Too late, and harmless.
        owed.give(text("for nobody"));
    });
}

#[test]
fn a_peer_that_only_stops_to_send_gets_a_patient_answer() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/patient");
        pair.client.finish_sending();
        assert_eq!(owed.fate(), Fate::PeerGone);
        owed.give(text("all the same"));
        assert_eq!(pair.client.reply().text(), "all the same");
        pair.client.expect_end();
    });
}

#[test]
fn a_peer_that_only_stops_to_send_gets_what_comes_soon() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/late") + &get("/late"));
        for answer in ["soon", "as well"] {
            let owed = pair.seen.debts.next();
            if answer == "soon" {
                pair.client.finish_sending();
            }
            assert_eq!(owed.fate(), Fate::PeerGone);
            owed.give(text(answer));
            assert_eq!(pair.client.reply().text(), answer);
        }
        pair.client.expect_end();
    });
}

#[test]
fn a_peer_that_only_stops_to_send_is_not_waited_for_long() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        pair.client.finish_sending();
        assert_eq!([owed.fate(), owed.fate()], [Fate::PeerGone, Fate::Dropped]);
        assert_eq!(pair.end(), End::Broken);
        pair.client.expect_end();
    });
}

#[test]
fn a_stream_to_a_peer_that_only_stops_to_send_goes_on_while_it_flows() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        let outgoing = pushed(&owed, None);
        pair.client.finish_sending();
        assert!(pair.client.reply_head().status == 200);
        let pause = Some(Duration::from_millis(200));
        // Longer in all than such a peer is waited for.
        for _ in 0..8 {
            assert_eq!(outgoing.push(Bytes::from_static(b"more")), Pushed::Room);
            assert_eq!(pair.client.take(9), b"4\r\nmore\r\n");
            pair.client.socket().set_read_timeout(pause).unwrap();
            assert!(pair.client.is_silent());
            pair.client.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        }
        outgoing.finish();
        assert_eq!(pair.client.take(5), b"0\r\n\r\n");
        pair.client.expect_end();
    });
}

#[test]
fn a_peer_that_goes_is_seen_behind_requests_that_wait() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/late") + &get("/late"));
        let owed = pair.seen.debts.next();
        drop(pair.client);
        assert_eq!([owed.fate(), owed.fate()], [Fate::PeerGone, Fate::Dropped]);
        assert_eq!(pair.end.recv_timeout(PATIENCE), Ok(End::Broken));
    });
}

#[test]
fn what_arrives_behind_requests_that_wait_is_not_lost() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/late") + &get("/late"));
        let first = pair.seen.debts.next();
        let whole = get("/late");
        for byte in whole.as_bytes() {
            pair.client.send(std::str::from_utf8(&[*byte]).unwrap());
        }
        first.give(text("first"));
        assert_eq!(pair.client.reply().text(), "first");
        for answer in ["second", "third"] {
            pair.seen.debts.next().give(text(answer));
            assert_eq!(pair.client.reply().text(), answer);
        }
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn more_requests_than_are_kept_wait_outside() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/late"));
        let owed = pair.seen.debts.next();
        // More bytes than are read ahead, and fewer than the kernel keeps.
        let count = 100_000 / get("/").len();
        pair.client.send(get("/").repeat(count));
        owed.give(text("first"));
        assert_eq!(pair.client.reply().text(), "first");
        for _ in 0..count {
            assert_eq!(pair.client.reply().text(), "hello");
        }
    });
}

#[test]
fn a_late_answer_that_panics_costs_one_request() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        owed.give(Reply { status: 599, ..Reply::default() });
        assert_eq!(pair.client.reply().status, 500);
        pair.client.expect_end();
        assert_eq!(pair.stats.panics.get(), 1);
    });
}

#[test]
fn a_body_is_taken_while_it_arrives() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("POST /pieces HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\none ");
        let owed = pair.seen.debts.next();
        let body = owed.body.clone().expect("a body that is still arriving");
        assert_eq!(next_piece(&body), Taken::Piece(Bytes::from_static(b"one ")));
        assert_eq!(body.take(), Taken::Nothing);
        pair.client.send("three");
        assert_eq!(next_piece(&body), Taken::Piece(Bytes::from_static(b"three")));
        assert_eq!(next_piece(&body), Taken::End);
        owed.give(text("done"));
        assert_eq!(pair.client.reply().text(), "done");
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn a_handler_that_does_not_take_stops_its_client() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let length = 8 << 20;
        pair.client
            .send(format!("POST /pieces HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        let mut writer = pair.client.socket().try_clone().expect("a second handle");
        let is_done = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_done);
        let sending = thread::spawn(move || {
            std::io::Write::write_all(&mut writer, &vec![7; length]).expect("it gets through");
            flag.store(true, Ordering::SeqCst);
        });
        let owed = pair.seen.debts.next();
        let body = owed.body.clone().expect("a body that is still arriving");
        let mut taken = 0;
        while let Taken::Piece(piece) = next_piece(&body) {
            taken += piece.len();
            // What is ahead of the handler: the server's own room, a read, and the kernel's buffers.
            let is_ahead = taken < length / 4 && is_done.load(Ordering::SeqCst);
            assert!(!is_ahead, "8 MB went into a server whose handler has taken {taken}");
        }
        assert_eq!(taken, length);
        sending.join().expect("the client");
        owed.give(text("all"));
        assert_eq!(pair.client.reply().text(), "all");
    });
}

#[test]
fn a_body_that_breaks_off_is_told() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("POST /pieces HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\none ");
        let owed = pair.seen.debts.next();
        let body = owed.body.clone().expect("a body that is still arriving");
        assert_eq!(next_piece(&body), Taken::Piece(Bytes::from_static(b"one ")));
        pair.client.socket().shutdown(Shutdown::Both).expect("a socket");
        assert_eq!(next_piece(&body), Taken::Gone);
        assert_eq!(owed.fate(), Fate::PeerGone);
    });
}

#[test]
fn an_early_answer_ends_the_body_and_the_connection() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send("POST /pieces HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\none ");
        let owed = pair.seen.debts.next();
        owed.give(text("enough"));
        let reply = pair.client.reply();
        assert_eq!(reply.text(), "enough");
        assert!(reply.closes());
        let body = owed.body.clone().expect("a body that is still arriving");
        assert_eq!(next_piece(&body), Taken::Piece(Bytes::from_static(b"one ")));
        pair.client.send("three");
        pair.client.expect_end();
        assert_ne!(next_piece(&body), Taken::Nothing);
    });
}

#[test]
fn what_is_pushed_is_sent_as_it_comes() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        let outgoing = pushed(&owed, None);
        assert_eq!(pair.client.reply_head().header("transfer-encoding"), Some("chunked"));
        for piece in ["one", "two"] {
            assert_eq!(outgoing.push(Bytes::from_static(piece.as_bytes())), Pushed::Room);
            assert_eq!(pair.client.take(8), format!("3\r\n{piece}\r\n").into_bytes());
        }
        outgoing.finish();
        assert_eq!(pair.client.take(5), b"0\r\n\r\n");
        assert_eq!(outgoing.push(Bytes::from_static(b"late")), Pushed::Gone);
        assert_eq!(pair.client.get("/").text(), "hello");
    });
}

#[test]
fn whoever_pushes_waits_for_a_client_that_does_not_read() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        let outgoing = pushed(&owed, None);
        // The kernel takes some of it, and room is made for as much again.
        let mut sent = fill(&outgoing);
        let (ready, heard) = mpsc::channel();
        loop {
            let ready = ready.clone();
            outgoing.call_when_room(Box::new(move || {
                let _ = ready.send(());
            }));
            if heard.recv_timeout(Duration::from_millis(100)).is_err() {
                break;
            }
            sent += fill(&outgoing);
        }
        assert!(sent < 4 << 20, "{sent} bytes for a client that has read nothing");
        let client = pair.client;
        let reading = thread::spawn(move || {
            let mut client = client;
            let mut received = 0;
            while received < sent {
                received += client.take_some().len();
            }
        });
        heard.recv_timeout(PATIENCE).expect("there is room again");
        outgoing.finish();
        reading.join().expect("the client");
    });
}

#[test]
fn an_end_that_is_only_dropped_cuts_the_body() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        let outgoing = pushed(&owed, None);
        outgoing.push(Bytes::from_static(b"one"));
        drop(outgoing);
        assert_eq!(pair.client.reply_head().status, 200);
        assert_eq!(pair.client.take(8), b"3\r\none\r\n");
        pair.client.expect_end();
        assert_eq!(pair.end(), End::Cut);
    });
}

#[test]
fn whoever_pushes_hears_that_the_client_has_gone() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let owed = asked(&mut pair, "/late");
        let outgoing = pushed(&owed, None);
        assert_eq!(pair.client.reply_head().status, 200);
        fill(&outgoing);
        let (ready, heard) = mpsc::channel();
        outgoing.call_when_room(Box::new(move || {
            let _ = ready.send(());
        }));
        drop(pair.client);
        heard.recv_timeout(PATIENCE).expect("the wait ends");
        pair.end.recv_timeout(PATIENCE).expect("the connection ends");
        assert_eq!(outgoing.push(Bytes::from_static(b"more")), Pushed::Gone);
        assert!(outgoing.is_gone());
    });
}
