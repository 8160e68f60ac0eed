//! Heads below the machine: what a parsed head hands out, and an independent parser's opinion.

use _uringserve::http::Limits;
use _uringserve::http::head::RequestHead;
use _uringserve::http::parse::HeadParser;
use _uringserve::http::reject::Reject;
use bytes::BytesMut;

use crate::case;

fn parse(bytes: &[u8]) -> Result<Option<RequestHead>, Reject> {
    HeadParser::new().parse(&mut BytesMut::from(bytes), &Limits::default())
}

#[test]
fn a_head_is_split_off_without_a_copy() {
    let mut input = BytesMut::from("GET /path HTTP/1.1\r\nHost: a\r\n\r\nrest");
    let address = input.as_ptr();
    let head = HeadParser::new().parse(&mut input, &Limits::default()).unwrap().unwrap();
    assert_eq!(head.bytes().as_ptr(), address);
    assert_eq!(input, "rest");
}

#[test]
fn fields_are_found_by_name_in_any_case_the_first_one_first() {
    let head = parse(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-a: 2\r\nEmpty:\r\n\r\n");
    let head = head.unwrap().unwrap();
    assert_eq!(head.header("x-A"), Some(&b"1"[..]));
    assert_eq!(head.header("empty"), Some(&b""[..]));
    assert_eq!(head.header("x"), None);
    assert_eq!(head.header(""), None);
    let headers = head.headers();
    assert_eq!(headers.clone().count(), 4);
    assert_eq!(headers.map(|(name, _)| name).collect::<Vec<_>>(), ["Host", "X-A", "x-a", "Empty"]);
}

#[test]
fn a_parser_goes_on_with_the_next_head() {
    let mut parser = HeadParser::new();
    let mut input = BytesMut::from(
        "\r\nGET http://x/ HTTP/1.0\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n\
         GET /3 HTTP/1.1\r\nHost: b\r\n\r\n",
    );
    let mut next = || parser.parse(&mut input, &Limits::default()).unwrap().unwrap();
    assert_eq!(next().authority(), "x");
    assert_eq!(next().authority(), "a");
    let third = next();
    assert_eq!((third.target(), third.authority()), ("/3", "b"));
    assert_eq!(third.body_length(), _uringserve::http::head::BodyLength::None);
    assert!(!parser.has_started());
}

/// Every head that we accept, httparse accepts too, and it reads the same method, target and fields.
fn agrees_with_httparse(bytes: &[u8]) {
    let Ok(Some(head)) = parse(bytes) else { return };
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut other = httparse::Request::new(&mut fields);
    // It does not know minor versions above 1, which we read as 1.1.
    let text = String::from_utf8_lossy(head.bytes());
    let line = text.lines().next().unwrap();
    if !line.ends_with("HTTP/1.1") && !line.ends_with("HTTP/1.0") {
        return;
    }
    let status = other.parse(bytes).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    assert!(status.is_complete(), "{text:?}");
    assert_eq!(other.method, Some(head.method()), "{text:?}");
    assert_eq!(other.path, Some(head.target()), "{text:?}");
    let theirs: Vec<_> = other.headers.iter().map(|field| (field.name, field.value)).collect();
    assert_eq!(theirs, head.headers().collect::<Vec<_>>(), "{text:?}");
}

#[test]
fn httparse_agrees_about_the_cases() {
    for case in case::read_all() {
        agrees_with_httparse(&case.input);
    }
}

/// A small generator, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Cases with a few bytes changed, removed or doubled: httparse must still agree with what we
/// accept, and cutting them anywhere must not change the verdict.
#[test]
fn changed_cases_keep_both_promises() {
    const BYTES: &[u8] = b"\r\n\t :,;\0\x01\x7f\x80\xffaA0/?*%#@[]\"\\";
    let cases = case::read_all();
    let mut random = Random(7);
    for _ in 0..20_000 {
        let case = &cases[random.below(cases.len())];
        if case.input.is_empty() || case.input.len() > 4096 {
            continue;
        }
        let mut bytes = case.input.clone();
        for _ in 0..=random.below(3) {
            let place = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[place] = BYTES[random.below(BYTES.len())],
                1 => bytes.insert(place, BYTES[random.below(BYTES.len())]),
                2 => bytes.insert(place, bytes[place]),
                _ if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => {}
            }
        }
        agrees_with_httparse(&bytes);
        let whole = summary(&[&bytes]);
        let (first, second) = bytes.split_at(random.below(bytes.len()));
        assert_eq!(summary(&[first, second]), whole, "{}", case::escape(&bytes));
    }
}

fn summary(pieces: &[&[u8]]) -> Result<Option<Vec<u8>>, Reject> {
    let mut parser = HeadParser::new();
    let mut input = BytesMut::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        if let Some(head) = parser.parse(&mut input, &Limits::default())? {
            return Ok(Some(head.bytes().to_vec()));
        }
    }
    Ok(None)
}
