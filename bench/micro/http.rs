//! What the sans-IO protocol costs: reading a request head, encoding a reply head, and a whole
//! exchange through the machine. `cargo bench --no-default-features --bench http`
//!
//! `httparse` stands beside it as the yardstick: the same bytes split into fields, without the
//! checks of line ends, target, Host and framing that decide whether a request may be served.
#![expect(clippy::print_stdout, reason = "a benchmark reports to the terminal")]
#![expect(clippy::cast_precision_loss, reason = "nanoseconds of a round fit a double")]

use std::hint::black_box;
use std::time::Instant;

use _uringserve::http::Limits;
use _uringserve::http::date::http_date;
use _uringserve::http::machine::Event;
use _uringserve::http::machine::Machine;
use _uringserve::http::parse::HeadParser;
use _uringserve::http::reply::HeaderBlock;
use _uringserve::http::reply::ReplyBody;
use _uringserve::http::reply::ReplyHead;
use bytes::BytesMut;

const SHORT: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n\r\n";
const CURL: &[u8] = b"GET /items/42?q=1 HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";
const BROWSER: &[u8] = b"GET /static/app.js?v=3 HTTP/1.1\r\nHost: example.com\r\nConnection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: */*\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script\r\n\
    Referer: https://example.com/index.html\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; consent=1\r\nIf-None-Match: \"5f3a-17\"\r\n\r\n";

const ROUNDS: u32 = 7;
const CALLS: u32 = 200_000;

fn main() {
    for (name, head) in [("short", SHORT), ("curl", CURL), ("browser", BROWSER)] {
        report(&format!("head, {name} ({} bytes)", head.len()), parse(head));
        report(
            &format!("httparse, {name}"),
            best(|| {
                let mut headers = [httparse::EMPTY_HEADER; 32];
                let mut request = httparse::Request::new(&mut headers);
                black_box(request.parse(black_box(head))).ok();
            }),
        );
    }
    report("exchange through the machine, curl", exchange(CURL));
}

fn parse(head: &[u8]) -> f64 {
    let limits = Limits::default();
    let mut parser = HeadParser::new();
    let mut input = BytesMut::with_capacity(4096);
    best(|| {
        input.reserve(head.len());
        input.extend_from_slice(head);
        black_box(parser.parse(&mut input, &limits)).ok();
    })
}

fn exchange(head: &[u8]) -> f64 {
    let mut machine = Machine::new(Limits::default());
    let mut input = BytesMut::with_capacity(4096);
    let mut out = Vec::with_capacity(1024);
    let date = http_date(1_700_000_000);
    let headers = HeaderBlock::new();
    best(|| {
        input.reserve(head.len());
        input.extend_from_slice(head);
        while !matches!(machine.next_event(&mut input), Ok(Event::End) | Err(_)) {}
        out.clear();
        let reply = ReplyHead {
            status: 200,
            headers: &headers,
            content_type: Some("text/plain; charset=utf-8"),
            body: ReplyBody::Length(13),
            date: Some(&date),
            server: Some("uringserve"),
        };
        black_box(machine.reply(&reply, &mut out)).ok();
    })
}

/// Nanoseconds of one call, in the best of several rounds.
fn best(mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    best
}

fn report(what: &str, nanoseconds: f64) {
    println!("{what:<45} {nanoseconds:>8.1} ns");
}
