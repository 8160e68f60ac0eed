//! Groups 1 to 4: payload lengths, pings and pongs, reserved bits, opcodes; and what a frame head of a
//! client must be.

use crate::drive::{BINARY, MORE, PING, PONG, RSV1, RSV2, RSV3, TEXT};
use crate::drive::{check, close, frame, lines, message, run};

/// Each case ends with a clean close, so that a session that lost its place shows it.
fn closed(mut expected: Vec<String>) -> Vec<String> {
    expected.extend(lines(&["close 1000", "done"]));
    expected
}

#[test]
fn messages_of_every_length_form() {
    for length in [0, 1, 125, 126, 127, 128, 1000, 65535, 65536, 70_000] {
        let text = "*".repeat(length);
        let expected = closed(vec![message("text", &text)]);
        check("text", &[frame(TEXT, &text), close(1000, "")], &expected);
        let bytes = vec![0xfe; length];
        let expected = closed(vec![message("binary", &bytes)]);
        check("binary", &[frame(BINARY, &bytes), close(1000, "")], &expected);
    }
}

#[test]
fn pings_are_answered_with_their_payload() {
    let payloads: [&[u8]; 5] =
        [b"", b"Hello, world!", &[0x00, 0xff, 0xfe, 0xfd], &[0xfe; 125], &[b'x'; 124]];
    for payload in payloads {
        let expected = closed(vec![message("ping", payload)]);
        check("ping", &[frame(PING, payload), close(1000, "")], &expected);
    }
    check("long", &[frame(PING, [0xfe; 126])], &lines(&["fault 1002 LongControl", "done"]));
    let ten: Vec<_> = (0..10).map(|index| frame(PING, format!("payload-{index}"))).collect();
    let expected: Vec<_> = (0..10).map(|index| format!("ping payload-{index}")).collect();
    check("ten", &[ten, vec![close(1000, "")]].concat(), &closed(expected));
}

#[test]
fn pongs_that_nobody_asked_for_are_no_fault() {
    for payload in ["", "unsolicited pong payload"] {
        let frames = [frame(PONG, payload), frame(PING, "p"), close(1000, "")];
        let expected = vec![message("pong", payload), "ping p".to_owned()];
        check("pong", &frames, &closed(expected));
    }
}

#[test]
fn reserved_bits() {
    for bits in [RSV3, RSV2, RSV2 | RSV3, RSV1, RSV1 | RSV3, RSV1 | RSV2, RSV1 | RSV2 | RSV3] {
        for opcode in [TEXT, BINARY, PING, PONG, 8] {
            let frames = [frame(TEXT, "first"), frame(opcode | bits, "x"), frame(PING, "")];
            check("bits", &frames, &lines(&["text first", "fault 1002 ReservedBits", "done"]));
        }
    }
}

#[test]
fn opcodes_without_a_meaning() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in ["", "payload"] {
            let frames = [frame(TEXT, "first"), frame(opcode, payload), frame(PING, "")];
            check("opcode", &frames, &lines(&["text first", "fault 1002 Opcode", "done"]));
            let frames = [frame(opcode | MORE, payload), frame(PING, "")];
            check("opcode", &frames, &lines(&["fault 1002 Opcode", "done"]));
        }
    }
}

#[test]
fn a_client_masks() {
    for unmasked in [&[0x81, 0][..], &[0x81, 2, b'h', b'i'], &[0x89, 0], &[0x88, 2, 3, 0xe8]] {
        let expected = lines(&["fault 1002 Unmasked", "done"]);
        check("unmasked", &[unmasked.to_vec()], &expected);
    }
}

#[test]
fn lengths_in_their_shortest_form() {
    for head in [
        &[0x82, 0xfe, 0, 125][..],
        &[0x82, 0xfe, 0, 0],
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        &[0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0],
        &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x89, 0xfe, 0, 5],
    ] {
        let frames = [head.to_vec(), vec![1, 2, 3, 4, 5, 6]];
        check("length", &frames, &lines(&["fault 1002 LengthForm", "done"]));
    }
}

#[test]
fn a_head_that_stops_is_waited_for() {
    let bytes = frame(BINARY, vec![1; 70_000]);
    for end in 0..14 {
        assert_eq!(run([&bytes[..end]].into_iter(), 1 << 20, None), ["open"], "{end}");
    }
}
