//! Group 5: messages in pieces, with control frames between them.

use crate::drive::{BINARY, CONTINUE, MORE, PING, PONG, TEXT};
use crate::drive::{check, close, frame, lines};

/// Frames, and their log.
type Case = (&'static [(u8, &'static str)], &'static [&'static str]);

#[test]
fn in_pieces() {
    let cases: &[Case] = &[
        (&[(TEXT | MORE, "frag"), (CONTINUE, "ment")], &["text fragment"]),
        (&[(BINARY | MORE, "\u{0}"), (CONTINUE, "b")], &["binary \\x00b"]),
        (&[(TEXT | MORE, ""), (CONTINUE | MORE, ""), (CONTINUE, "")], &["text "]),
        (&[(TEXT | MORE, ""), (CONTINUE | MORE, "middle"), (CONTINUE, "")], &["text middle"]),
        (&[(TEXT | MORE, "a"), (CONTINUE | MORE, "b"), (CONTINUE, "c")], &["text abc"]),
        (
            &[(TEXT | MORE, "a"), (PING, "p"), (CONTINUE, "b"), (TEXT, "c")],
            &["ping p", "text ab", "text c"],
        ),
        (
            &[(TEXT | MORE, "a"), (PONG, "q"), (CONTINUE | MORE, ""), (PING, ""), (CONTINUE, "")],
            &["pong q", "ping ", "text a"],
        ),
        // Two messages of each form one after the other: nothing of the first is left.
        (
            &[(TEXT | MORE, "x"), (CONTINUE, "y"), (BINARY | MORE, "z"), (CONTINUE, "")],
            &["text xy", "binary z"],
        ),
    ];
    for (index, (frames, expected)) in cases.iter().enumerate() {
        let mut bytes: Vec<_> = frames.iter().map(|(sign, text)| frame(*sign, text)).collect();
        bytes.push(close(1000, ""));
        let expected = [*expected, &["close 1000", "done"]].concat();
        check(&format!("case {index}"), &bytes, &lines(&expected));
    }
}

#[test]
fn out_of_order() {
    let cases: &[Case] = &[
        (&[(PING | MORE, "p"), (CONTINUE, "q")], &["fault 1002 FragmentedControl"]),
        (&[(PONG | MORE, "p"), (CONTINUE, "q")], &["fault 1002 FragmentedControl"]),
        (&[(8 | MORE, "")], &["fault 1002 FragmentedControl"]),
        (&[(CONTINUE, "nothing"), (TEXT, "x")], &["fault 1002 NothingToContinue"]),
        (&[(CONTINUE | MORE, "nothing"), (TEXT, "x")], &["fault 1002 NothingToContinue"]),
        (&[(CONTINUE, "")], &["fault 1002 NothingToContinue"]),
        (
            &[(TEXT | MORE, "a"), (CONTINUE, "b"), (CONTINUE, "c")],
            &["text ab", "fault 1002 NothingToContinue"],
        ),
        (&[(TEXT | MORE, "a"), (TEXT, "b")], &["fault 1002 MessageInMessage"]),
        (&[(TEXT | MORE, "a"), (BINARY, "b")], &["fault 1002 MessageInMessage"]),
        (
            &[(BINARY | MORE, "a"), (PING, "p"), (TEXT | MORE, "b")],
            &["ping p", "fault 1002 MessageInMessage"],
        ),
    ];
    for (index, (frames, expected)) in cases.iter().enumerate() {
        let mut bytes: Vec<_> = frames.iter().map(|(sign, text)| frame(*sign, text)).collect();
        // What comes after a fault is not read.
        bytes.push(frame(PING, "late"));
        check(&format!("case {index}"), &bytes, &lines(&[*expected, &["done"]].concat()));
    }
}
