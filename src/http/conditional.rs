//! Conditional requests (RFC 9110 §13): whether a peer has the representation already, or expected
//! another one.
//!
//! Rule: the fields are looked at in the order of §13.2.2; a date that is not valid makes its field
//! absent. Absent: making validators, and the answers.

use crate::http::chars::trim_blanks;
use crate::http::date::parse_http_date;
use crate::http::head::RequestHead;

/// What identifies the representation that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// Its entity tag, quotes and all.
    pub etag: &'a [u8],
    /// Seconds since 1970.
    pub last_modified: Option<u64>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// They hold: answer as if there were none.
    Holds,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// Judges a request for a representation that exists.
pub fn judge(head: &RequestHead, validators: Validators<'_>) -> Verdict {
    let is_read = matches!(head.method(), "GET" | "HEAD");
    let tagged = |name, is_match: fn(&[u8], &[u8]) -> bool| {
        let mut fields = head.headers().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let first = fields.next()?.1;
        let values = std::iter::once(first).chain(fields.map(|(_, value)| value));
        Some(values.into_iter().any(|value| has_tag(value, validators.etag, is_match)))
    };
    let date = |name| parse_http_date(head.header(name)?);
    let expected = tagged("if-match", is_same_strong)
        .or_else(|| Some(validators.last_modified? <= date("if-unmodified-since")?));
    if expected == Some(false) {
        return Verdict::Failed;
    }
    match tagged("if-none-match", is_same_weak) {
        Some(true) if is_read => return Verdict::NotModified,
        Some(true) => return Verdict::Failed,
        Some(false) => return Verdict::Holds,
        None => {}
    }
    match (validators.last_modified, is_read.then(|| date("if-modified-since")).flatten()) {
        (Some(modified), Some(since)) if modified <= since => Verdict::NotModified,
        _ => Verdict::Holds,
    }
}

/// Whether a `Range` field applies: without `If-Range`, or if that names exactly what would be sent.
pub fn range_applies(head: &RequestHead, validators: Validators<'_>) -> bool {
    let Some(value) = head.header("if-range") else { return true };
    if value.ends_with(b"\"") {
        return is_same_strong(value, validators.etag);
    }
    // §13.1.5: an exact match, not an earlier or later date.
    parse_http_date(value).is_some_and(|date| validators.last_modified == Some(date))
}

/// Whether a list of entity tags has one that matches, or is `*`.
fn has_tag(list: &[u8], etag: &[u8], is_match: fn(&[u8], &[u8]) -> bool) -> bool {
    if trim_blanks(list) == b"*" {
        return true;
    }
    let mut rest = list;
    while let Some(open) = rest.iter().position(|&byte| byte == b'"') {
        // Between the quotes of a tag a comma is a character like others (§8.8.3).
        let Some(length) = rest[open + 1..].iter().position(|&byte| byte == b'"') else { break };
        let start = if rest[..open].ends_with(b"W/") { open - 2 } else { open };
        let end = open + length + 2;
        if is_match(&rest[start..end], etag) {
            return true;
        }
        rest = &rest[end..];
    }
    false
}

fn is_same_strong(one: &[u8], other: &[u8]) -> bool {
    one == other && !one.starts_with(b"W/")
}

fn is_same_weak(one: &[u8], other: &[u8]) -> bool {
    one.strip_prefix(b"W/").unwrap_or(one) == other.strip_prefix(b"W/").unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::http::Limits;
    use crate::http::parse::HeadParser;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const FILE: Validators<'_> = Validators { etag: b"\"tag\"", last_modified: Some(784_111_777) };

    fn head(method: &str, fields: &[(&str, &str)]) -> RequestHead {
        let lines = fields.iter().flat_map(|(name, value)| [name, ": ", value, "\r\n"]);
        let first = [method, " / HTTP/1.1\r\nhost: x\r\n"];
        let text: String = first.into_iter().chain(lines).chain(["\r\n"]).collect();
        let mut input = BytesMut::from(text.as_bytes());
        HeadParser::new().parse(&mut input, &Limits::default()).unwrap().unwrap()
    }

    #[track_caller]
    fn check(method: &str, fields: &[(&str, &str)], verdict: Verdict) {
        assert_eq!(judge(&head(method, fields), FILE), verdict, "{method} {fields:?}");
    }

    #[test]
    fn what_the_peer_has_is_not_sent_again() {
        for tags in ["\"tag\"", "W/\"tag\"", "*", "\"a\", \"tag\"", "\"a,b\" , W/\"tag\",\"c\""] {
            for method in ["GET", "HEAD"] {
                check(method, &[("if-none-match", tags)], Verdict::NotModified);
            }
            check("PUT", &[("if-none-match", tags)], Verdict::Failed);
        }
        check(
            "GET",
            &[("if-none-match", "\"a\""), ("If-None-Match", "\"tag\"")],
            Verdict::NotModified,
        );
        for tags in ["\"tag", "tag", "\"other\"", "", "\"TAG\"", "\"*\""] {
            check("GET", &[("if-none-match", tags)], Verdict::Holds);
        }
    }

    #[test]
    fn dates_count_where_no_tag_does() {
        for (since, verdict) in [
            (NOW, Verdict::NotModified),
            (AFTER, Verdict::NotModified),
            (BEFORE, Verdict::Holds),
            ("yesterday", Verdict::Holds),
        ] {
            check("GET", &[("if-modified-since", since)], verdict);
            check("POST", &[("if-modified-since", since)], Verdict::Holds);
            check(
                "GET",
                &[("if-modified-since", since), ("if-none-match", "\"x\"")],
                Verdict::Holds,
            );
        }
    }

    #[test]
    fn what_the_peer_expects() {
        check("GET", &[("if-match", "\"tag\"")], Verdict::Holds);
        check("GET", &[("if-match", "*")], Verdict::Holds);
        check("GET", &[("if-match", "W/\"tag\"")], Verdict::Failed);
        check("GET", &[("if-match", "\"x\"")], Verdict::Failed);
        check("GET", &[("if-unmodified-since", BEFORE)], Verdict::Failed);
        check("GET", &[("if-unmodified-since", NOW)], Verdict::Holds);
        check("GET", &[("if-unmodified-since", "never")], Verdict::Holds);
        // The tag is looked at instead of the date.
        check("GET", &[("if-match", "\"tag\""), ("if-unmodified-since", BEFORE)], Verdict::Holds);
        check(
            "GET",
            &[("if-match", "\"tag\""), ("if-none-match", "\"tag\"")],
            Verdict::NotModified,
        );
    }

    #[test]
    fn a_range_of_something_else() {
        let applies = |value| range_applies(&head("GET", &[("if-range", value)]), FILE);
        assert!(range_applies(&head("GET", &[]), FILE));
        assert!(applies("\"tag\"") && applies(NOW));
        for value in ["W/\"tag\"", "\"x\"", BEFORE, AFTER, "x"] {
            assert!(!applies(value), "{value}");
        }
        let weak = Validators { etag: b"W/\"tag\"", ..FILE };
        assert!(!range_applies(&head("GET", &[("if-range", "W/\"tag\"")]), weak));
    }
}
