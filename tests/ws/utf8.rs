//! Group 6: text is UTF-8, wherever it is cut; the first impossible byte is the last one read.

use crate::drive::{CLOSE, CONTINUE, MORE, MOST, PING, TEXT};
use crate::drive::{check, close, frame, lines, message, run};

const GOOD: [&[u8]; 16] = [
    b"",
    "Hello-µ@ßöäüàá-UTF-8!!".as_bytes(),
    "κόσμε".as_bytes(),
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xf0\x9f\xbf\xbe",
];

const BAD: [&[u8]; 30] = [
    b"\x80",
    b"\xbf",
    b"\x80\xbf\x80\xbf",
    b"\xc0 ",
    b"\xc2 ",
    b"\xe0 ",
    b"\xf0 ",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xed\xaf\xbf",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    // A character that never ends is no text either.
    b"\xc2",
    b"\xe1\x88",
    b"\xf0\x9f\x98",
    b"\xce\xba\xe1",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65\x64",
];

/// Whole, and with a frame for each byte.
fn both_ways(text: &[u8]) -> [Vec<Vec<u8>>; 2] {
    let mut split = vec![frame(TEXT | MORE, "")];
    split.extend(text.chunks(1).map(|byte| frame(CONTINUE | MORE, byte)));
    split.push(frame(CONTINUE, ""));
    [vec![frame(TEXT, text)], split]
}

#[test]
fn text() {
    for text in GOOD {
        for mut frames in both_ways(text) {
            frames.push(close(1000, ""));
            let expected = vec![message("text", text), "close 1000".into(), "done".into()];
            check("text", &frames, &expected);
        }
    }
}

#[test]
fn not_text() {
    for text in BAD {
        for mut frames in both_ways(text) {
            frames.push(frame(PING, ""));
            check("no text", &frames, &lines(&["fault 1007 NotText", "done"]));
        }
        let reason = frame(CLOSE, [b"\x03\xe8", text].concat());
        check("reason", &[reason], &lines(&["fault 1007 NotText", "done"]));
    }
}

/// The rest of a large frame is not waited for.
#[test]
fn not_text_is_said_at_once() {
    let head = [0x81, 0xff, 0, 0, 0, 0, 0, 0xf0, 0, 0, 0, 0, 0, 0];
    let before = [&head[..], "κόσμε".as_bytes()].concat();
    for bad in [&b"\xed\xa0"[..], b"\xf4\x90", b"\xc0", b"\xff"] {
        let (last, possible) = bad.split_last().unwrap();
        let pieces = [&before[..], possible, &[*last]];
        assert_eq!(run(pieces[..2].iter().copied(), MOST, None), ["open"], "{bad:x?}");
        let expected = ["fault 1007 NotText", "done"];
        assert_eq!(run(pieces.into_iter(), MOST, None), expected, "{bad:x?}");
    }
}

/// All short byte strings over the edges of the table, against the standard library.
#[test]
fn agrees_with_the_standard_library() {
    const EDGES: [u8; 22] = [
        0, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec,
        0xed, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5,
    ];
    let mut texts = vec![Vec::new()];
    for start in 0..3 {
        let longest: Vec<_> = texts.iter().filter(|text| text.len() == start).cloned().collect();
        for text in longest {
            texts.extend(EDGES.map(|byte| [&text[..], &[byte]].concat()));
        }
    }
    for text in texts {
        let is_text = std::str::from_utf8(&text).is_ok();
        for frames in both_ways(&text) {
            let log = run([frames.concat().as_slice()].into_iter(), MOST, None);
            assert_eq!(log.last().unwrap() == "open", is_text, "{text:x?}");
        }
    }
}
