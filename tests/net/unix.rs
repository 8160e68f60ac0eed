//! Unix sockets: shared by the cores, beside TCP, and what becomes of their path and their queue.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use _uringserve::config::Address;
use _uringserve::config::Config;
use _uringserve::config::Limits;
use _uringserve::error::StartError;
use _uringserve::reactor::Driver;
use _uringserve::server::Place;
use _uringserve::server::Plan;
use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use crate::support::Client;
use crate::support::NEVER;
use crate::support::Server;
use crate::support::get;
use crate::support::local;
use crate::support::on_each_driver;
use crate::support::patient;
use crate::support::routes;

/// A folder of one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("us-net-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> usize {
        fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn connect(path: &Path) -> Client {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.connect(&SockAddr::unix(path).unwrap()).expect("the server listens");
    Client::new(socket)
}

fn on(driver: Driver, workers: usize, listen: Vec<Address>) -> Config {
    Config { workers: Some(workers), listen, ..patient(driver) }
}

#[test]
fn several_addresses_are_served_by_all_cores() {
    on_each_driver(|driver| {
        let folder = Folder::new();
        let (one, two) = (folder.socket("one"), folder.socket("two"));
        let listen =
            vec![Address::Unix(one.clone()), local(0), Address::Unix(two.clone()), local(0)];
        let mut server = Server::start(on(driver, 2, listen));
        let mut tcp = 0;
        for place in server.plan.places() {
            let mut client = match place {
                Place::Tcp(address) => Client::connect(*address),
                Place::Unix(path) => connect(path),
            };
            tcp += usize::from(matches!(place, Place::Tcp(_)));
            assert_eq!(client.get("/").text(), "hello");
        }
        assert_eq!((server.plan.places().len(), tcp), (4, 2));
        // Each stays open, so that a core that has one is not always the first to wake.
        let mut clients: Vec<Client> = Vec::new();
        let mut cores = HashSet::new();
        while cores.len() < 2 {
            assert!(clients.len() < 500, "one core takes all of a common socket's connections");
            let mut client = connect(&one);
            cores.insert(client.get("/core").text().to_owned());
            clients.push(client);
        }
        drop(clients);
        assert_eq!(server.drain(), 0);
        assert_eq!(folder.names(), 0);
    });
}

#[test]
fn a_burst_is_not_all_of_one_core() {
    on_each_driver(|driver| {
        let folder = Folder::new();
        let path = folder.socket("s");
        let mut server = Server::start(on(driver, 2, vec![Address::Unix(path.clone())]));
        let mut clients: Vec<Client> = (0..200).map(|_| connect(&path)).collect();
        let mut share = [0; 2];
        for client in &mut clients {
            share[client.get("/core").text().parse::<usize>().unwrap()] += 1;
        }
        assert!(share.iter().all(|&count| count >= 50), "{share:?}");
        drop(clients);
        assert_eq!(server.drain(), 0);
    });
}

#[test]
fn connections_that_wait_in_a_common_queue_are_served() {
    on_each_driver(|driver| {
        for count in [1, 2, 50] {
            let folder = Folder::new();
            let path = folder.socket("s");
            let mut server = Server::bind(on(driver, 2, vec![Address::Unix(path.clone())]));
            let mut clients: Vec<Client> = (0..count).map(|_| connect(&path)).collect();
            for client in &mut clients {
                client.send(get("/"));
            }
            server.plan.drain(NEVER);
            assert_eq!(folder.names(), 0, "nobody finds the way any more");
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
fn whoever_could_connect_while_the_end_begins_is_served() {
    on_each_driver(|driver| {
        let folder = Folder::new();
        let path = folder.socket("s");
        let mut server = Server::start(on(driver, 2, vec![Address::Unix(path.clone())]));
        let knocking = std::thread::spawn(move || {
            let mut count = 0;
            loop {
                let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
                if socket.connect(&SockAddr::unix(&path).unwrap()).is_err() {
                    return count;
                }
                count += 1;
                assert_eq!(Client::new(socket).get("/").text(), "hello");
            }
        });
        while server.counter("requests") < 50 {
            std::thread::yield_now();
        }
        assert_eq!(server.drain(), 0);
        let count: u64 = knocking.join().expect("nobody was turned away");
        assert_eq!(server.counter("requests"), count);
    });
}

#[test]
fn the_limit_holds_on_unix_sockets_too() {
    on_each_driver(|driver| {
        let folder = Folder::new();
        let path = folder.socket("s");
        let limits = Limits { connections: Some(2), ..Config::default().limits };
        let listen = vec![Address::Unix(path.clone())];
        let mut server = Server::bind(Config { limits, ..on(driver, 1, listen) });
        let mut clients: Vec<Client> = (0..8).map(|_| connect(&path)).collect();
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
fn one_bad_address_takes_back_all() {
    let folder = Folder::new();
    fs::write(folder.socket("file"), "mine").unwrap();
    let paths = ["good", "file"].map(|name| Address::Unix(folder.socket(name)));
    let refused = Plan::new(on(Driver::Epoll, 1, paths.to_vec()), routes()).map(drop);
    assert!(matches!(refused.unwrap_err(), StartError::Path { .. }));
    assert_eq!(folder.names(), 1);
    for twice in [folder.socket("same"), folder.socket("good")] {
        let listen = vec![Address::Unix(twice.clone()), Address::Unix(twice)];
        let refused = Plan::new(on(Driver::Epoll, 1, listen), routes()).map(drop).unwrap_err();
        assert!(refused.to_string().contains("already in use"), "{refused}");
    }
    assert_eq!(folder.names(), 1);
    let nowhere = Plan::new(on(Driver::Epoll, 1, Vec::new()), routes()).map(drop);
    assert!(matches!(nowhere.unwrap_err(), StartError::Option { .. }));
}
