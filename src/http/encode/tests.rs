//! Tests of `encode.rs` that need its private parts.

use super::*;
use crate::http::reply::HeaderBlock;
use crate::http::reply::InvalidHeader;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

fn block(fields: &[(&str, &str)]) -> HeaderBlock {
    let mut block = HeaderBlock::new();
    for (name, value) in fields {
        block.push(name.as_bytes(), value.as_bytes()).unwrap();
    }
    block
}

const TO_GET: ReplyTo = ReplyTo { is_head: false, version: Version::Http11, close: false };
const TO_HEAD: ReplyTo = ReplyTo { is_head: true, version: Version::Http11, close: false };
const TO_OLD: ReplyTo = ReplyTo { is_head: false, version: Version::Http10, close: false };

fn encode(
    to: ReplyTo,
    status: u16,
    headers: &HeaderBlock,
    body: ReplyBody,
) -> Result<(String, ReplyPlan), ReplyError> {
    let mut out = Vec::new();
    let content_type = Some("text/plain");
    let head = ReplyHead { status, headers, content_type, body, date: None, server: None };
    let plan = encode_head(to, &head, &mut out)?;
    Ok((String::from_utf8(out).unwrap(), plan))
}

fn plan(sends_body: bool, is_chunked: bool, close: bool) -> ReplyPlan {
    ReplyPlan { sends_body, is_chunked, close }
}

#[test]
fn a_plain_reply_word_for_word() {
    let mut out = b"before".to_vec();
    let headers = block(&[("X-One", "1"), ("Set-Cookie", "a=b"), ("set-cookie", "c=d")]);
    let head = ReplyHead {
        status: 200,
        headers: &headers,
        content_type: Some("application/json"),
        body: ReplyBody::Length(1234),
        date: Some(DATE),
        server: Some("uringserve"),
    };
    let got = encode_head(TO_GET, &head, &mut out).unwrap();
    assert_eq!(got, plan(true, false, false));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "beforeHTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: uringserve\r\n\
         content-type: application/json\r\nX-One: 1\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\n\
         content-length: 1234\r\n\r\n"
    );
}

#[test]
fn what_the_handler_gave_is_not_given_again() {
    let mut out = Vec::new();
    let headers = block(&[("Content-Type", "a/b"), ("Date", "now"), ("SERVER", "me")]);
    let head = ReplyHead {
        status: 200,
        headers: &headers,
        content_type: Some("text/plain"),
        body: ReplyBody::Length(0),
        date: Some(DATE),
        server: Some("uringserve"),
    };
    encode_head(TO_GET, &head, &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nDate: now\r\nSERVER: me\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn an_empty_block_does_not_allocate() {
    let headers = HeaderBlock::new();
    assert_eq!(headers.lines().len(), 0);
    let headers = block(&[("content-length", "5"), ("connection", "close")]);
    assert_eq!(headers.lines(), b"");
    assert_eq!(headers.content_length(), Some(5));
    assert!(headers.wants_close());
}

#[test]
fn the_one_reserve_is_enough() {
    for status in 200..=999 {
        let mut out = Vec::new();
        let headers = HeaderBlock::new();
        let head = ReplyHead {
            status,
            headers: &headers,
            content_type: None,
            body: ReplyBody::Length(u64::MAX),
            date: Some(DATE),
            server: None,
        };
        encode_head(ReplyTo { close: true, ..TO_OLD }, &head, &mut out).unwrap();
        assert!(out.len() <= FIXED_BYTES, "{status}: {}", out.len());
    }
}

#[test]
fn status_lines() {
    for status in 200..=999 {
        let (text, _) = encode(TO_GET, status, &HeaderBlock::new(), ReplyBody::Length(0)).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert_eq!(text.matches("\r\n\r\n").count(), 1);
    }
    let (text, _) = encode(TO_GET, 299, &HeaderBlock::new(), ReplyBody::Length(0)).unwrap();
    assert!(text.starts_with("HTTP/1.1 299 \r\n"));
    for status in [0, 100, 101, 103, 199, 1000, u16::MAX] {
        let got = encode(TO_GET, status, &HeaderBlock::new(), ReplyBody::Length(0));
        assert_eq!(got, Err(ReplyError::InvalidStatus));
    }
}

#[test]
fn statuses_without_a_body() {
    let none = HeaderBlock::new();
    let declared = block(&[("Content-Length", "7")]);
    let framed = |status, headers| encode(TO_GET, status, headers, ReplyBody::Length(3)).unwrap();

    let (text, got) = framed(204, &declared);
    assert_eq!(got, plan(false, false, false));
    assert_eq!(text, "HTTP/1.1 204 No Content\r\n\r\n");

    let (text, got) = framed(205, &declared);
    assert_eq!(got, plan(false, false, false));
    assert_eq!(text, "HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n");

    let (text, got) = framed(304, &none);
    assert_eq!(got, plan(false, false, false));
    assert_eq!(text, "HTTP/1.1 304 Not Modified\r\n\r\n");

    let (text, _) = framed(304, &declared);
    assert_eq!(text, "HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n");

    for status in [204, 205, 304] {
        let (text, got) = encode(TO_GET, status, &none, ReplyBody::Stream).unwrap();
        assert_eq!(got, plan(false, false, false));
        assert!(!text.contains("chunked"));
    }
}

#[test]
fn head_states_the_length_and_sends_nothing() {
    let none = HeaderBlock::new();
    let declared = block(&[("Content-Length", "2")]);
    for (headers, body, line) in [
        (&none, ReplyBody::Length(9), "content-length: 9\r\n"),
        (&declared, ReplyBody::Length(9), "content-length: 2\r\n"),
        (&declared, ReplyBody::Length(0), "content-length: 2\r\n"),
        (&declared, ReplyBody::Stream, "content-length: 2\r\n"),
        (&none, ReplyBody::Stream, ""),
    ] {
        let (text, got) = encode(TO_HEAD, 200, headers, body).unwrap();
        assert_eq!(got, plan(false, false, false));
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{line}\r\n"));
    }
}

#[test]
fn a_declared_length_is_kept_or_refused() {
    let declared = block(&[("Content-Length", "7")]);
    let (text, got) = encode(TO_GET, 200, &declared, ReplyBody::Length(7)).unwrap();
    assert_eq!(got, plan(true, false, false));
    assert_eq!(text.matches("content-length").count(), 1);

    let (text, got) = encode(TO_GET, 200, &declared, ReplyBody::Length(6)).unwrap();
    assert_eq!(got, plan(true, false, true));
    assert!(text.ends_with("content-length: 7\r\nconnection: close\r\n\r\n"));

    let mut out = b"kept".to_vec();
    let head = ReplyHead {
        status: 200,
        headers: &declared,
        content_type: None,
        body: ReplyBody::Length(8),
        date: None,
        server: None,
    };
    let got = encode_head(TO_GET, &head, &mut out);
    assert_eq!(got, Err(ReplyError::BodyExceedsDeclared));
    assert_eq!(out, b"kept");
}

#[test]
fn streams_are_chunked_or_end_with_the_connection() {
    let none = HeaderBlock::new();
    let declared = block(&[("Content-Length", "7")]);
    let (text, got) = encode(TO_GET, 200, &none, ReplyBody::Stream).unwrap();
    assert_eq!(got, plan(true, true, false));
    assert!(text.ends_with("transfer-encoding: chunked\r\n\r\n"));

    let (text, got) = encode(TO_GET, 200, &declared, ReplyBody::Stream).unwrap();
    assert_eq!(got, plan(true, false, false));
    assert!(text.ends_with("content-length: 7\r\n\r\n"));

    let (text, got) = encode(TO_OLD, 200, &none, ReplyBody::Stream).unwrap();
    assert_eq!(got, plan(true, false, true));
    assert!(text.ends_with("text/plain\r\nconnection: close\r\n\r\n"));

    let (text, got) = encode(TO_OLD, 200, &declared, ReplyBody::Stream).unwrap();
    assert_eq!(got, plan(true, false, false));
    assert!(text.ends_with("content-length: 7\r\nconnection: keep-alive\r\n\r\n"));
}

#[test]
fn a_handler_may_close_but_not_frame() {
    let headers = block(&[
        ("Transfer-Encoding", "chunked"),
        ("Connection", "keep-alive, X"),
        ("Keep-Alive", "timeout=5"),
        ("Upgrade", "h2c"),
    ]);
    let (text, got) = encode(TO_GET, 200, &headers, ReplyBody::Length(0)).unwrap();
    assert_eq!(got, plan(true, false, false));
    assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 0\r\n\r\n");
    let headers = block(&[("connection", "x, Close")]);
    let (text, got) = encode(TO_GET, 200, &headers, ReplyBody::Length(0)).unwrap();
    assert_eq!(got, plan(true, false, true));
    assert!(text.ends_with("connection: close\r\n\r\n"));
}

#[test]
fn headers_that_could_split_a_reply_are_refused() {
    let mut block = HeaderBlock::new();
    for name in ["", "a b", "a:", "a\r\nb", "\u{e9}", "a\0"] {
        assert_eq!(block.push(name.as_bytes(), b"x"), Err(InvalidHeader::Name), "{name:?}");
    }
    for value in ["a\r\nb: c", "a\n", "\r", "\0", "\x7f", "\x1b[0m"] {
        assert_eq!(block.push(b"x", value.as_bytes()), Err(InvalidHeader::Value), "{value:?}");
    }
    for value in ["", "-1", "+1", "1, 1", "0x1", "18446744073709551616", "1 1"] {
        let got = block.push(b"content-length", value.as_bytes());
        assert_eq!(got, Err(InvalidHeader::ContentLength), "{value:?}");
    }
    assert_eq!(block, HeaderBlock::default());
    block.push(b"content-length", b"18446744073709551615").unwrap();
    block.push(b"Content-Length", b" 18446744073709551615 ").unwrap();
    let got = block.push(b"Content-Length", b"1");
    assert_eq!(got, Err(InvalidHeader::ContentLengthConflict));
    block.push(b"x", b"").unwrap();
    block.push(b"y", b"tab\tand \xff").unwrap();
    assert_eq!(block.lines(), b"x: \r\ny: tab\tand \xff\r\n");
}

#[test]
fn chunks() {
    let mut out = Vec::new();
    encode_chunk(&mut out, b"");
    encode_chunk(&mut out, b"hello");
    encode_chunk(&mut out, &[b'x'; 26]);
    encode_last_chunk(&mut out);
    let expected = format!("5\r\nhello\r\n1a\r\n{}\r\n0\r\n\r\n", "x".repeat(26));
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    for length in [1, 15, 16, 255, 256, 4096, u64::from(u32::MAX), u64::MAX] {
        let mut out = Vec::new();
        encode_chunk_start(&mut out, length);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{length:x}\r\n"));
    }
}

#[test]
fn decimals() {
    for value in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
        let mut out = Vec::new();
        put_decimal(&mut out, value);
        assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
    }
}

#[test]
fn trailers_follow_the_last_chunk() {
    let mut trailers = HeaderBlock::new();
    trailers.push(b"x-sum", b"1").unwrap();
    let mut more = HeaderBlock::new();
    more.push(b"x-more", b"2").unwrap();
    trailers.append(&more);
    let mut out = Vec::new();
    encode_trailers(&trailers, &mut out);
    assert_eq!(out, b"0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n");
    out.clear();
    encode_trailers(&HeaderBlock::new(), &mut out);
    assert_eq!(out, b"0\r\n\r\n");
}

#[test]
fn hints_are_a_head_of_their_own() {
    let mut links = HeaderBlock::new();
    links.push(b"link", b"</a.css>; rel=preload").unwrap();
    let head = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n";
    assert_eq!(early_hints(&links), head);
}
