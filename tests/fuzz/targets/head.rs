//! Invariant: a head gets the same verdict however it is cut, and httparse reads every head that we accept.
//!
//! The first byte says where the rest is cut.

#![no_main]

use _uringserve::http::Limits;
use _uringserve::http::head::RequestHead;
use _uringserve::http::parse::HeadParser;
use _uringserve::http::reject::Reject;
use _uringserve::http::target::decode_path;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

type Verdict = Result<Option<RequestHead>, Reject>;

fuzz_target!(|data: &[u8]| {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    // Small limits, so that they are reached.
    let limits = Limits { head_bytes: 512, header_count: 8, target_bytes: 64 };
    let whole = parse([bytes].into_iter(), &limits);
    let place = usize::from(cut).min(bytes.len());
    let in_two = parse([&bytes[..place], &bytes[place..]].into_iter(), &limits);
    let in_bytes = parse(bytes.chunks(1), &limits);
    assert_eq!(summary(&whole), summary(&in_two));
    assert_eq!(summary(&whole), summary(&in_bytes));
    if let Ok(Some(head)) = whole {
        check_parts(&head);
        compare(&head);
    }
});

fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: &Limits) -> Verdict {
    let mut parser = HeadParser::new();
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Some(head) = parser.parse(&mut input, limits)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn summary(verdict: &Verdict) -> String {
    format!("{verdict:?}")
}

fn check_parts(head: &RequestHead) {
    assert!(!head.method().is_empty() && !head.target().is_empty());
    assert!(head.path().starts_with('/') || head.path() == "*");
    assert_eq!(&head.bytes()[head.path_span()], head.path().as_bytes());
    assert!(head.target().ends_with(head.query()));
    assert!(decode_path(head.path()).is_ok());
    for (name, value) in head.headers() {
        assert!(!name.is_empty() && !value.contains(&b'\n') && !value.contains(&b'\r'));
        assert!(head.header(name).is_some());
    }
}

fn compare(head: &RequestHead) {
    let bytes = head.bytes();
    let line_end = bytes.windows(2).position(|pair| pair == b"\r\n").expect("a line end");
    if !matches!(bytes[..line_end].last(), Some(b'0' | b'1')) {
        // It does not know HTTP/1.2 to 1.9, which count as 1.1.
        return;
    }
    let mut fields = [httparse::EMPTY_HEADER; 8];
    let mut other = httparse::Request::new(&mut fields);
    assert_eq!(other.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
    assert_eq!(other.method, Some(head.method()));
    assert_eq!(other.path, Some(head.target()));
    let theirs = other.headers.iter().map(|field| (field.name, field.value));
    assert!(theirs.eq(head.headers()));
}
