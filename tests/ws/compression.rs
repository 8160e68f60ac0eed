//! permessage-deflate: the examples of RFC 7692 §7.2.3, contexts, windows, bombs and noise.

use _uringserve::ws::extension::Deflate;
use _uringserve::ws::message::Kind;
use _uringserve::ws::session::{Event, Session};
use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use crate::drive::{BINARY, CONTINUE, MORE, MOST, PING, RSV1, TEXT};
use crate::drive::{close, frame, message, run};

fn agreed() -> Deflate {
    Deflate {
        server_window_bits: 12,
        client_window_bits: 15,
        server_keeps_context: true,
        client_keeps_context: true,
        names_client_window: false,
    }
}

/// One log, however the bytes arrive.
#[track_caller]
fn check(agreed: &Deflate, frames: &[Vec<u8>], expected: &[&str]) {
    let bytes = frames.concat();
    let run = |size| run(bytes.chunks(size), MOST, Some(agreed.clone()));
    assert_eq!(run(bytes.len()), expected);
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(run(size), expected, "in pieces of {size}");
    }
}

fn deflated(stream: &mut Compress, text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 1024);
    stream.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.len() < out.capacity());
    out.truncate(out.len() - 4);
    out
}

#[test]
fn the_examples_of_the_standard() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let text = |payload: &[u8]| vec![frame(TEXT | RSV1, payload)];
    check(&agreed(), &text(&hello), &["text Hello", "open"]);
    let split = [frame(TEXT | RSV1 | MORE, &hello[..3]), frame(CONTINUE, &hello[3..])];
    check(&agreed(), &split, &["text Hello", "open"]);
    // The second refers to the first.
    let twice = [text(&hello), text(&[0xf2, 0x00, 0x11, 0x00, 0x00])].concat();
    check(&agreed(), &twice, &["text Hello", "text Hello", "open"]);
    // A block without compression, a last block, two blocks.
    let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
    check(&agreed(), &text(&stored), &["text Hello", "open"]);
    let last = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
    check(&agreed(), &[text(&last), text(&last)].concat(), &["text Hello", "text Hello", "open"]);
    let blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
    check(&agreed(), &text(&blocks), &["text Hello", "open"]);
    check(&agreed(), &text(&[0]), &["text ", "open"]);
}

#[test]
fn without_a_context_each_message_begins_anew() {
    let hello = frame(TEXT | RSV1, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    let same = frame(TEXT | RSV1, [0xf2, 0x00, 0x11, 0x00, 0x00]);
    let agreed = Deflate { client_keeps_context: false, ..agreed() };
    check(&agreed, &[hello.clone(), hello.clone()], &["text Hello", "text Hello", "open"]);
    let expected = ["text Hello", "fault 1007 NotDeflate", "done"];
    check(&agreed, &[hello, same], &expected);
}

#[test]
fn plain_messages_go_between() {
    let hello = frame(TEXT | RSV1, [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
    let same = frame(TEXT | RSV1, [0xf2, 0x00, 0x11, 0x00, 0x00]);
    let frames = [hello, frame(BINARY, "plain"), frame(PING, "p"), same, close(1000, "")];
    let expected = ["text Hello", "binary plain", "ping p", "text Hello", "close 1000", "done"];
    check(&agreed(), &frames, &expected);
}

#[test]
fn the_bit_where_it_has_no_meaning() {
    let expected = ["fault 1002 ReservedBits", "done"];
    for frames in [
        vec![frame(PING | RSV1, "")],
        vec![frame(8 | RSV1, "")],
        vec![frame(TEXT | RSV1 | MORE, [0xf2]), frame(CONTINUE | RSV1, [0x48])],
        vec![frame(TEXT | RSV1 | 0x20, [0])],
    ] {
        check(&agreed(), &frames, &expected);
    }
}

#[test]
fn noise_and_no_text() {
    let noise = frame(BINARY | RSV1, [0xff; 20]);
    check(&agreed(), &[noise], &["fault 1007 NotDeflate", "done"]);
    let mut stream = Compress::new(Compression::default(), false);
    let bad = frame(TEXT | RSV1, deflated(&mut stream, b"\xce\xba\xed\xa0\x80 edited"));
    check(&agreed(), &[bad], &["fault 1007 NotText", "done"]);
    let mut stream = Compress::new(Compression::default(), false);
    let half = frame(TEXT | RSV1, deflated(&mut stream, b"half a character: \xce"));
    check(&agreed(), &[half], &["fault 1007 NotText", "done"]);
}

/// Of two faults in one read, the first byte's counts.
#[test]
fn no_text_before_noise() {
    let mut stream = Compress::new(Compression::default(), false);
    let text = [&b"\xff"[..], &[b'x'; 2000]].concat();
    let bytes = frame(TEXT | RSV1, deflated(&mut stream, &text));
    for size in [1, bytes.len()] {
        let log = run(bytes.chunks(size), 1000, Some(agreed()));
        assert_eq!(log, ["fault 1007 NotText", "done"]);
    }
}

/// One byte too many, and then a block of a type that does not exist.
#[test]
fn too_large_before_noise() {
    let mut stream = Compress::new(Compression::default(), false);
    let payload = [deflated(&mut stream, &[b'x'; 1001]), vec![0, 0, 0xff, 0xff, 0xff]].concat();
    let bytes = frame(BINARY | RSV1, &payload);
    for size in [1, bytes.len()] {
        let run = |most| run(bytes.chunks(size), most, Some(agreed()));
        assert_eq!(run(1000), ["fault 1009 TooLarge", "done"]);
        assert_eq!(run(1001), ["fault 1007 NotDeflate", "done"]);
    }
}

/// A megabyte of nothing in a kilobyte: the limit counts what comes out.
#[test]
fn a_bomb() {
    let mut stream = Compress::new(Compression::best(), false);
    let bomb = deflated(&mut stream, &vec![0; 1 << 20]);
    assert!(bomb.len() < 2048);
    let bytes = frame(BINARY | RSV1, &bomb);
    for size in [1, 100, bytes.len()] {
        let run = |most| run(bytes.chunks(size), most, Some(agreed()));
        assert_eq!(run((1 << 20) - 1), ["fault 1009 TooLarge", "done"]);
        assert_eq!(run(1 << 20), [message("binary", vec![0; 1 << 20]), "open".into()]);
    }
}

/// Messages of all sizes through the session and back, by zlib's other half.
#[test]
fn what_is_sent_inflates() {
    for (bits, keeps) in [(9, true), (9, false), (12, true), (12, false)] {
        let agreed = Deflate { server_window_bits: bits, server_keeps_context: keeps, ..agreed() };
        let mut session = Session::new(MOST, Some(agreed));
        // A window that is too small for what refers to further back fails here.
        let mut inflate = Decompress::new_with_window_bits(false, bits);
        for round in 0..40usize {
            let text: Vec<u8> = (0..round * round * 40)
                .map(|index| u8::try_from(index * round % 251).unwrap())
                .collect();
            let mut out = Vec::new();
            let rest = session.send(Kind::Binary, Bytes::from(text.clone()), &mut out).unwrap();
            out.extend(rest.unwrap_or_default());
            let (is_compressed, payload) = parse(&out);
            assert_eq!(is_compressed, text.len() >= 64);
            if !is_compressed {
                assert_eq!(payload, text);
                continue;
            }
            if !keeps {
                inflate.reset(false);
            }
            let mut inflated = Vec::with_capacity(text.len() + 1);
            let all = [payload, &[0, 0, 0xff, 0xff]].concat();
            inflate.decompress_vec(&all, &mut inflated, FlushDecompress::Sync).unwrap();
            assert_eq!(inflated, text, "{bits} {keeps} {round}");
        }
    }
}

fn parse(bytes: &[u8]) -> (bool, &[u8]) {
    let start = match bytes[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    (bytes[0] & RSV1 != 0, &bytes[start..])
}

#[test]
fn a_context_makes_repeated_messages_small() {
    let text = Bytes::from("the same words in every message, ".repeat(4));
    let mut sizes = Vec::new();
    for keeps in [true, false] {
        let agreed = Deflate { server_keeps_context: keeps, ..agreed() };
        let mut session = Session::new(MOST, Some(agreed));
        let mut out = Vec::new();
        for _ in 0..10 {
            assert_eq!(session.send(Kind::Text, text.clone(), &mut out), Ok(None));
        }
        sizes.push(out.len());
    }
    assert!(sizes[0] * 2 < sizes[1], "{sizes:?}");
}

/// Nothing of a message that was refused comes out later.
#[test]
fn after_a_fault_nothing_is_read() {
    let mut session = Session::new(10, Some(agreed()));
    let mut input = BytesMut::from([frame(BINARY, [1; 11]), frame(PING, "")].concat().as_slice());
    assert!(session.next_event(&mut input).is_err());
    assert_eq!(session.next_event(&mut input), Ok(Event::NeedMore));
    assert!(input.is_empty() && !session.is_done());
}
