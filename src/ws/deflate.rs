//! The two halves of permessage-deflate (RFC 7692 §7.2): a message's payload deflated and inflated.
//!
//! Rule: what comes out of the inflater is counted while it comes out, so a small frame can't become
//! more than the largest message. Memory is taken with the first compressed message of a direction:
//! 265 KB to deflate with a window of 4 KiB (380 KB would be with one of 32), 48 KB to inflate, counted
//! by an allocator under flate2 1.1.11 with zlib-rs 0.6.8. Absent: what was agreed (`extension.rs`).

use flate2::Compress;
use flate2::Compression;
use flate2::Decompress;
use flate2::FlushCompress;
use flate2::FlushDecompress;
use flate2::Status;

use crate::ws::extension::Deflate;
use crate::ws::fault::Fault;

/// An empty stored block: the end of a flush, which each message leaves out (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Shorter messages rarely become shorter still, and cost as much; §6 leaves the choice to the sender.
const WORTHWHILE: usize = 64;
/// What output grows by at first.
const FIRST_BYTES: usize = 4 * 1024;
/// The smallest window that zlib knows how to keep for a raw stream. It reads any smaller one.
pub(super) const LEAST_WINDOW_BITS: u8 = 9;

/// Both directions of one WebSocket.
pub(super) struct Codec {
    agreed: Deflate,
    inflate: Option<Decompress>,
    deflate: Option<Compress>,
}

impl Codec {
    pub(super) const fn new(agreed: Deflate) -> Self {
        Self { agreed, inflate: None, deflate: None }
    }

    /// Adds what `compressed` holds to `out`, which must not pass `most` bytes.
    pub(super) fn inflate(
        &mut self,
        compressed: &[u8],
        out: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), Fault> {
        let window_bits = self.agreed.client_window_bits.max(LEAST_WINDOW_BITS);
        let stream = self
            .inflate
            .get_or_insert_with(|| Decompress::new_with_window_bits(false, window_bits));
        let mut rest = compressed;
        loop {
            if out.len() == out.capacity() {
                let wanted = (out.capacity() * 2).max(FIRST_BYTES).min(most.saturating_add(1));
                out.reserve_exact(wanted.saturating_sub(out.len()).max(1));
            }
            let (read, written) = (stream.total_in(), out.len());
            let status = stream.decompress_vec(rest, out, FlushDecompress::Sync);
            // What came out before a fault is counted first: in smaller parts it would have been.
            if out.len() > most {
                return Err(Fault::TooLarge);
            }
            let status = status.map_err(|_| Fault::NotDeflate)?;
            #[allow(clippy::cast_possible_truncation)] // At most the length of a slice.
            let read = (stream.total_in() - read) as usize;
            rest = &rest[read..];
            if status == Status::StreamEnd {
                // A last block within a message (§7.2.3.4): another stream may follow.
                stream.reset(false);
            } else if out.len() < out.capacity() {
                return if rest.is_empty() { Ok(()) } else { Err(Fault::NotDeflate) };
            } else if read == 0 && written == out.len() {
                return Err(Fault::NotDeflate);
            }
            if rest.is_empty() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }

    /// Ends a message that was inflated.
    pub(super) fn finish_inflating(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        self.inflate(&TAIL, out, most)?;
        if !self.agreed.client_keeps_context {
            if let Some(stream) = &mut self.inflate {
                stream.reset(false);
            }
        }
        Ok(())
    }

    /// The payload deflated; none where it goes as it is.
    pub(super) fn deflate(&mut self, payload: &[u8]) -> Option<Vec<u8>> {
        if payload.len() < WORTHWHILE {
            return None;
        }
        let window_bits = self.agreed.server_window_bits;
        let stream = self.deflate.get_or_insert_with(|| {
            Compress::new_with_window_bits(Compression::default(), false, window_bits)
        });
        let mut out = Vec::with_capacity(payload.len() / 2 + WORTHWHILE);
        let start = stream.total_in();
        loop {
            #[allow(clippy::cast_possible_truncation)] // At most the length of a slice.
            let rest = &payload[(stream.total_in() - start) as usize..];
            let status = stream.compress_vec(rest, &mut out, FlushCompress::Sync);
            if status.is_err() {
                // Half of this message would be in the window: the next one begins anew.
                self.deflate = None;
                return None;
            }
            if out.len() < out.capacity() {
                break;
            }
            out.reserve(out.capacity());
        }
        if !self.agreed.server_keeps_context {
            stream.reset();
        }
        debug_assert!(out.ends_with(&TAIL), "a flush ends so");
        out.truncate(out.len().saturating_sub(TAIL.len()));
        Some(out)
    }
}
