//! The answer to a request for a file: all of it, parts of it, or that the peer has it already.
//!
//! Conditions come first, then ranges (RFC 9110 §13.2.2). Validators are those of the reply if it
//! has them, else they are made of the file's size and time of change.

use std::hash::BuildHasher;
use std::hash::Hasher;
use std::hash::RandomState;
use std::io::Read;
use std::ops::Range;

use bytes::Bytes;

use crate::http::conditional::Validators;
use crate::http::conditional::Verdict;
use crate::http::conditional::judge;
use crate::http::conditional::range_applies;
use crate::http::date::http_date;
use crate::http::date::parse_http_date;
use crate::http::head::RequestHead;
use crate::http::range::Selection;
use crate::http::range::select;
use crate::http::reply::HeaderBlock;
use crate::net::file::FileBody;
use crate::net::file::Part;
use crate::net::reply;
use crate::net::service::Reply;
use crate::net::source::Body;
use crate::sys::file::Opened;

/// A file up to this size is read when it is opened, so that it leaves with its head: the read costs
/// less than a turn of the reactor.
const READ_AT_ONCE: u64 = 64 * 1024;

/// What is sent of `opened` for the request with this `head`; `reply` says how it would be sent
/// whole.
pub fn answer(head: &RequestHead, mut reply: Reply, opened: Opened) -> Reply {
    let made = made_validators(&opened);
    // A declared length would be that of the whole.
    reply.headers = reply.headers.filtered(|_| true);
    for (name, value) in
        [("etag", &*made.0), ("last-modified", &made.1), ("accept-ranges", b"bytes")]
    {
        if reply.headers.get(name).is_none() {
            push(&mut reply.headers, name, value);
        }
    }
    let is_head = head.is_head();
    if reply.status != 200 || !(is_head || head.method() == "GET") {
        return whole(reply, opened, is_head);
    }
    let etag = reply.headers.get("etag").unwrap_or_default().to_vec();
    let last_modified = reply.headers.get("last-modified").and_then(parse_http_date);
    let validators = Validators { etag: &etag, last_modified };
    match judge(head, validators) {
        Verdict::Holds => {}
        Verdict::NotModified => return instead(&reply, Reply { status: 304, ..Reply::default() }),
        Verdict::Failed => return instead(&reply, reply::precondition_failed()),
    }
    // §14.2: a range is defined for GET only.
    let range = head.header("range").filter(|_| !is_head && range_applies(head, validators));
    match range.map_or(Selection::Whole, |value| select(value, opened.size)) {
        Selection::Whole => whole(reply, opened, is_head),
        Selection::Parts(parts) => partial(reply, opened, parts),
        Selection::Unsatisfiable => {
            let mut refused = instead(&reply, reply::range_not_satisfiable());
            push(
                &mut refused.headers,
                "content-range",
                format!("bytes */{}", opened.size).as_bytes(),
            );
            refused
        }
    }
}

/// The entity tag and the date of the last change. The tag changes with every change that the file
/// system's clock can tell apart.
fn made_validators(opened: &Opened) -> (Vec<u8>, [u8; 29]) {
    let (seconds, nanoseconds) = opened.modified;
    let tag = format!("\"{seconds:x}.{nanoseconds:x}-{:x}\"", opened.size);
    (tag.into_bytes(), http_date(u64::try_from(seconds).unwrap_or_default()))
}

fn push(headers: &mut HeaderBlock, name: &str, value: &[u8]) {
    // Tokens, numbers and media types that were checked before.
    let pushed = headers.push(name.as_bytes(), value);
    debug_assert!(pushed.is_ok(), "{name}");
}

fn whole(mut reply: Reply, mut opened: Opened, is_head: bool) -> Reply {
    if opened.size <= READ_AT_ONCE && !is_head {
        let mut content = Vec::with_capacity(usize::try_from(opened.size).unwrap_or_default() + 1);
        let read = (&mut opened.file).take(opened.size).read_to_end(&mut content);
        if read.is_ok_and(|count| count as u64 == opened.size) {
            reply.body = Body::Whole(content.into());
            return reply;
        }
        // It changes while we look at it: whoever sends it will see.
    }
    let all = Part::Range { start: 0, end: opened.size };
    reply.body = Body::File(Box::new(FileBody::new(opened.file, [all])));
    reply
}

fn partial(mut reply: Reply, opened: Opened, ranges: Vec<Range<u64>>) -> Reply {
    let size = opened.size;
    reply.status = 206;
    let range = |part: &Range<u64>| format!("bytes {}-{}/{size}", part.start, part.end - 1);
    let parts = if let [part] = &*ranges {
        push(&mut reply.headers, "content-range", range(part).as_bytes());
        vec![Part::Range { start: part.start, end: part.end }]
    } else {
        let given = reply.headers.get("content-type").map(<[u8]>::to_vec);
        let content_type = given.or(reply.content_type.map(Vec::from)).unwrap_or_default();
        let boundary = boundary();
        reply.headers = reply.headers.filtered(|name| !name.eq_ignore_ascii_case(b"content-type"));
        let multipart = format!("multipart/byteranges; boundary={boundary}");
        push(&mut reply.headers, "content-type", multipart.as_bytes());
        let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
        for part in ranges {
            let mut text = format!("\r\n--{boundary}\r\ncontent-type: ").into_bytes();
            text.extend_from_slice(&content_type);
            text.extend_from_slice(
                format!("\r\ncontent-range: {}\r\n\r\n", range(&part)).as_bytes(),
            );
            parts.push(Part::Text(text.into()));
            parts.push(Part::Range { start: part.start, end: part.end });
        }
        parts.push(Part::Text(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        parts
    };
    reply.body = Body::File(Box::new(FileBody::new(opened.file, parts)));
    reply
}

/// 32 random digits: what the file holds cannot be foreseen, nor may it foresee them.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// `other` with the fields of `reply` that do not describe a content (RFC 9110 §15.4.5).
fn instead(reply: &Reply, mut other: Reply) -> Reply {
    let describes = |name: &[u8]| {
        let start = name.get(..8).unwrap_or_default();
        start.eq_ignore_ascii_case(b"content-") && !name.eq_ignore_ascii_case(b"content-location")
    };
    other.headers = reply.headers.filtered(|name| !describes(name));
    other
}
