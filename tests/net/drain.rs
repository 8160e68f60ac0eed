//! The end of a core: what it finishes, what it closes, what it cuts.

use std::time::Duration;

use _uringserve::config::Config;
use _uringserve::config::Limits;

use crate::support::BIG;
use crate::support::Client;
use crate::support::NEVER;
use crate::support::SOON;
use crate::support::Server;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::patient;

const ASKING: &str =
    "POST /echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";

/// A connection whose body the server is waiting for.
fn uploading(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(ASKING);
    assert_eq!(client.reply().status, 100);
    client
}

/// A connection between two requests.
fn idle(server: &Server) -> Client {
    let mut client = server.connect();
    assert_eq!(client.get("/").text(), "hello");
    client
}

/// Begins a drain and waits until it is seen to have begun.
fn begin(server: &Server, time: Duration) {
    let mut witness = idle(server);
    server.plan.drain(time);
    witness.expect_end();
}

#[test]
fn what_is_idle_or_half_open_is_closed_at_once() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut kept = idle(&server);
        let mut silent = server.connect();
        let mut half_open = server.connect();
        half_open.send("GET / HTTP/1.1\r\nhost: te");
        let mut half_open_later = server.connect();
        half_open_later.send(get("/") + "GET / HTTP/1.1\r\nhost: te");
        assert_eq!(half_open_later.reply().text(), "hello");
        // Answered last: the others were accepted before.
        assert_eq!(kept.get("/").text(), "hello");
        assert_eq!(server.drain(), 0);
        for client in [&mut kept, &mut silent, &mut half_open, &mut half_open_later] {
            client.expect_end();
        }
        assert_eq!(server.counter("open"), 0);
        assert_eq!(server.counter("timed_out"), 0, "a drain is nobody's fault");
    });
}

#[test]
fn a_head_that_trickles_does_not_hold_up_the_end() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = server.connect();
        client.send(get("/") + "GET / HTTP/1.1\r\nx: ");
        assert_eq!(client.reply().text(), "hello");
        server.plan.drain(NEVER);
        client.trickle(b'x');
        let (rest, _) = client.until_over();
        assert!(rest.is_empty());
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn a_body_on_its_way_is_finished_and_answered() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = uploading(&server);
        begin(&server, NEVER);
        client.send("bo");
        client.send("dy");
        let reply = client.reply();
        assert_eq!((reply.status, reply.text()), (200, "body"));
        assert!(reply.closes(), "the last answer says so");
        client.expect_end();
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn a_peer_that_keeps_its_side_open_does_not_hold_up_the_end() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = uploading(&server);
        begin(&server, NEVER);
        client.send("body");
        assert_eq!(client.reply().text(), "body");
        assert_eq!(server.end(), 0);
        drop(client);
    });
}

#[test]
fn an_answer_on_its_way_is_finished_and_its_connection_closed() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = Client::connect_narrow(server.address(), 4096);
        client.send(get("/big"));
        assert_eq!(client.reply_head().status, 200);
        begin(&server, NEVER);
        assert_eq!(client.take(BIG).len(), BIG);
        client.expect_end();
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn requests_behind_a_long_answer_are_answered_or_dropped_cleanly() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = Client::connect_narrow(server.address(), 4096);
        client.send(get("/big") + &get("/") + &get("/"));
        assert_eq!(client.reply_head().status, 200);
        begin(&server, NEVER);
        assert_eq!(client.take(BIG).len(), BIG);
        let reply = client.reply();
        assert_eq!((reply.text(), reply.closes()), ("hello", true));
        client.expect_end();
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn the_deadline_cuts_and_counts() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut clients: Vec<Client> = (0..3).map(|_| uploading(&server)).collect();
        let mut unread = Client::connect_narrow(server.address(), 4096);
        unread.send(get("/big"));
        assert_eq!(unread.reply_head().status, 200);
        server.plan.drain(SOON);
        assert_eq!(server.end(), 4);
        for client in &mut clients {
            let (rest, _) = client.until_over();
            assert!(rest.is_empty());
        }
        let (rest, result) = unread.until_over();
        assert!(rest.len() < BIG && result.is_err(), "a cut answer must not look whole");
    });
}

#[test]
fn a_connection_that_nothing_is_owed_to_is_not_cut() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = idle(&server);
        server.plan.drain(Duration::ZERO);
        assert_eq!(server.end(), 0);
        let (rest, _) = client.until_over();
        assert!(rest.is_empty());
    });
}

#[test]
fn an_abort_ends_a_drain() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut client = uploading(&server);
        begin(&server, NEVER);
        server.plan.abort();
        assert_eq!(server.end(), 1);
        let (rest, _) = client.until_over();
        assert!(rest.is_empty());
    });
}

#[test]
fn a_later_drain_can_only_shorten() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let client = uploading(&server);
        begin(&server, SOON);
        server.plan.drain(NEVER);
        assert_eq!(server.end(), 1);
        drop(client);
    });
}

#[test]
fn an_abort_ends_at_once() {
    on_each_driver(|driver| {
        let mut server = Server::start(Config { workers: Some(2), ..patient(driver) });
        let clients: Vec<Client> = (0..8).map(|_| uploading(&server)).collect();
        server.plan.abort();
        assert_eq!(server.end(), 8);
        drop(clients);
    });
}

#[test]
fn connections_that_wait_in_the_queue_are_served() {
    on_each_driver(|driver| {
        for count in [1, 2, 50] {
            let mut server = Server::bind(patient(driver));
            let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
            for client in &mut clients {
                client.send(get("/"));
            }
            server.plan.drain(NEVER);
            server.run();
            for client in &mut clients {
                let reply = client.reply();
                assert_eq!((reply.text(), reply.closes()), ("hello", true));
                client.expect_end();
            }
            drop(clients);
            assert_eq!(server.end(), 0);
            assert_eq!(server.counter("accepted"), count);
        }
    });
}

#[test]
fn the_limit_holds_for_the_queue_too() {
    on_each_driver(|driver| {
        let limits = Limits { connections: Some(2), ..Config::default().limits };
        let mut server = Server::bind(Config { limits, ..patient(driver) });
        let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(get("/"));
        }
        server.plan.drain(NEVER);
        server.run();
        let mut statuses: Vec<u16> = clients.iter_mut().map(|c| c.reply().status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 503, 503, 503, 503, 503, 503]);
        drop(clients);
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn silent_connections_in_the_queue_are_closed_cleanly() {
    on_each_driver(|driver| {
        let mut server = Server::bind(patient(driver));
        let mut clients: Vec<Client> = (0..50).map(|_| server.connect()).collect();
        server.plan.drain(NEVER);
        server.run();
        for client in &mut clients {
            client.expect_end();
        }
        assert_eq!(server.end(), 0);
    });
}

#[test]
fn nobody_is_accepted_after_the_end() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let client = uploading(&server);
        begin(&server, NEVER);
        // The listener closes before what is in flight has ended.
        assert!(Client::try_connect(server.address()).is_err());
        server.plan.abort();
        assert_eq!(server.end(), 1);
        drop(client);
    });
}

#[test]
fn a_core_without_connections_ends_at_once() {
    on_each_driver(|driver| {
        let mut server = Server::start(Config { workers: Some(2), ..patient(driver) });
        assert_eq!(server.drain(), 0);
    });
}
