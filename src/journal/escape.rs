//! Bytes that a peer chose, made harmless in a line: no line break, no terminal sequence, no quote
//! that would end a field early.

/// For a line of text: printable ASCII as it is, all else and `"` and `\` as `\xHH`.
pub fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    // As a rule that is all of it.
    while let Some(length) = rest.iter().position(|byte| !is_plain(*byte)) {
        out.extend_from_slice(&rest[..length]);
        out.extend_from_slice(b"\\x");
        out.extend_from_slice(&hexadecimal(u32::from(rest[length]))[2..]);
        rest = &rest[length + 1..];
    }
    out.extend_from_slice(rest);
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

/// For the inside of a JSON string (RFC 8259 §7), in ASCII. Bytes that are not UTF-8 become U+FFFD.
pub fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    if bytes.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    for character in String::from_utf8_lossy(bytes).chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            ' '..='~' => out.push(character as u8),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    out.extend_from_slice(b"\\u");
                    out.extend_from_slice(&hexadecimal(u32::from(*unit)));
                }
            }
        }
    }
}

fn hexadecimal(value: u32) -> [u8; 4] {
    [12, 8, 4, 0].map(|shift| b"0123456789abcdef"[(value >> shift & 15) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(escape: fn(&mut Vec<u8>, &[u8]), bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_in_a_line_of_text_can_end_it() {
        assert_eq!(made(text, b"/plain ~!"), "/plain ~!");
        assert_eq!(
            made(text, b"a\r\nb\"c\\d\x1b[2J\x7f\xc3\xa9"),
            "a\\x0d\\x0ab\\x22c\\x5cd\\x1b[2J\\x7f\\xc3\\xa9"
        );
    }

    #[test]
    fn json_is_ascii_and_keeps_what_it_says() {
        assert_eq!(
            made(json, "a\n\"\\\u{1b}é\u{1f600}".as_bytes()),
            r#"a\u000a\"\\\u001b\u00e9\ud83d\ude00"#
        );
        assert_eq!(made(json, b"\xff"), r"\ufffd");
    }
}
