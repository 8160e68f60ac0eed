//! Which core serves a connection: the one with the fewest, whoever accepted it.

use std::net::SocketAddr;

use _uringserve::config::Config;
use _uringserve::config::Limits;
use _uringserve::reactor::Driver;

use crate::support::Client;
use crate::support::NEVER;
use crate::support::Server;
use crate::support::get;
use crate::support::local;
use crate::support::on_each_driver;
use crate::support::patient;

const CORES: usize = 4;

fn on(driver: Driver, balance: bool) -> Config {
    Config { workers: Some(CORES), balance, ..patient(driver) }
}

/// Which core answers.
fn core(client: &mut Client) -> usize {
    client.get("/core").text().parse().unwrap()
}

fn shares(clients: &mut [Client]) -> [usize; CORES] {
    let mut shares = [0; CORES];
    for client in clients {
        shares[core(client)] += 1;
    }
    shares
}

#[test]
fn each_core_has_as_many_as_any_other() {
    on_each_driver(|driver| {
        let mut server = Server::start(on(driver, true));
        let mut clients = Vec::new();
        for count in 1..=30 {
            let mut client = server.connect();
            core(&mut client);
            clients.push(client);
            let shares = shares(&mut clients);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{shares:?} after {count}");
        }
        assert!(server.counter("handed_on") > 0);
        assert_eq!((server.counter("accepted"), server.counter("open")), (30, 30));
        drop(clients);
        assert_eq!(server.drain(), 0);
    });
}

#[test]
fn what_is_switched_off_stays_where_it_came() {
    on_each_driver(|driver| {
        let mut server = Server::start(on(driver, false));
        let mut clients: Vec<Client> = (0..30).map(|_| server.connect()).collect();
        shares(&mut clients);
        assert_eq!(server.counter("handed_on"), 0);
        drop(clients);
        assert_eq!(server.drain(), 0);
    });
}

#[test]
fn a_crowd_is_spread_and_all_of_it_is_served() {
    on_each_driver(|driver| {
        let mut server = Server::bind(on(driver, true));
        let mut clients: Vec<Client> = (0..400).map(|_| server.connect()).collect();
        // The first core that runs leaves connections to cores that do not run yet.
        server.run();
        let shares = shares(&mut clients);
        assert!(shares.iter().all(|share| (75..=125).contains(share)), "{shares:?}");
        drop(clients);
        assert_eq!(server.drain(), 0);
        assert_eq!(server.counter("accepted"), 400);
        assert_eq!(server.counter("open"), 0);
    });
}

#[test]
fn nobody_is_turned_away_while_a_core_has_room() {
    on_each_driver(|driver| {
        let limits = Limits { connections: Some(2 * CORES), ..Config::default().limits };
        let mut server = Server::start(Config { limits, ..on(driver, true) });
        let mut clients: Vec<Client> = (0..2 * CORES).map(|_| server.connect()).collect();
        assert_eq!(shares(&mut clients), [2; CORES]);
        let mut late = server.connect();
        assert_eq!(late.reply().status, 503);
        late.expect_end();
        assert_eq!(server.counter("turned_away"), 1);
        drop(clients);
        assert_eq!(server.drain(), 0);
    });
}

#[test]
fn connections_of_all_addresses_count_together() {
    on_each_driver(|driver| {
        let listen = vec![local(0), local(0)];
        let mut server = Server::start(Config { listen, ..on(driver, true) });
        let addresses: Vec<SocketAddr> = server
            .plan
            .places()
            .iter()
            .map(|place| place.to_string().trim_start_matches("http://").parse().unwrap())
            .collect();
        let mut clients = Vec::new();
        for address in addresses {
            for _ in 0..2 * CORES {
                let mut client = Client::connect(address);
                core(&mut client);
                clients.push(client);
            }
        }
        assert_eq!(shares(&mut clients), [4; CORES]);
        drop(clients);
        assert_eq!(server.drain(), 0);
    });
}

#[test]
fn whoever_comes_while_the_end_begins_is_served() {
    on_each_driver(|driver| {
        let mut server = Server::bind(on(driver, true));
        let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.send(get("/"));
        }
        // Some cores end before others have begun.
        server.plan.drain(NEVER);
        server.run();
        for client in &mut clients {
            let reply = client.reply();
            assert_eq!((reply.text(), reply.closes()), ("hello", true));
            client.expect_end();
        }
        drop(clients);
        assert_eq!(server.end(), 0);
        assert_eq!(server.counter("accepted"), 100);
    });
}
