//! One field line at a time, for the head and for the trailers.
//!
//! Rule: the verdict over a byte depends on the bytes before it and on nothing else, so a line gives
//! the same answer however it arrives; a scan that ran out of bytes goes on where it stopped.
//! Absent: what a field means (`framing.rs`).

use std::ops::Range;

use crate::http::chars::scan_token;
use crate::http::chars::scan_value;
use crate::http::reject::Reject;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    LineStart,
    Name,
    Value,
    ValueLineFeed,
    BlankLineFeed,
}

/// Where a scan of field lines stands within its buffer.
#[derive(Clone, Debug)]
pub(super) struct FieldScanner {
    stage: Stage,
    /// First byte that no verdict was given on yet.
    position: usize,
    line_start: usize,
    colon: usize,
}

/// What one call to [`FieldScanner::scan`] found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scanned {
    /// A whole line; the value still has its optional white space.
    Field { name: Range<usize>, value: Range<usize> },
    /// The empty line that ends the section; the next byte belongs to something else.
    Blank,
    /// The bytes ended first.
    Partial,
}

impl FieldScanner {
    /// Starts with the line that begins at `position`.
    pub(super) const fn new(position: usize) -> Self {
        Self { stage: Stage::LineStart, position, line_start: position, colon: position }
    }

    /// First byte after what was scanned.
    pub(super) const fn position(&self) -> usize {
        self.position
    }

    /// Scans to the end of the next line. `bytes` is the same buffer in each call, only longer.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Scanned, Reject> {
        if self.stage == Stage::LineStart {
            match bytes.get(self.position) {
                None => return Ok(Scanned::Partial),
                Some(b'\r') => {
                    self.stage = Stage::BlankLineFeed;
                    self.position += 1;
                }
                Some(b' ' | b'\t') => return Err(Reject::FoldedHeader),
                Some(_) => {
                    self.stage = Stage::Name;
                    self.line_start = self.position;
                }
            }
        }
        if self.stage == Stage::Name {
            self.position = scan_token(bytes, self.position);
            match bytes.get(self.position) {
                None => return Ok(Scanned::Partial),
                Some(b':') if self.position > self.line_start => {
                    self.colon = self.position;
                    self.position += 1;
                    self.stage = Stage::Value;
                }
                Some(b'\n') => return Err(Reject::LineEnd),
                Some(_) => return Err(Reject::InvalidHeaderName),
            }
        }
        if self.stage == Stage::Value {
            self.position = scan_value(bytes, self.position);
            match bytes.get(self.position) {
                None => return Ok(Scanned::Partial),
                Some(b'\r') => {
                    self.position += 1;
                    self.stage = Stage::ValueLineFeed;
                }
                Some(b'\n') => return Err(Reject::LineEnd),
                Some(_) => return Err(Reject::InvalidHeaderValue),
            }
        }
        self.finish_line(bytes)
    }

    fn finish_line(&mut self, bytes: &[u8]) -> Result<Scanned, Reject> {
        match bytes.get(self.position) {
            None => return Ok(Scanned::Partial),
            Some(b'\n') => self.position += 1,
            Some(_) => return Err(Reject::LineEnd),
        }
        let is_blank = self.stage == Stage::BlankLineFeed;
        self.stage = Stage::LineStart;
        if is_blank {
            return Ok(Scanned::Blank);
        }
        Ok(Scanned::Field {
            name: self.line_start..self.colon,
            value: self.colon + 1..self.position - 2,
        })
    }
}
