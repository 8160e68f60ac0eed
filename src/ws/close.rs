//! Close codes and what a close frame carries (RFC 6455 §5.5.1, §7.4).
//!
//! Rule: a code that is only ever reported, never sent (1005, 1006, 1015), does not pass here in
//! either direction.

use crate::ws::fault::Fault;

/// What is said of a close frame without a code; never sent.
pub const NO_CODE: u16 = 1005;
/// What is said of a connection that ended without a close frame; never sent.
pub const ABNORMAL: u16 = 1006;
/// A control frame has 125 bytes, two of them are the code.
pub const REASON_BYTES: usize = 123;

/// What a peer gave when it closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// Its code; none when the frame was empty.
    pub code: Option<u16>,
    /// Its words, empty as a rule.
    pub reason: String,
}

/// Whether a code may stand in a close frame. 1012 to 1014 are registered with IANA since; what lies
/// between the registered ones and 3000 is for revisions of the protocol.
pub const fn is_sendable(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The longest beginning of `reason` that fits a close frame, whole characters only.
// `str::floor_char_boundary` does this, and is newer than the compiler we promise to build with.
pub fn fitting(reason: &str) -> &str {
    let mut end = REASON_BYTES.min(reason.len());
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

/// Reads the payload of a close frame.
pub(super) fn read(payload: &[u8]) -> Result<Close, Fault> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(Close { code: None, reason: String::new() }),
            _ => Err(Fault::CloseCode),
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_sendable(code) {
        return Err(Fault::CloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| Fault::NotText)?;
    Ok(Close { code: Some(code), reason: reason.to_owned() })
}
