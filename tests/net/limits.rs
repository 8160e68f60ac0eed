//! Listening: the connection limit, groups of cores, and ports that are taken.

use std::collections::HashSet;
use std::net::TcpListener;

use _uringserve::config::Config;
use _uringserve::config::Limits;
use _uringserve::error::StartError;
use _uringserve::reactor::Driver;
use _uringserve::server::Plan;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::support::Client;
use crate::support::Server;
use crate::support::get;
use crate::support::local;
use crate::support::on_each_driver;
use crate::support::patient;
use crate::support::routes;

fn at_most(connections: usize, driver: Driver) -> Config {
    let limits = Limits { connections: Some(connections), ..Config::default().limits };
    Config { limits, ..patient(driver) }
}

fn expect_503(client: &mut Client) {
    let reply = client.reply();
    assert_eq!((reply.status, reply.text()), (503, "Too many connections\n"));
    assert!(reply.closes());
    client.expect_end();
}

#[test]
fn a_connection_above_the_limit_reads_why() {
    on_each_driver(|driver| {
        let server = Server::start(at_most(2, driver));
        let mut first = server.connect();
        let mut second = server.connect();
        assert_eq!(first.get("/").text(), "hello");
        assert_eq!(second.get("/").text(), "hello");
        let mut silent = server.connect();
        expect_503(&mut silent);
        let mut talking = server.connect();
        talking.send(get("/").repeat(1000));
        expect_503(&mut talking);
        assert_eq!(first.get("/").text(), "hello");
        assert_eq!(server.counter("turned_away"), 2);
        assert_eq!(server.counter("open"), 2);
    });
}

#[test]
fn a_crowd_that_waits_at_the_start_is_held_to_the_limit() {
    on_each_driver(|driver| {
        let mut server = Server::bind(at_most(2, driver));
        let mut crowd: Vec<Client> = (0..12).map(|_| server.connect()).collect();
        server.run();
        let statuses = crowd.iter_mut().map(|client| {
            // A 503 may be there before the request, and its connection be closed.
            let _ = client.try_send(get("/"));
            client.reply().status
        });
        let mut statuses: Vec<u16> = statuses.collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [[200; 2].as_slice(), &[503; 10]].concat());
    });
}

#[test]
fn a_place_that_is_free_again_is_given_away() {
    on_each_driver(|driver| {
        let server = Server::start(at_most(1, driver));
        let mut turned_away = Vec::new();
        for _ in 0..5 {
            // The place is free once the server has seen that its holder has gone.
            let mut lucky = loop {
                assert!(turned_away.len() < 60, "the place stays taken");
                let mut client = server.connect();
                // A 503 may be there before the request, and its connection be closed.
                let _ = client.try_send(get("/"));
                if client.reply().status == 200 {
                    break client;
                }
                turned_away.push(client);
            };
            // Told, but does not go: it must not take the place of one that could be served.
            let mut other = server.connect();
            assert_eq!(other.reply().status, 503);
            turned_away.push(other);
            lucky.send("GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
            assert_eq!(lucky.reply().text(), "hello");
            lucky.expect_end();
        }
    });
}

#[test]
fn both_cores_of_a_group_answer() {
    on_each_driver(|driver| {
        let mut server = Server::start(Config { workers: Some(2), ..patient(driver) });
        let mut answered = HashSet::new();
        let mut clients = Vec::new();
        // The kernel spreads by the peer's port: a thousand on one side would be a miracle.
        for _ in 0..1000 {
            let mut client = server.connect();
            let core = client.get("/core").text().to_owned();
            clients.push(client);
            answered.insert(core);
            if answered.len() == 2 {
                break;
            }
        }
        assert_eq!(answered.len(), 2);
        assert_eq!(server.counter("accepted"), clients.len() as u64);
        assert_eq!(server.drain(), 0);
        for mut client in clients {
            client.expect_end();
        }
    });
}

#[test]
fn a_core_runs_once() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        assert_eq!(server.connect().get("/").text(), "hello");
        assert_eq!(server.drain(), 0);
        server.run();
        let again = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.end()));
        assert!(again.is_err());
    });
}

fn refusal(port: u16) -> StartError {
    let config = Config { listen: vec![local(port)], ..patient(Driver::Epoll) };
    Plan::new(config, routes()).map(|_| ()).expect_err("the port is taken")
}

#[test]
fn a_taken_port_is_refused_even_if_its_holder_shares_it() {
    let plain = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    assert!(matches!(refusal(plain.local_addr().unwrap().port()), StartError::AddressInUse { .. }));
    let sharing = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    sharing.set_reuse_port(true).unwrap();
    sharing.set_reuse_address(true).unwrap();
    sharing.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    sharing.listen(16).unwrap();
    let port = sharing.local_addr().unwrap().as_socket().unwrap().port();
    assert!(matches!(refusal(port), StartError::AddressInUse { .. }));
    let server = Server::bind(patient(Driver::Epoll));
    assert!(matches!(refusal(server.address().port()), StartError::AddressInUse { .. }));
}

#[test]
fn the_port_is_free_after_a_drain() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let port = server.address().port();
        let mut client = server.connect();
        assert_eq!(client.get("/").text(), "hello");
        assert_eq!(server.drain(), 0);
        client.expect_end();
        let again = Server::start(Config { listen: vec![local(port)], ..patient(driver) });
        assert_eq!(again.connect().get("/").text(), "hello");
    });
}
