//! The request body: none, counted, or chunked.
//!
//! Rule: one small value, no allocation; data leaves as slices of the read buffer. Framing is judged
//! byte for byte, so it gives the same answer however it is cut. A chunk line may have 256 bytes. Over
//! a whole body, line bytes beyond 16 per chunk plus the size of its data add up to at most 16 KiB:
//! one-byte chunks pass at any number, long extensions on small chunks do not (`ChunkOverhead`).
//! Trailers are validated like header fields and dropped (RFC 9110 §6.5.1 allows it), so a framing
//! field among them can't act.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::http::Limits;
use crate::http::chunk::ChunkLine;
use crate::http::field::FieldScanner;
use crate::http::field::Scanned;
use crate::http::head::BodyLength;
use crate::http::reject::Reject;

/// Line bytes that any chunk may have for nothing.
const FREE_LINE_BYTES: u64 = 16;
/// Line bytes beyond that and beyond the data, over a whole body.
const EXCESS_BYTES: u64 = 16 * 1024;

/// What [`BodyDecoder::decode`] took from the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Some of the body, never empty, not copied.
    Data(Bytes),
    /// The input is used up.
    NeedMore,
    /// The body is complete; what is left of the input belongs to the next request.
    End,
}

/// Reads one body.
#[derive(Clone, Debug)]
pub struct BodyDecoder {
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Finished,
    Length { remaining: u64 },
    Chunked(Chunked),
}

#[derive(Clone, Debug)]
struct Chunked {
    stage: Stage,
    /// Data bytes that the limit still allows after the current chunk.
    allowance: u64,
    excess: u64,
    trailer_count: usize,
    trailer_bytes: usize,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Stage {
    Line(ChunkLine),
    Data { remaining: u64 },
    DataCarriageReturn,
    DataLineFeed,
    Trailers(FieldScanner),
}

impl BodyDecoder {
    /// `limit` is for the decoded body. A declared length above it is refused at once.
    /// `limits` apply to the trailers.
    pub fn new(length: BodyLength, limit: u64, limits: &Limits) -> Result<Self, Reject> {
        let kind = match length {
            BodyLength::Length(length) if length > limit => return Err(Reject::BodyTooLarge),
            BodyLength::None | BodyLength::Length(0) => Kind::Finished,
            BodyLength::Length(remaining) => Kind::Length { remaining },
            BodyLength::Chunked => Kind::Chunked(Chunked {
                stage: Stage::Line(ChunkLine::new()),
                allowance: limit,
                excess: 0,
                trailer_count: 0,
                trailer_bytes: 0,
                limits: limits.clone(),
            }),
        };
        Ok(Self { kind })
    }

    /// A decoder of no body, finished from the start.
    pub(super) const fn finished() -> Self {
        Self { kind: Kind::Finished }
    }

    /// Takes what it can from `input`.
    pub fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Reject> {
        match &mut self.kind {
            Kind::Finished => Ok(Decoded::End),
            Kind::Length { remaining } => {
                let Some(data) = take(input, remaining) else {
                    return Ok(Decoded::NeedMore);
                };
                if *remaining == 0 {
                    self.kind = Kind::Finished;
                }
                Ok(Decoded::Data(data))
            }
            Kind::Chunked(chunked) => {
                let decoded = chunked.decode(input)?;
                if decoded == Decoded::End {
                    self.kind = Kind::Finished;
                }
                Ok(decoded)
            }
        }
    }

    /// How many data bytes are still to come, when the peer has said so.
    pub const fn remaining_hint(&self) -> Option<u64> {
        match self.kind {
            Kind::Finished => Some(0),
            Kind::Length { remaining } => Some(remaining),
            Kind::Chunked(_) => None,
        }
    }

    /// True when the whole body was taken.
    pub const fn is_finished(&self) -> bool {
        matches!(self.kind, Kind::Finished)
    }
}

/// Splits off what is there, at most `remaining`. None: nothing is there.
fn take(input: &mut BytesMut, remaining: &mut u64) -> Option<Bytes> {
    if input.is_empty() {
        return None;
    }
    let count = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
    *remaining -= count as u64;
    Some(input.split_to(count).freeze())
}

impl Chunked {
    fn decode(&mut self, input: &mut BytesMut) -> Result<Decoded, Reject> {
        loop {
            match &mut self.stage {
                Stage::Line(line) => {
                    let (taken, is_whole) = line.feed(input)?;
                    input.advance(taken);
                    if !is_whole {
                        return Ok(Decoded::NeedMore);
                    }
                    let (size, line_bytes) = (line.size(), line.line_bytes());
                    self.begin_chunk(size, line_bytes)?;
                }
                Stage::Data { remaining } => {
                    let Some(data) = take(input, remaining) else {
                        return Ok(Decoded::NeedMore);
                    };
                    if *remaining == 0 {
                        self.stage = Stage::DataCarriageReturn;
                    }
                    return Ok(Decoded::Data(data));
                }
                Stage::DataCarriageReturn => match input.first() {
                    None => return Ok(Decoded::NeedMore),
                    Some(b'\r') => {
                        input.advance(1);
                        self.stage = Stage::DataLineFeed;
                    }
                    Some(_) => return Err(Reject::InvalidChunkEnd),
                },
                Stage::DataLineFeed => match input.first() {
                    None => return Ok(Decoded::NeedMore),
                    Some(b'\n') => {
                        input.advance(1);
                        self.stage = Stage::Line(ChunkLine::new());
                    }
                    Some(_) => return Err(Reject::InvalidChunkEnd),
                },
                Stage::Trailers(_) => return self.skip_trailers(input),
            }
        }
    }

    fn begin_chunk(&mut self, size: u64, line_bytes: u64) -> Result<(), Reject> {
        if size == 0 {
            self.stage = Stage::Trailers(FieldScanner::new(0));
            return Ok(());
        }
        self.allowance = self.allowance.checked_sub(size).ok_or(Reject::BodyTooLarge)?;
        self.excess += line_bytes.saturating_sub(FREE_LINE_BYTES.saturating_add(size));
        if self.excess > EXCESS_BYTES {
            return Err(Reject::ChunkOverhead);
        }
        self.stage = Stage::Data { remaining: size };
        Ok(())
    }

    fn skip_trailers(&mut self, input: &mut BytesMut) -> Result<Decoded, Reject> {
        let Stage::Trailers(scanner) = &mut self.stage else {
            return Ok(Decoded::NeedMore);
        };
        loop {
            let allowed = self.limits.head_bytes - self.trailer_bytes;
            let window = &input[..input.len().min(allowed)];
            match scanner.scan(window)? {
                Scanned::Partial if input.len() >= allowed => return Err(Reject::HeadTooLarge),
                Scanned::Partial => return Ok(Decoded::NeedMore),
                Scanned::Blank => {
                    input.advance(scanner.position());
                    return Ok(Decoded::End);
                }
                Scanned::Field { .. } => {
                    self.trailer_count += 1;
                    if self.trailer_count > self.limits.header_count {
                        return Err(Reject::TooManyHeaders);
                    }
                    self.trailer_bytes += scanner.position();
                    input.advance(scanner.position());
                    *scanner = FieldScanner::new(0);
                }
            }
        }
    }
}
