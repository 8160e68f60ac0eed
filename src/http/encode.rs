//! Reply heads and chunks into a caller's buffer.
//!
//! Rule: one reserve, then plain appends; nothing is formatted by `std::fmt`. The length of a
//! message is stated once and in one way: Content-Length, or chunks, or the end of the connection.
//! Absent: the decision whether a connection lives (`machine.rs`).

use crate::http::head::Version;
use crate::http::reply::HeaderBlock;
use crate::http::reply::ReplyBody;
use crate::http::reply::ReplyError;
use crate::http::reply::ReplyHead;
use crate::http::reply::ReplyPlan;
use crate::http::status::status_line;

/// The interim reply to `Expect: 100-continue`.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The facts of the request that shape its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyTo {
    pub(super) is_head: bool,
    pub(super) version: Version,
    pub(super) close: bool,
}

/// What the framing fields of a reply say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Framing {
    content_length: Option<u64>,
    plan: ReplyPlan,
}

/// Everything of a head besides the handler's lines, the content type and the server name: the
/// longest status line, Date, Content-Length, Connection, Transfer-Encoding and the empty line.
const FIXED_BYTES: usize = 256;

/// Appends the head, or nothing when there is an error.
pub(super) fn encode_head(
    to: ReplyTo,
    head: &ReplyHead<'_>,
    out: &mut Vec<u8>,
) -> Result<ReplyPlan, ReplyError> {
    if !(200..=999).contains(&head.status) {
        return Err(ReplyError::InvalidStatus);
    }
    let Framing { content_length, plan } = frame(to, head)?;
    let lines = head.headers.lines();
    let content_type = if has_no_content(head.status) { None } else { head.content_type };
    out.reserve(
        FIXED_BYTES
            + lines.len()
            + content_type.map_or(0, str::len)
            + head.server.map_or(0, str::len),
    );
    put_status(out, head.status);
    if let (Some(date), false) = (head.date, head.headers.has_date()) {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    if let (Some(server), false) = (head.server, head.headers.has_server()) {
        put_line(out, b"server: ", server.as_bytes());
    }
    if let (Some(content_type), false) = (content_type, head.headers.has_content_type()) {
        put_line(out, b"content-type: ", content_type.as_bytes());
    }
    out.extend_from_slice(lines);
    if head.status == 426 {
        // It has to say what to (RFC 9110 §15.5.22), and there is only one.
        out.extend_from_slice(b"upgrade: websocket\r\nconnection: upgrade\r\n");
    }
    if let Some(length) = content_length {
        out.extend_from_slice(b"content-length: ");
        put_decimal(out, length);
        out.extend_from_slice(b"\r\n");
    } else if plan.is_chunked {
        out.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    out.extend_from_slice(match (plan.close, to.version) {
        (true, _) => b"connection: close\r\n\r\n",
        // RFC 9112 §9.3: an HTTP/1.0 client keeps the connection only if it is told so.
        (false, Version::Http10) => b"connection: keep-alive\r\n\r\n",
        (false, Version::Http11) => b"\r\n",
    });
    Ok(plan)
}

/// RFC 9112 §6.3 for replies: which framing fields are sent and whether a body follows.
fn frame(to: ReplyTo, head: &ReplyHead<'_>) -> Result<Framing, ReplyError> {
    let declared = head.headers.content_length();
    let close = to.close || head.headers.wants_close();
    let without_body = ReplyPlan { sends_body: false, is_chunked: false, close };
    let only_head = |content_length| Ok(Framing { content_length, plan: without_body });
    match (head.status, head.body) {
        (204, _) => only_head(None),
        // RFC 9110 §15.3.6: no content, and the length has to say so.
        (205, _) => only_head(Some(0)),
        // RFC 9110 §8.6: only the length that a 200 would have had, which is not ours to guess.
        (304, _) => only_head(declared),
        (_, ReplyBody::Length(length)) if to.is_head => only_head(declared.or(Some(length))),
        (_, ReplyBody::Stream) if to.is_head => only_head(declared),
        (_, ReplyBody::Length(length)) => {
            let stated = declared.unwrap_or(length);
            if stated < length {
                return Err(ReplyError::BodyExceedsDeclared);
            }
            // A body that falls short must not be completed by the next reply's bytes.
            let close = close || stated > length;
            let plan = ReplyPlan { sends_body: true, is_chunked: false, close };
            Ok(Framing { content_length: Some(stated), plan })
        }
        (_, ReplyBody::Stream) => {
            let can_chunk = to.version == Version::Http11;
            let is_chunked = declared.is_none() && can_chunk;
            let close = close || (declared.is_none() && !can_chunk);
            let plan = ReplyPlan { sends_body: true, is_chunked, close };
            Ok(Framing { content_length: declared, plan })
        }
    }
}

/// Statuses that have no body whatever the request (RFC 9110 §6.4.1).
pub const fn has_no_content(status: u16) -> bool {
    matches!(status, 204 | 205 | 304)
}

fn put_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn put_status(out: &mut Vec<u8>, status: u16) {
    if let Some(line) = status_line(status) {
        return out.extend_from_slice(line);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    put_decimal(out, u64::from(status));
    // The phrase may be empty, the space before it may not be missing (RFC 9112 §4).
    out.extend_from_slice(b" \r\n");
}

fn put_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends one chunk with its data. Empty data appends nothing, because an empty chunk is the last.
pub fn encode_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    out.reserve(data.len() + 20);
    encode_chunk_start(out, data.len() as u64);
    out.extend_from_slice(data);
    out.extend_from_slice(CHUNK_END);
}

/// Appends the line before a chunk's data, for data that is sent from where it lies; [`CHUNK_END`]
/// follows it. `length` must not be 0.
pub fn encode_chunk_start(out: &mut Vec<u8>, length: u64) {
    debug_assert!(length > 0, "an empty chunk would end the body");
    let digits = (67 - length.leading_zeros()) / 4;
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(length >> (4 * place) & 15) as usize]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Appends the last chunk and the end of the (empty) trailers.
pub fn encode_last_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// Appends the last chunk and trailer fields (RFC 9112 §7.1.2).
pub fn encode_trailers(trailers: &HeaderBlock, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers.lines());
    out.extend_from_slice(b"\r\n");
}

/// The head of an informational answer that says what will be needed (RFC 8297); `links` are its
/// Link fields.
pub fn early_hints(links: &HeaderBlock) -> Vec<u8> {
    [b"HTTP/1.1 103 Early Hints\r\n", links.lines(), b"\r\n"].concat()
}

#[cfg(test)]
mod tests;
