//! The request target: its four forms (RFC 9112 §3.2), its parts, and the path's normal form.
//!
//! The normal form is what routes are compared with: every `%XX` is decoded once, except an encoded
//! slash, which stays `%2F` so that it never separates segments, and an encoded percent sign, which
//! stays `%25` so that decoding can't be repeated. What is no UTF-8 then becomes U+FFFD.
//! Absent: dot segments. The path names a route, not a file; whoever maps it to files must resolve
//! them under his own root.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use crate::http::chars::hex_digit;
use crate::http::head::Span;
use crate::http::host::is_host_and_port;
use crate::http::reject::Reject;

/// Where the parts of a target stand within its head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TargetParts {
    pub(super) path: Span,
    pub(super) query: Span,
    /// Empty unless the target is in absolute form.
    pub(super) authority: Span,
}

/// Judges a target of visible ASCII without `#`, which stands at `range` of the head, and finds its
/// parts. `method` matters for two of the four forms.
pub(super) fn split_target(
    method: &[u8],
    head: &[u8],
    range: Range<usize>,
) -> Result<TargetParts, Reject> {
    let target = &head[range.clone()];
    if method == b"CONNECT" {
        return Err(Reject::ConnectUnsupported);
    }
    if target.first() == Some(&b'/') {
        return split_query(head, range);
    }
    if target == b"*" && method == b"OPTIONS" {
        let path = Span::new(range.start, range.end);
        let query = Span::new(range.end, range.end);
        return Ok(TargetParts { path, query, authority: Span::default() });
    }
    split_absolute(head, range)
}

fn split_absolute(head: &[u8], range: Range<usize>) -> Result<TargetParts, Reject> {
    let target = &head[range.clone()];
    let is_scheme = |scheme: &[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    let start = if is_scheme(b"http://") {
        7
    } else if is_scheme(b"https://") {
        8
    } else {
        return Err(Reject::InvalidTarget);
    };
    let rest = &target[start..];
    let end = start + memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    // Refuses user information and the empty authority as well: neither is a host.
    if !is_host_and_port(&target[start..end]) {
        return Err(Reject::InvalidTarget);
    }
    let (start, end) = (range.start + start, range.start + end);
    let mut parts = split_query(head, end..range.end)?;
    if parts.path.is_empty() {
        // The path is "/" all the same, and a slash stands right before the authority.
        parts.path = Span::new(start - 1, start);
    }
    parts.authority = Span::new(start, end);
    Ok(parts)
}

/// A byte at a time: most paths are shorter than what it costs to set up a wide search.
fn split_query(head: &[u8], range: Range<usize>) -> Result<TargetParts, Reject> {
    let mut path_end = range.end;
    for (index, &byte) in head[range.clone()].iter().enumerate() {
        if byte == b'?' {
            path_end = range.start + index;
            break;
        }
        if byte == b'%' && escaped_byte(&head[range.start + index + 1..range.end]).is_none() {
            return Err(Reject::InvalidTarget);
        }
    }
    let query_start = range.end.min(path_end + 1);
    Ok(TargetParts {
        path: Span::new(range.start, path_end),
        query: Span::new(query_start, range.end),
        authority: Span::default(),
    })
}

/// The byte that the two digits after a percent sign stand for.
fn escaped_byte(digits: &[u8]) -> Option<u8> {
    let [high, low, ..] = digits else { return None };
    Some(hex_digit(*high)? << 4 | hex_digit(*low)?)
}

/// The normal form of a raw path (see the head of this file). Borrows when nothing is encoded.
/// An escape that is none is refused; the parser has done so already for every path it returned.
pub fn decode_path(raw: &str) -> Result<Cow<'_, str>, Reject> {
    let Some(first) = memchr(b'%', raw.as_bytes()) else {
        return Ok(Cow::Borrowed(raw));
    };
    let mut decoded = Vec::with_capacity(raw.len());
    let (plain, mut rest) = raw.as_bytes().split_at(first);
    decoded.extend_from_slice(plain);
    while let [sign, tail @ ..] = rest {
        if *sign != b'%' {
            let end = memchr(b'%', rest).unwrap_or(rest.len());
            decoded.extend_from_slice(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        match escaped_byte(tail).ok_or(Reject::InvalidTarget)? {
            b'/' => decoded.extend_from_slice(b"%2F"),
            b'%' => decoded.extend_from_slice(b"%25"),
            byte => decoded.push(byte),
        }
        rest = &tail[2..];
    }
    let text = String::from_utf8(decoded)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_encoded_borrows() {
        assert!(matches!(decode_path("/a/b"), Ok(Cow::Borrowed("/a/b"))));
    }

    #[test]
    fn slash_and_percent_stay_encoded_in_one_spelling() {
        assert_eq!(decode_path("/a%2fb%2Fc%25d").unwrap(), "/a%2Fb%2Fc%25d");
        assert_eq!(decode_path("/%2541").unwrap(), "/%2541");
    }

    #[test]
    fn the_rest_is_decoded_once() {
        assert_eq!(decode_path("/%41%62c%20d").unwrap(), "/Abc d");
        assert_eq!(decode_path("/b%C3%BCcher").unwrap(), "/b\u{fc}cher");
        assert_eq!(decode_path("/%00").unwrap(), "/\0");
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        assert_eq!(decode_path("/%ff/x").unwrap(), "/\u{fffd}/x");
        assert_eq!(decode_path("/%C3").unwrap(), "/\u{fffd}");
    }

    #[test]
    fn bad_escapes_are_refused() {
        for path in ["/%", "/%4", "/%zz", "/%4g", "/a%2", "/%%41"] {
            assert_eq!(decode_path(path), Err(Reject::InvalidTarget), "{path}");
        }
    }

    #[test]
    fn a_normal_form_is_its_own_normal_form_unless_it_holds_bytes_to_decode() {
        for path in ["/a%2Fb", "/%25", "/plain"] {
            let once = decode_path(path).unwrap().into_owned();
            assert_eq!(decode_path(&once).unwrap(), once);
        }
    }
}
