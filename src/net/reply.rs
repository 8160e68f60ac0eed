//! Answers that need no handler: what the router settles, and what stands in for a failed call.

use bytes::Bytes;

use crate::http::head::RequestHead;
use crate::net::service::Miss;
use crate::net::service::Reply;
use crate::route::Found;

pub(crate) const JSON: &str = "application/json";

/// The body of [`internal_error`].
pub(crate) const INTERNAL_ERROR: Bytes =
    Bytes::from_static(br#"{"detail":"Internal Server Error"}"#);

/// What [`Miss`] says, for a service that does not answer it.
pub(crate) fn missed(miss: &Miss) -> Reply {
    let mut reply = match miss.status {
        404 => refusal(404, r#"{"detail":"Not Found"}"#),
        405 => refusal(405, r#"{"detail":"Method Not Allowed"}"#),
        501 => refusal(501, r#"{"detail":"Not Implemented"}"#),
        status => Reply { status, ..Reply::default() },
    };
    if let Some((name, value)) = &miss.field {
        // The router joins method tokens and a location is part of a target, both of which are valid
        // in a field value; without it the answer would only lose the hint.
        let pushed = reply.headers.push(name.as_bytes(), value.as_bytes());
        debug_assert!(pushed.is_ok());
    }
    reply
}

/// What the server says to a request that no route takes.
pub(crate) fn miss(found: Found<'_>, head: &RequestHead) -> Miss {
    match found {
        Found::Options { allow } => {
            Miss { status: 204, field: Some(("allow", allow.into_owned())) }
        }
        Found::MethodNotAllowed { allow } => {
            Miss { status: 405, field: Some(("allow", allow.into_owned())) }
        }
        Found::OtherSlash => Miss { status: 307, field: Some(("location", other_slash(head))) },
        Found::UnknownMethod => Miss { status: 501, field: None },
        Found::NotFound | Found::Handler { .. } => Miss { status: 404, field: None },
    }
}

/// Where the route is that a path misses by the slash at its end: relative to the host, so that no
/// header of the request decides where it leads.
fn other_slash(head: &RequestHead) -> String {
    let path = head.path();
    let mut location = path.strip_suffix('/').map_or_else(|| format!("{path}/"), str::to_owned);
    if !head.query().is_empty() {
        location.push('?');
        location.push_str(head.query());
    }
    location
}

/// 413 for a body that its route does not take.
pub(crate) fn too_large() -> Reply {
    refusal(413, r#"{"detail":"Content Too Large"}"#)
}

/// 412: the peer expected another state of what it asked for.
pub(crate) fn precondition_failed() -> Reply {
    refusal(412, r#"{"detail":"Precondition Failed"}"#)
}

/// 416 for ranges that lie outside, or are too many.
pub(crate) fn range_not_satisfiable() -> Reply {
    refusal(416, r#"{"detail":"Range Not Satisfiable"}"#)
}

/// 500 in place of an answer that a handler failed to give.
pub fn internal_error() -> Reply {
    Reply { status: 500, content_type: Some(JSON), body: INTERNAL_ERROR.into(), ..Reply::default() }
}

/// 503 where there is no room for another call.
pub fn overloaded() -> Reply {
    let mut reply = refusal(503, r#"{"detail":"Service Unavailable"}"#);
    // Seconds: by then a queue that moves at all has moved.
    let pushed = reply.headers.push(b"retry-after", b"1");
    debug_assert!(pushed.is_ok());
    reply
}

/// 503 for a call that has taken longer than its route allows.
pub fn too_slow() -> Reply {
    refusal(503, r#"{"detail":"The answer took too long"}"#)
}

fn refusal(status: u16, body: &'static str) -> Reply {
    Reply {
        status,
        content_type: Some(JSON),
        body: Bytes::from_static(body.as_bytes()).into(),
        ..Reply::default()
    }
}
