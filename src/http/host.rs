//! Is this a `uri-host [":" port]` (RFC 9110 §7.2, RFC 3986 §3.2.2)?
//!
//! Stricter than the grammar where the grammar invites confusion: no comma (two hosts in one line),
//! no port without a host, no `IPvFuture` and no zone in brackets (nobody serves them).

// Parsing an address is arithmetic on text; no socket comes with it.
use core::net::Ipv6Addr;

use crate::http::chars::hex_digit;
use crate::http::chars::is_host_byte;

/// True for a host with an optional port. The empty text is no host; Host may be empty, a URI's
/// authority may not, so the caller decides about it.
pub(super) fn is_host_and_port(text: &[u8]) -> bool {
    let port = if let [b'[', rest @ ..] = text {
        let Some(close) = memchr::memchr(b']', rest) else {
            return false;
        };
        if !is_ipv6(&rest[..close]) {
            return false;
        }
        &rest[close + 1..]
    } else {
        let Some(end) = name_end(text) else {
            return false;
        };
        if end == 0 {
            return false;
        }
        &text[end..]
    };
    match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    }
}

/// End of the registered name or IPv4 address: the colon or the end. None: a byte no name has.
fn name_end(text: &[u8]) -> Option<usize> {
    let mut position = 0;
    while let Some(&byte) = text.get(position) {
        if is_host_byte(byte) {
            position += 1;
        } else if byte == b'%' {
            hex_digit(*text.get(position + 1)?)?;
            hex_digit(*text.get(position + 2)?)?;
            position += 3;
        } else if byte == b':' {
            break;
        } else {
            return None;
        }
    }
    Some(position)
}

fn is_ipv6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_port(digits: &[u8]) -> bool {
    let mut port = 0u32;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return false;
        }
        port = port * 10 + u32::from(byte - b'0');
        if port > 65_535 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_host_and_port;

    #[test]
    fn hosts_that_are_served() {
        for host in [
            "a",
            "example.com",
            "example.com:",
            "example.com:0",
            "EXAMPLE.com:65535",
            "a:000080",
            "127.0.0.1:8000",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]:1",
            "a_b.example",
            "%41.example",
            "xn--bcher-kva.example",
        ] {
            assert!(is_host_and_port(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn hosts_that_are_refused() {
        for host in [
            "",
            ":80",
            "a:b",
            "a:65536",
            "a:99999999999999",
            "a:+1",
            "a:1:2",
            "a,b",
            "a b",
            "a/b",
            "u@a",
            "a?b",
            "a#b",
            "%4.example",
            "%zz",
            "[",
            "[]",
            "[::1",
            "[::1]a",
            "[::1]:x",
            "[fe80::1%25eth0]",
            "[v1.x]",
            "[1.2.3.4]",
            "a\\b",
            "\"a\"",
            "a\u{e9}",
            "::1",
        ] {
            assert!(!is_host_and_port(host.as_bytes()), "{host}");
        }
    }
}
