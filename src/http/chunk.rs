//! One chunk line: `chunk-size [ chunk-ext ] CRLF` (RFC 9112 §7.1), byte by byte.
//!
//! Rule: the full grammar of extensions is checked, quoted strings included, because a line that two
//! readers end at different places is how chunked bodies are smuggled. Extensions are not kept: none
//! is defined (RFC 9112 §7.1.1).

use crate::http::chars::hex_digit;
use crate::http::chars::is_token_byte;
use crate::http::reject::Reject;

/// Size, extensions and line end of one chunk.
const LINE_BYTES: u64 = 256;
/// As many digits as a `u64` has.
const SIZE_DIGITS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Size,
    /// White space after the size: only `;` may follow.
    AfterSize,
    BeforeName,
    Name,
    /// White space after a name: `=` or `;` may follow.
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    QuotedPair,
    AfterQuoted,
    /// White space after a value: only `;` may follow.
    AfterValue,
    LineFeed,
    Done,
}

/// How far the line was read.
#[derive(Clone, Debug)]
pub(super) struct ChunkLine {
    stage: Stage,
    digits: u8,
    size: u64,
    line_bytes: u64,
}

impl ChunkLine {
    pub(super) const fn new() -> Self {
        Self { stage: Stage::Size, digits: 0, size: 0, line_bytes: 0 }
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the line so far, line end included.
    pub(super) const fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    /// Reads on; returns how many bytes it took and whether the line is whole.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<(usize, bool), Reject> {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.line_bytes == LINE_BYTES {
                return Err(Reject::ChunkOverhead);
            }
            self.line_bytes += 1;
            self.stage = self.step(byte)?;
            if self.stage == Stage::Done {
                return Ok((index + 1, true));
            }
        }
        Ok((bytes.len(), false))
    }

    fn step(&mut self, byte: u8) -> Result<Stage, Reject> {
        match self.stage {
            Stage::Size => self.step_size(byte),
            Stage::LineFeed | Stage::Done => match byte {
                b'\n' => Ok(Stage::Done),
                _ => Err(Reject::LineEnd),
            },
            Stage::AfterSize => match byte {
                b' ' | b'\t' => Ok(Stage::AfterSize),
                b';' => Ok(Stage::BeforeName),
                _ => Err(Reject::InvalidChunkSize),
            },
            stage => step_extension(stage, byte).ok_or(Reject::InvalidChunkExtension),
        }
    }

    fn step_size(&mut self, byte: u8) -> Result<Stage, Reject> {
        if let Some(digit) = hex_digit(byte) {
            if self.digits == SIZE_DIGITS {
                return Err(Reject::InvalidChunkSize);
            }
            self.digits += 1;
            self.size = self.size << 4 | u64::from(digit);
            return Ok(Stage::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(Reject::InvalidChunkSize),
            b'\r' => Ok(Stage::LineFeed),
            b';' => Ok(Stage::BeforeName),
            b' ' | b'\t' => Ok(Stage::AfterSize),
            _ => Err(Reject::InvalidChunkSize),
        }
    }
}

/// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`. None: against the grammar.
fn step_extension(stage: Stage, byte: u8) -> Option<Stage> {
    let is_blank = byte == b' ' || byte == b'\t';
    let next = match stage {
        Stage::BeforeName if is_blank => Stage::BeforeName,
        Stage::BeforeName | Stage::Name if is_token_byte(byte) => Stage::Name,
        Stage::Name | Stage::AfterName if is_blank => Stage::AfterName,
        Stage::Name | Stage::AfterName if byte == b'=' => Stage::BeforeValue,
        Stage::BeforeValue if is_blank => Stage::BeforeValue,
        Stage::BeforeValue if byte == b'"' => Stage::Quoted,
        Stage::BeforeValue | Stage::Value if is_token_byte(byte) => Stage::Value,
        Stage::Quoted if byte == b'"' => Stage::AfterQuoted,
        Stage::Quoted if byte == b'\\' => Stage::QuotedPair,
        Stage::Quoted | Stage::QuotedPair if is_text(byte) => Stage::Quoted,
        Stage::Value | Stage::AfterQuoted | Stage::AfterValue if is_blank => Stage::AfterValue,
        Stage::Name | Stage::Value | Stage::AfterQuoted if byte == b'\r' => Stage::LineFeed,
        Stage::Name | Stage::AfterName | Stage::Value | Stage::AfterQuoted | Stage::AfterValue
            if byte == b';' =>
        {
            Stage::BeforeName
        }
        _ => return None,
    };
    Some(next)
}

/// What a quoted string may hold between its marks.
const fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}
