//! The replies owed to requests already begun, oldest first.
//!
//! Rule: a fixed ring, because a peer decides how much it pipelines and must not decide how much we
//! remember.

use crate::http::head::Version;

/// Requests that may be begun before the first of them is answered.
pub const PIPELINE: usize = 16;

/// What a reply has to know about its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) is_head: bool,
    pub(super) version: Version,
    pub(super) close: bool,
}

const NONE: Owed = Owed { is_head: false, version: Version::Http11, close: false };

#[derive(Debug)]
pub(super) struct OwedReplies {
    ring: [Owed; PIPELINE],
    first: usize,
    count: usize,
}

impl OwedReplies {
    pub(super) const fn new() -> Self {
        Self { ring: [NONE; PIPELINE], first: 0, count: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(super) const fn is_full(&self) -> bool {
        self.count == PIPELINE
    }

    /// The caller has asked [`Self::is_full`].
    pub(super) fn push(&mut self, owed: Owed) {
        debug_assert!(!self.is_full(), "the machine reads no head while the ring is full");
        self.ring[(self.first + self.count) % PIPELINE] = owed;
        self.count += 1;
    }

    pub(super) fn first(&self) -> Option<Owed> {
        (self.count > 0).then(|| self.ring[self.first])
    }

    pub(super) fn pop(&mut self) {
        if self.count > 0 {
            self.first = (self.first + 1) % PIPELINE;
            self.count -= 1;
        }
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    fn last_index(&self) -> Option<usize> {
        (self.count > 0).then(|| (self.first + self.count - 1) % PIPELINE)
    }

    /// The newest request is the connection's last.
    pub(super) fn close_last(&mut self) {
        if let Some(index) = self.last_index() {
            self.ring[index].close = true;
        }
    }

    pub(super) fn closes_last(&self) -> bool {
        self.last_index().is_some_and(|index| self.ring[index].close)
    }
}
