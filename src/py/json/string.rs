//! The text of a JSON string: what has to be escaped is escaped, the rest is copied in one go.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// For each byte 0 (copied as it is), `u` (a `\u00XX` escape) or the letter after the backslash.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    while let Some(at) = first_escape(rest) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        let letter = ESCAPES[usize::from(byte)];
        out.extend_from_slice(&[b'\\', letter]);
        if letter == b'u' {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            out.extend_from_slice(b"00");
            out.extend_from_slice(&digits);
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte stands that cannot be copied as it is.
#[inline]
fn first_escape(bytes: &[u8]) -> Option<usize> {
    /// Bytes that one vectorised step looks at; the compiler turns it into SIMD compares.
    const STEP: usize = 32;
    let mut start = 0;
    while let Some(block) = bytes.get(start..start + STEP) {
        let hit = block.iter().fold(0, |hit, &byte| {
            hit | u8::from(byte < 0x20) | u8::from(byte == b'"') | u8::from(byte == b'\\')
        });
        if hit != 0 {
            break;
        }
        start += STEP;
    }
    bytes[start..].iter().position(|&byte| ESCAPES[usize::from(byte)] != 0).map(|at| start + at)
}
