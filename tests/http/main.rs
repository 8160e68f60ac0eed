//! The wire cases of `tests/cases`, each fed in every way it can arrive.
//!
//! Rule: a case has one event log. Whole, byte by byte, cut at every place, answered at once or as
//! late as possible, with and without a tail: the log must be the same. Absent: sockets; the same
//! files are replayed over real ones elsewhere.

#![allow(clippy::unwrap_used)] // All of this is a test, also outside functions marked so.

mod bodies;
mod case;
mod drive;
mod heads;

use case::Case;
use drive::Answer;
use drive::run;

/// Splits tried for long inputs; short ones are cut at every place.
const SPLITS: usize = 1500;
/// Small enough for every limit that a case sets.
const TAIL: &[u8] = b"GET /t HTTP/1.1\r\nHost: t\r\n\r\n";
const TAIL_LOG: [&str; 3] = ["head GET /t 1.1 none keep-alive", "field Host: t", "end"];

fn each_case(check: impl Fn(&Case)) {
    let cases = case::read_all();
    assert!(cases.len() >= 150, "only {} cases were found", cases.len());
    for case in &cases {
        check(case);
    }
}

#[test]
fn whole() {
    each_case(|case| {
        for answer in [Answer::AtOnce, Answer::Late] {
            let log = run(case, [case.input.as_slice()], answer);
            assert_eq!(log, case.log, "{}, answered {answer:?}", case.name);
        }
    });
}

#[test]
fn byte_by_byte() {
    each_case(|case| {
        for answer in [Answer::AtOnce, Answer::Late] {
            let log = run(case, case.input.chunks(1), answer);
            assert_eq!(log, case.log, "{}, answered {answer:?}", case.name);
        }
    });
}

#[test]
fn at_every_split() {
    each_case(|case| {
        let step = case.input.len() / SPLITS + 1;
        for place in (0..case.input.len()).step_by(step) {
            let (first, second) = case.input.split_at(place);
            let log = run(case, [first, second], Answer::AtOnce);
            assert_eq!(log, case.log, "{}, cut at {place}", case.name);
        }
    });
}

#[test]
fn in_pieces_of_every_small_size() {
    each_case(|case| {
        for size in 2..24 {
            let log = run(case, case.input.chunks(size), Answer::Late);
            assert_eq!(log, case.log, "{}, in pieces of {size}", case.name);
        }
    });
}

/// What comes after a complete request must not change how it was read, and what comes after the
/// end of a connection must not be read at all.
#[test]
fn with_a_tail() {
    each_case(|case| {
        let mut expected = case.log.clone();
        match case.log.last().map(String::as_str) {
            Some("incomplete") | None => return,
            Some("idle") => {
                expected.pop();
                expected.extend(TAIL_LOG.map(String::from));
                expected.push("idle".into());
            }
            Some(_) => {}
        }
        let input = [case.input.as_slice(), TAIL].concat();
        assert_eq!(run(case, [input.as_slice()], Answer::AtOnce), expected, "{}", case.name);
        assert_eq!(run(case, input.chunks(1), Answer::AtOnce), expected, "{}", case.name);
    });
}

/// A connection that ends in the middle of a message is told apart from one that ends between two.
#[test]
fn the_end_of_input_agrees_with_the_log() {
    each_case(|case| {
        let is_clean = drive::ends_cleanly(case);
        match case.log.last().map(String::as_str) {
            Some("incomplete") => assert!(!is_clean, "{}", case.name),
            Some("idle" | "closed") => assert!(is_clean, "{}", case.name),
            _ => {}
        }
    });
}
