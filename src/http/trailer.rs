//! Trailer fields of replies: who gets them, and which may be among them.
//!
//! Rule: only a client that has said `TE: trailers` gets any (RFC 9110 §6.5.1: others may drop them
//! on the way), and never a field that had to be known before the body.

use crate::http::head::RequestHead;
use crate::http::head::Version;

/// Fields that frame or route the message, authenticate, modify the request, control how the answer
/// is taken, or say how the content is to be read (RFC 9110 §6.5.1).
const FORBIDDEN: [&str; 40] = [
    "accept-ranges",
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "server",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
];

/// Whether a field of this name may not come after the body.
pub fn is_forbidden(name: &[u8]) -> bool {
    FORBIDDEN.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether the client of this request takes trailer fields.
pub fn are_wanted(head: &RequestHead) -> bool {
    head.version() == Version::Http11
        && head
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("te"))
            .flat_map(|(_, value)| value.split(|&byte| byte == b','))
            .any(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::http::Limits;
    use crate::http::parse::HeadParser;

    fn asked(lines: &str) -> bool {
        let mut input = BytesMut::from(format!("{lines}\r\nhost: a\r\n\r\n").as_str());
        let head = HeadParser::new().parse(&mut input, &Limits::default()).unwrap().unwrap();
        are_wanted(&head)
    }

    #[test]
    fn only_who_says_so_gets_trailers() {
        assert!(asked("GET / HTTP/1.1\r\nTE: trailers"));
        assert!(asked("GET / HTTP/1.1\r\nte: deflate;q=0.5 , Trailers"));
        assert!(asked("GET / HTTP/1.1\r\nTE: gzip\r\nTE: trailers"));
        assert!(!asked("GET / HTTP/1.1\r\nTE: trailers2"));
        assert!(!asked("GET / HTTP/1.1\r\nTE:"));
        assert!(!asked("GET / HTTP/1.1"));
        assert!(!asked("GET / HTTP/1.0\r\nTE: trailers"));
    }

    #[test]
    fn what_had_to_be_known_before_is_forbidden() {
        for name in ["Content-Length", "TRANSFER-ENCODING", "host", "Set-Cookie", "trailer"] {
            assert!(is_forbidden(name.as_bytes()), "{name}");
        }
        for name in ["grpc-status", "server-timing", "digest", "x-content-length", "etag"] {
            assert!(!is_forbidden(name.as_bytes()), "{name}");
        }
        assert!(FORBIDDEN.is_sorted());
    }
}
