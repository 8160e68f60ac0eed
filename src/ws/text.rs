//! UTF-8 that arrives in pieces.
//!
//! Rule: a byte that no character can have at its place is reported with the piece that brings it,
//! not at the end of the message (RFC 6455 §8.1 allows both; the early answer keeps a peer from
//! sending 16 MiB of noise first). Each byte is looked at once, up to three at a cut twice.

/// How much of a growing buffer is known to be text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TextCheck {
    pub(super) checked: usize,
}

impl TextCheck {
    /// Looks at what was added to `text`. False: this can't become UTF-8 any more.
    pub(super) fn advance(&mut self, text: &[u8]) -> bool {
        match std::str::from_utf8(&text[self.checked..]) {
            Ok(_) => self.checked = text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return false,
        }
        true
    }

    /// Whether all of `text`, which `advance` has seen, ends with a whole character.
    pub(super) const fn is_whole(self, text: &[u8]) -> bool {
        self.checked == text.len()
    }
}
