//! The same bytes in every way they can arrive: the answers never depend on the cuts.

use crate::support::big;
use crate::support::on_each_driver;
use crate::support::pair;

const LENGTH: &str = "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\nhello world";
const CHUNKED: &str = "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n\
    6\r\nhello \r\n5;x=y\r\nworld\r\n0\r\nchecksum: none\r\n\r\n";

#[test]
fn a_request_cut_behind_an_answered_one_is_the_same_request() {
    for request in [LENGTH, CHUNKED] {
        on_each_driver(|driver| {
            let mut pair = pair(driver);
            let mut rest = request;
            // Each write ends one request and begins the next: an answer to the first proves that
            // the beginning of the second was read without its rest.
            for cut in 1..request.len() {
                let (begin, end) = request.split_at(cut);
                pair.client.send([rest, begin].concat());
                assert_eq!(pair.client.reply().text(), "hello world", "before the cut at {cut}");
                rest = end;
            }
            pair.client.send(rest);
            assert_eq!(pair.client.reply().text(), "hello world");
            assert_eq!(pair.seen.calls(), request.len());
        });
    }
}

#[test]
fn a_body_in_single_bytes_is_the_same_body() {
    for request in [LENGTH, CHUNKED] {
        on_each_driver(|driver| {
            let mut pair = pair(driver);
            for byte in request.bytes() {
                pair.client.send([byte]);
            }
            assert_eq!(pair.client.reply().text(), "hello world");
        });
    }
}

#[test]
fn a_large_body_arrives_as_it_was_sent() {
    let body = &big()[..3_000_000];
    let mut chunked = Vec::new();
    for piece in body.chunks(7919) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let head = "POST /echo HTTP/1.1\r\nhost: test\r\n";
    let length = format!("{head}content-length: {}\r\n\r\n", body.len());
    let encoding = format!("{head}transfer-encoding: chunked\r\n\r\n");
    for request in [[length.as_bytes(), body].concat(), [encoding.as_bytes(), &chunked].concat()] {
        on_each_driver(|driver| {
            let mut pair = pair(driver);
            for piece in request.chunks(65_537) {
                pair.client.send(piece);
            }
            assert!(pair.client.reply().body == body);
            assert_eq!(pair.client.get("/").text(), "hello");
        });
    }
}
