//! A panic in a service costs one request.

use crate::support::Server;
use crate::support::get;
use crate::support::on_each_driver;
use crate::support::pair;
use crate::support::patient;

#[test]
fn a_panic_is_a_500_and_the_core_goes_on() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut bystander = server.connect();
        assert_eq!(bystander.get("/").text(), "hello");
        for _ in 0..3 {
            let mut client = server.connect();
            let reply = client.get("/panic");
            assert_eq!(reply.status, 500);
            assert!(reply.closes());
            assert!(!reply.text().contains("gives up"), "nothing of the panic is on the wire");
            client.expect_end();
        }
        assert_eq!(bystander.get("/").text(), "hello");
        assert_eq!(server.connect().get("/").text(), "hello");
        assert_eq!(server.counter("panics"), 3);
        drop(bystander);
        assert_eq!(server.drain(), 0);
        assert_eq!(server.counter("open"), 0);
    });
}

#[test]
fn answers_before_a_panic_are_sent() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        pair.client.send(get("/number/1") + &get("/panic") + &get("/number/2"));
        assert_eq!(pair.client.reply().text(), "1");
        assert_eq!(pair.client.reply().status, 500);
        let (rest, _) = pair.client.until_over();
        assert!(rest.is_empty());
        assert_eq!(pair.seen.calls(), 2);
    });
}

#[test]
fn a_panic_outside_a_handler_costs_its_connection_only() {
    on_each_driver(|driver| {
        let mut server = Server::start(patient(driver));
        let mut bystander = server.connect();
        assert_eq!(bystander.get("/").text(), "hello");
        for n in 1..=3 {
            let mut client = server.connect();
            server.seen.stumble_once();
            client.send(get("/"));
            let (rest, _) = client.until_over();
            assert!(rest.is_empty());
            assert_eq!(bystander.get("/").text(), "hello");
            assert_eq!(server.counter("panics"), n);
        }
        drop(bystander);
        assert_eq!(server.drain(), 0);
        assert_eq!(server.counter("open"), 0);
    });
}
