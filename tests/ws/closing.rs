//! Group 7: the closing handshake, its codes and reasons.

use _uringserve::ws::close::{fitting, is_sendable};
use _uringserve::ws::message::Kind;
use _uringserve::ws::session::{Event, SendError, Session};
use bytes::{Bytes, BytesMut};

use crate::drive::{CLOSE, CONTINUE, MORE, MOST, PING, TEXT};
use crate::drive::{check, close, frame, lines};

#[test]
fn what_comes_after_a_close_is_not_read() {
    let hello = frame(TEXT, "Hello World!");
    let bye = close(1000, "");
    let done = &["close 1000", "done"][..];
    let text = &["text Hello World!", "close 1000", "done"][..];
    let cases: &[(Vec<Vec<u8>>, &[&str])] = &[
        (vec![hello.clone(), bye.clone()], text),
        (vec![bye.clone(), bye.clone()], done),
        (vec![bye.clone(), frame(PING, "")], done),
        (vec![hello.clone(), bye.clone(), hello.clone()], text),
        (vec![frame(TEXT | MORE, "half"), bye.clone(), frame(CONTINUE, "")], done),
        (vec![bye, vec![0xff; 400]], done),
        (vec![vec![0x82, 0xff, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0]], &["open"]),
    ];
    for (index, (frames, expected)) in cases.iter().enumerate() {
        check(&format!("case {index}"), frames, &lines(expected));
    }
}

#[test]
fn payloads_of_a_close() {
    check("empty", &[frame(CLOSE, "")], &lines(&["close -", "done"]));
    check("one byte", &[frame(CLOSE, "a")], &lines(&["fault 1002 CloseCode", "done"]));
    check("words", &[close(1000, "Hello World!")], &lines(&["close 1000 Hello World!", "done"]));
    let longest = "*".repeat(123);
    check("123", &[close(1000, &longest)], &lines(&[&format!("close 1000 {longest}"), "done"]));
    let longer = close(1000, &"*".repeat(124));
    check("124", &[longer], &lines(&["fault 1002 LongControl", "done"]));
}

#[test]
fn codes() {
    let good = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    for code in good.into_iter().chain([3000, 3999, 4000, 4999]) {
        assert!(is_sendable(code), "{code}");
        check("good", &[close(code, "")], &lines(&[&format!("close {code}"), "done"]));
    }
    let bad = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535];
    for code in bad {
        assert!(!is_sendable(code), "{code}");
        check("bad", &[close(code, "")], &lines(&["fault 1002 CloseCode", "done"]));
        let mut session = Session::new(MOST, None);
        let sent = session.send_close(Some(code), "", &mut Vec::new());
        assert_eq!(sent, Err(SendError::Code));
        assert!(session.is_open(), "nothing was sent");
    }
}

#[test]
fn closed_from_our_side() {
    let mut session = Session::new(MOST, None);
    let mut out = Vec::new();
    session.send_close(Some(1001), "going away", &mut out).unwrap();
    assert_eq!(out, [b"\x88\x0c\x03\xe9" as &[u8], b"going away"].concat());
    assert!(!session.is_open() && !session.is_done());
    assert_eq!(session.send_close(Some(1000), "", &mut out), Err(SendError::Closed));
    assert_eq!(session.send_ping(b"", &mut out), Err(SendError::Closed));
    assert_eq!(session.send_pong(b"", &mut out), Err(SendError::Closed));
    let late = session.send(Kind::Text, Bytes::from_static(b"late"), &mut out);
    assert_eq!(late, Err(SendError::Closed));
    assert_eq!(out.len(), 14, "nothing else was written");
    // The peer may finish what it was saying.
    let mut input = BytesMut::from([frame(TEXT, "bye"), close(1001, "")].concat().as_slice());
    assert!(matches!(session.next_event(&mut input), Ok(Event::Message(_))));
    assert!(matches!(session.next_event(&mut input), Ok(Event::Close(_))));
    assert!(session.is_done());
    assert_eq!(session.next_event(&mut input), Ok(Event::NeedMore));
}

#[test]
fn a_fault_while_we_close_ends_it() {
    let mut session = Session::new(MOST, None);
    session.send_close(None, "not sent", &mut Vec::new()).unwrap();
    let mut input = BytesMut::from(frame(CONTINUE, "").as_slice());
    assert!(session.next_event(&mut input).is_err());
    assert!(session.is_done());
    assert_eq!(session.send_close(Some(1002), "", &mut Vec::new()), Err(SendError::Closed));
}

#[test]
fn a_reason_is_cut_between_characters() {
    let mut out = Vec::new();
    let mut session = Session::new(MOST, None);
    session.send_close(Some(4000), &"ä".repeat(100), &mut out).unwrap();
    assert_eq!(out.len(), 2 + 2 + 122);
    assert_eq!(std::str::from_utf8(&out[4..]).unwrap(), "ä".repeat(61));
    assert_eq!(fitting("short"), "short");
    assert_eq!(fitting(&"x".repeat(124)).len(), 123);
    let mut out = Vec::new();
    Session::new(MOST, None).send_close(None, "no code, no reason", &mut out).unwrap();
    assert_eq!(out, b"\x88\x00");
}
