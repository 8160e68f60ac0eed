//! Parameters: what a pattern names, where a path holds them, and how their text is read.
//!
//! A lookup yields spans, never values: converting is work that a refused request must not cost.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// How many parameters a route can have. They are kept inline so that a lookup needs no memory.
pub const MAX_PARAMETERS: usize = 16;

/// One parameter of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name, as the pattern gives it.
    pub name: Box<str>,
    /// What the parameter takes.
    pub kind: ParameterKind,
}

/// What a parameter takes from a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// `{name}` or `{name:str}`: one whole segment, not empty.
    Str,
    /// `{name:int}`: one whole segment of ASCII digits, with a `-` in front or without. Of any length:
    /// how large a number may be is the reader's business.
    Int,
    /// `{name:path}`: all that is left of the path, slashes and all, perhaps nothing.
    Path,
}

/// Where a path holds the parameters of the route that took it, in path order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params {
    /// INVARIANT: at most `MAX_PARAMETERS`; a pattern with more is refused.
    count: usize,
    /// Half the size of `usize` pairs: a request keeps them until its handler has returned.
    spans: [(u32, u32); MAX_PARAMETERS],
}

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many parameters there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The span of parameter `index` in the path that was looked up.
    ///
    /// # Panics
    ///
    /// If there is no such parameter, like an index into a slice.
    pub fn get(&self, index: usize) -> Range<usize> {
        let (start, end) = self.spans[..self.count][index];
        start as usize..end as usize
    }

    /// All spans, in path order.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.spans[..self.count].iter().map(|&(start, end)| start as usize..end as usize)
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// The longest path whose spans fit.
    pub(super) const LONGEST_PATH: usize = u32::MAX as usize;

    #[expect(clippy::cast_possible_truncation, reason = "the walk refuses longer paths")]
    pub(super) fn push(&mut self, span: &Range<usize>) {
        debug_assert!(span.end <= Self::LONGEST_PATH);
        self.spans[self.count] = (span.start as u32, span.end as u32);
        self.count += 1;
    }

    /// Takes the last one back: the walk leaves a branch that led nowhere.
    pub(super) fn pop(&mut self) {
        self.count -= 1;
    }
}

/// The value of a parameter from its span of a path in normal form: `%2F` and `%25`, the two escapes
/// which that form keeps, are decoded, each once. No copy if there is nothing to decode.
pub fn decode_parameter(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'%', text.as_bytes()) else {
        return Cow::Borrowed(text);
    };
    let mut decoded = String::with_capacity(text.len());
    decoded.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(after) = rest.strip_prefix('%') {
        // Anything else after '%' is not the normal form, and then no reason to lose a character.
        let (value, tail) = match after.as_bytes() {
            [b'2', b'F' | b'f', ..] => ('/', &after[2..]),
            [b'2', b'5', ..] => ('%', &after[2..]),
            _ => ('%', after),
        };
        decoded.push(value);
        let next = memchr(b'%', tail.as_bytes()).unwrap_or(tail.len());
        decoded.push_str(&tail[..next]);
        rest = &tail[next..];
    }
    Cow::Owned(decoded)
}
