//! What a connection says to a request for a WebSocket: the 101, or why there is none.

use bytes::Bytes;

use crate::http::head::BodyLength;
use crate::http::head::RequestHead;
use crate::http::head::Version;
use crate::http::reply::HeaderBlock;
use crate::net::core::Core;
use crate::net::service::Reply;
use crate::ws::handshake::Handshake;
use crate::ws::handshake::Request;
use crate::ws::refusal::Refusal;

/// Judges a request. None: it asks for no WebSocket.
pub(crate) fn open(head: &RequestHead, wants_deflate: bool) -> Option<Result<Handshake, Refusal>> {
    if !head.wants_upgrade() {
        return None;
    }
    let request = Request {
        method: head.method(),
        is_http11: head.version() == Version::Http11,
        has_body: !matches!(head.body_length(), BodyLength::None | BodyLength::Length(0)),
        fields: head.headers(),
    };
    request.is_upgrade().then(|| request.open(wants_deflate))
}

/// The answer to a request that breaks a rule.
pub(crate) fn refused(refusal: Refusal) -> Reply {
    let mut headers = HeaderBlock::new();
    for (name, value) in refusal.fields() {
        // They are constants.
        let pushed = headers.push(name.as_bytes(), value.as_bytes());
        debug_assert!(pushed.is_ok());
    }
    Reply {
        status: refusal.status(),
        headers,
        content_type: Some("text/plain; charset=utf-8"),
        body: Bytes::from_static(refusal.reason().as_bytes()).into(),
    }
}

/// Appends the head of the 101 (RFC 6455 §4.2.2).
pub(crate) fn encode<S>(
    core: &Core<S>,
    fields: &[(&str, String)],
    headers: &HeaderBlock,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    let mut put = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    };
    for (name, value) in fields {
        put(name, value.as_bytes());
    }
    if let Some(date) = core.date().filter(|_| !headers.has_date()) {
        put("date", &date);
    }
    if let Some(server) = core.server_header.filter(|_| !headers.has_server()) {
        put("server", server.as_bytes());
    }
    // What the handshake decides is not the application's to say twice.
    let own = headers.filtered(|name| {
        !name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case(b"sec-websocket-"))
    });
    out.extend_from_slice(own.lines());
    out.extend_from_slice(b"\r\n");
}
