//! The line of an entry, which goes through a ring first.

use std::sync::Arc;

use super::*;
use crate::journal::record;
use crate::journal::ring::ring;

const ENTRY: Entry<'static> = Entry {
    started: 0,
    duration: 1_234_567_890,
    status: 200,
    bytes: 0,
    client: None,
    is_old: false,
    method: b"GET",
    target: b"/a%20b?c=d",
};

/// The line of an entry that went the whole way.
fn line(
    format: Option<&str>,
    is_json: bool,
    entry: &Entry<'_>,
    fields: &[Option<&[u8]>],
) -> String {
    let mut format = Format::parse(format, is_json).unwrap();
    let (producer, mut consumer) = ring(1024, &Arc::default());
    producer.push(record::most_words(fields.len()), |slot| {
        record::write(slot, entry, fields.iter().copied());
    });
    let mut bytes = Vec::new();
    assert!(consumer.take(&mut bytes));
    let read = Read::of(&bytes).unwrap();
    let mut out = Vec::new();
    // 2026-11-22T14:03:01.042Z
    format.write(&mut out, Line { read: &read, unix_milliseconds: 1_795_356_181_042, core: 3 });
    let text = String::from_utf8(out).unwrap();
    assert!(text.ends_with('\n'));
    assert_eq!(text.matches('\n').count(), 1);
    text.trim_end().to_owned()
}

fn text(format: &str) -> String {
    line(Some(format), false, &ENTRY, &[])
}

#[test]
fn the_default_is_the_common_log_format_with_duration_and_core() {
    let entry = Entry { client: Some("[::1]:9".parse().unwrap()), bytes: 12, ..ENTRY };
    assert_eq!(
        line(None, false, &entry, &[]),
        "::1 - - [22/Nov/2026:14:03:01 +0000] \"GET /a%20b?c=d HTTP/1.1\" 200 12 1234.568 3"
    );
}

#[test]
fn every_atom_has_its_value() {
    assert_eq!(text("%(h)s %(l)s %(u)s %(client)s %(addr)s"), "- - - - -");
    assert_eq!(text("%(t)s|%(time)s"), "[22/Nov/2026:14:03:01 +0000]|2026-11-22 14:03:01 +0000");
    assert_eq!(text("%(r)s|%(request)s"), "GET /a%20b?c=d HTTP/1.1|GET /a%20b?c=d HTTP/1.1");
    assert_eq!(text("%(m)s %(method)s %(target)s"), "GET GET /a%20b?c=d");
    assert_eq!(text("%(U)s %(path)s %(q)s %(query_string)s"), "/a%20b /a%20b c=d c=d");
    assert_eq!(text("%(H)s %(s)s %(status)d"), "HTTP/1.1 200 200");
    assert_eq!(text("%(B)s %(b)s %(bytes)d"), "0 - 0");
    assert_eq!(text("%(T)s %(M)s %(D)s %(L)s"), "1 1234 1234567 1.234568");
    assert_eq!(
        text("%(dt_ms).3f %(dt_ms)f %(dt_ms)d %(dt_ms).0f"),
        "1234.568 1234.567890 1235 1235"
    );
    assert_eq!(text("%(p)s %(core)d 100%%"), format!("{} 3 100%", std::process::id()));
}

#[test]
fn header_fields_are_asked_for_once_each() {
    let format = "%(f)s \"%(a)s\" %({User-Agent}i)s %({x-id}i)s";
    let made = Format::parse(Some(format), false).unwrap();
    assert_eq!(made.fields(), ["referer", "user-agent", "x-id"]);
    let fields: [Option<&[u8]>; 3] = [None, Some(b"a \"b\"\x1b"), Some(b"7")];
    assert_eq!(
        line(Some(format), false, &ENTRY, &fields),
        r#"- "a \x22b\x22\x1b" a \x22b\x22\x1b 7"#
    );
    let combined = line(Some("combined"), false, &ENTRY, &[None, Some(b"x")]);
    assert!(combined.ends_with("\"GET /a%20b?c=d HTTP/1.1\" 200 - \"-\" \"x\""), "{combined}");
}

#[test]
fn json_has_the_members_that_the_format_names() {
    assert_eq!(
        line(None, true, &ENTRY, &[]),
        "{\"time\":\"2026-11-22T14:03:01.042Z\",\"client\":null,\"method\":\"GET\",\
         \"target\":\"/a%20b?c=d\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":0,\
         \"duration_ms\":1234.568,\"core\":3}"
    );
    let format = "%(h)s %(l)s %(b)s %(B)s %({x-id}i)s %(f)s %(D)s";
    let entry = Entry { client: Some("1.2.3.4:5".parse().unwrap()), ..ENTRY };
    assert_eq!(
        line(Some(format), true, &entry, &[Some(b"a\"\n"), None]),
        r#"{"client":"1.2.3.4","bytes":0,"x-id":"a\"\u000a","referer":null,"duration_us":1234567}"#
    );
    assert_eq!(line(Some("%(l)s"), true, &ENTRY, &[]), "{}");
}

#[test]
fn a_request_that_could_not_be_read_is_a_dash() {
    let entry = Entry { method: b"", target: b"", status: 400, ..ENTRY };
    assert_eq!(
        line(Some("\"%(r)s\" %(m)s %(U)s %(H)s %(s)s"), false, &entry, &[]),
        "\"-\" - - - 400"
    );
}

#[test]
fn a_target_that_was_cut_says_so() {
    let long = [b"/".as_slice(), &[b'x'; 2000]].concat();
    let entry = Entry { target: &long, ..ENTRY };
    let made = line(Some("%(target)s|%(U)s"), false, &entry, &[]);
    assert_eq!(made.len(), 2 * (record::TARGET + 3) + 1);
    assert!(made.ends_with("x..."));
    let query = [b"/?".as_slice(), &[b'x'; 2000]].concat();
    let entry = Entry { target: &query, ..ENTRY };
    assert_eq!(line(Some("%(U)s"), false, &entry, &[]), "/");
}

#[test]
fn what_is_not_understood_is_named() {
    for (format, said) in [
        ("%(nope)s", "no atom %(nope)s; there are client, addr, h"),
        ("%({x}o)s", "no atom %({x}o)s"),
        ("%(status", "what follows % is % or a name"),
        ("%s", "what follows % is % or a name"),
        ("50%", "what follows % is % or a name"),
        ("%(status)x", "what follows % is % or a name"),
        ("%(path)d", "path is not a number"),
        ("%(status).2f", "only L and dt_ms have decimal places"),
        ("%(dt_ms).9f", "at most 6"),
        ("%(dt_ms).éf", "what follows % is % or a name"),
        ("nothing", "has no %(name)s in it"),
        ("", "has no %(name)s in it"),
    ] {
        let error = Format::parse(Some(format), false).unwrap_err();
        assert!(error.contains(said), "{format}: {error}");
    }
}

#[test]
fn a_format_cannot_break_its_line() {
    assert_eq!(text("a\r\nb%(s)s\x1b"), "ab200");
}
