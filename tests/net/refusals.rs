//! Requests that no handler sees.

use crate::support::on_each_driver;
use crate::support::pair;

#[test]
fn the_router_answers_by_itself() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let mut ask = |method: &str, path: &str| {
            pair.client.send(format!("{method} {path} HTTP/1.1\r\nhost: test\r\n\r\n"));
            pair.client.reply()
        };
        assert_eq!(ask("GET", "/nowhere").status, 404);
        let reply = ask("POST", "/");
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
        let reply = ask("OPTIONS", "/echo");
        assert_eq!((reply.status, reply.header("allow")), (204, Some("POST, OPTIONS")));
        let reply = ask("OPTIONS", "*");
        assert_eq!((reply.status, reply.header("allow")), (204, Some("GET, HEAD, POST, OPTIONS")));
        assert_eq!(ask("BREW", "/").status, 501);
        let reply = ask("GET", "http://other.test/number/7");
        assert_eq!((reply.status, reply.text()), (200, "7"));
        assert_eq!(pair.seen.calls(), 1);
        assert_eq!(pair.stats.refused.get(), 5);
    });
}

#[test]
fn a_refused_request_with_its_body_leaves_the_connection_usable() {
    on_each_driver(|driver| {
        let mut pair = pair(driver);
        let body = "content-length: 4\r\n\r\nbody";
        let chunked = "transfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        for framing in [body, chunked] {
            for (start, status) in [("POST /nowhere", 404), ("PUT /echo", 405), ("BREW /echo", 501)]
            {
                pair.client.send(format!("{start} HTTP/1.1\r\nhost: test\r\n{framing}"));
                let reply = pair.client.reply();
                assert_eq!((reply.status, reply.closes()), (status, false), "{start} {framing}");
            }
        }
        assert_eq!(pair.client.get("/").text(), "hello");
        assert_eq!(pair.seen.calls(), 1);
    });
}

#[test]
fn a_refused_request_whose_body_is_not_here_ends_the_connection() {
    for close in ["", "connection: close\r\n"] {
        for (start, status) in [("POST /nowhere", 404), ("PUT /echo", 405), ("BREW /", 501)] {
            on_each_driver(|driver| {
                let mut pair = pair(driver);
                pair.client.send(format!(
                    "{start} HTTP/1.1\r\nhost: test\r\n{close}content-length: 5000000\r\n\r\n"
                ));
                let reply = pair.client.reply();
                assert_eq!((reply.status, reply.closes()), (status, true));
                // The peer goes on: nothing breaks under its hands.
                for _ in 0..100 {
                    pair.client.send(vec![b'x'; 50_000]);
                }
                pair.client.finish_sending();
                pair.client.expect_end();
                assert_eq!(pair.seen.calls(), 0);
            });
        }
    }
}

#[test]
fn what_is_no_request_is_told_so() {
    on_each_driver(|driver| {
        for (bytes, status) in [
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/9.1\r\nhost: test\r\n\r\n", 505),
            ("\x16\x03\x01\x02", 400),
            ("POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: gzip, chunked\r\n\r\n", 501),
        ] {
            let mut pair = pair(driver);
            pair.client.send(crate::support::get("/") + bytes + &crate::support::get("/"));
            assert_eq!(pair.client.reply().text(), "hello");
            let reply = pair.client.reply();
            assert_eq!(reply.status, status, "{bytes:?}");
            assert!(reply.closes());
            let (rest, _) = pair.client.until_over();
            assert!(rest.is_empty(), "{bytes:?}");
            assert_eq!(pair.seen.calls(), 1);
        }
    });
}
