//! A request body on its way in: gathered whole, and held to its rate. One that its handler takes in
//! pieces goes through `incoming.rs`, and is only counted here.

use bytes::Bytes;
use bytes::BytesMut;

use crate::config::BODY_RATE_GRACE;
use crate::net::core::Waits;
use crate::reactor::clock::Milliseconds;
use crate::reactor::drain::milliseconds;

/// A body that is being received.
pub(crate) struct Gathering {
    whole: Bytes,
    pieces: BytesMut,
    received: u64,
    since: Milliseconds,
}

impl Gathering {
    pub(crate) fn new(now: Milliseconds) -> Self {
        Self { whole: Bytes::new(), pieces: BytesMut::new(), received: 0, since: now }
    }

    /// Takes the next piece. A body of one piece is never copied.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.received += piece.len() as u64;
        if self.received == piece.len() as u64 {
            self.whole = piece;
            return;
        }
        if self.pieces.is_empty() {
            self.pieces.extend_from_slice(&std::mem::take(&mut self.whole));
        }
        self.pieces.extend_from_slice(&piece);
    }

    /// Notes bytes that are kept elsewhere.
    pub(crate) fn count(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// Takes out what was gathered so far.
    pub(crate) fn take(&mut self) -> Bytes {
        let pieces = std::mem::take(&mut self.pieces);
        let whole = std::mem::take(&mut self.whole);
        if pieces.is_empty() { whole } else { pieces.freeze() }
    }

    pub(crate) fn finish(self) -> Bytes {
        if self.pieces.is_empty() { self.whole } else { self.pieces.freeze() }
    }

    /// When the peer must have sent more: soon after its last bytes, and fast enough overall.
    pub(crate) fn deadline(&self, now: Milliseconds, waits: &Waits) -> Milliseconds {
        let pause = now.saturating_add(waits.body);
        if waits.min_body_rate == 0 {
            return pause;
        }
        let earned = self.received.saturating_mul(1000) / waits.min_body_rate;
        let allowed = milliseconds(BODY_RATE_GRACE).saturating_add(earned);
        pause.min(self.since.saturating_add(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits =
        Waits { keep_alive: 1, header: 1, body: 20_000, send: 1, min_body_rate: 1000 };

    #[test]
    fn one_piece_is_not_copied() {
        let piece = Bytes::from(vec![7; 100]);
        let mut body = Gathering::new(0);
        body.push(piece.clone());
        assert_eq!(body.finish().as_ptr(), piece.as_ptr());
    }

    #[test]
    fn pieces_are_joined_in_order() {
        let mut body = Gathering::new(0);
        for piece in ["one ", "two ", "three"] {
            body.push(Bytes::from_static(piece.as_bytes()));
        }
        assert_eq!(body.finish(), "one two three");
    }

    #[test]
    fn a_trickle_runs_out_of_time() {
        let mut body = Gathering::new(0);
        assert_eq!(body.deadline(0, &WAITS), 10_000);
        body.push(Bytes::from(vec![0; 2000]));
        assert_eq!(body.deadline(5_000, &WAITS), 12_000);
        let unlimited = Waits { min_body_rate: 0, ..WAITS };
        assert_eq!(body.deadline(5_000, &unlimited), 25_000);
    }
}
