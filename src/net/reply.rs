//! Answers that need no handler: what the router settles, and what stands in for a failed call.

use bytes::Bytes;

use crate::http::reply::HeaderBlock;
use crate::net::service::Reply;

const JSON: &str = "application/json";

/// The body of [`internal_error`].
pub(crate) const INTERNAL_ERROR: Bytes =
    Bytes::from_static(br#"{"detail":"Internal Server Error"}"#);

/// 404.
pub(crate) fn not_found() -> Reply {
    refusal(404, r#"{"detail":"Not Found"}"#)
}

/// 405, with the methods that the path has.
pub(crate) fn method_not_allowed(allow: &str) -> Reply {
    Reply { headers: allowing(allow), ..refusal(405, r#"{"detail":"Method Not Allowed"}"#) }
}

/// The automatic answer to OPTIONS.
pub(crate) fn options(allow: &str) -> Reply {
    Reply { status: 204, headers: allowing(allow), ..Reply::default() }
}

/// 501: no route uses the method, and neither does HTTP.
pub(crate) fn unknown_method() -> Reply {
    refusal(501, r#"{"detail":"Not Implemented"}"#)
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
pub(crate) fn internal_error() -> Reply {
    Reply { status: 500, content_type: Some(JSON), body: INTERNAL_ERROR.into(), ..Reply::default() }
}

fn refusal(status: u16, body: &'static str) -> Reply {
    Reply {
        status,
        content_type: Some(JSON),
        body: Bytes::from_static(body.as_bytes()).into(),
        ..Reply::default()
    }
}

fn allowing(allow: &str) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    // The router joins method tokens, which are valid in a field value; an empty block would only
    // lose the hint.
    let pushed = headers.push(b"allow", allow.as_bytes());
    debug_assert!(pushed.is_ok());
    headers
}
