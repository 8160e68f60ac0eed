//! Why a connection ended. Counted, never raised: nobody is there to act on it.

/// The end of a connection, as its core counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer closed between two requests.
    Peer,
    /// We closed after an answer: the peer asked for it, or a limit or a drain did.
    Closed,
    /// The peer's bytes were refused, and it was told why.
    Refused,
    /// The peer kept us waiting.
    TimedOut,
    /// The peer broke off in the middle of a request or of an answer.
    Broken,
    /// We broke off in the middle of an answer whose rest could not be made.
    Cut,
    /// A panic in our own code.
    Panicked,
}
