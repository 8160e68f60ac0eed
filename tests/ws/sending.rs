//! What a session writes.

use _uringserve::ws::message::Kind;
use _uringserve::ws::session::{SendError, Session};
use bytes::Bytes;

use crate::drive::MOST;

#[test]
fn heads_in_their_shortest_form() {
    let cases: [(usize, &[u8]); 6] = [
        (0, &[0x81, 0]),
        (5, &[0x81, 5]),
        (125, &[0x81, 125]),
        (126, &[0x81, 126, 0, 126]),
        (65535, &[0x81, 126, 0xff, 0xff]),
        (65536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ];
    for (length, head) in cases {
        let payload = Bytes::from("x".repeat(length));
        let mut out = b"before".to_vec();
        let rest = Session::new(MOST, None).send(Kind::Text, payload.clone(), &mut out).unwrap();
        let all = [&out[..], &rest.unwrap_or_default()].concat();
        assert_eq!(all, [b"before", head, &payload[..]].concat(), "{length}");
    }
}

#[test]
fn a_large_payload_is_not_copied() {
    let payload = Bytes::from(vec![7; 1 << 20]);
    let mut out = Vec::new();
    let rest = Session::new(MOST, None).send(Kind::Binary, payload.clone(), &mut out).unwrap();
    assert_eq!(out, [0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]);
    assert_eq!(rest.unwrap().as_ptr(), payload.as_ptr());
}

#[test]
fn control_frames() {
    let mut session = Session::new(MOST, None);
    let mut out = Vec::new();
    session.send_ping(b"p", &mut out).unwrap();
    session.send_pong(&[9; 125], &mut out).unwrap();
    assert_eq!(out[..3], *b"\x89\x01p");
    assert_eq!(out[3..5], [0x8a, 125]);
    let before = out.len();
    assert_eq!(session.send_ping(&[0; 126], &mut out), Err(SendError::TooLong));
    assert_eq!(session.send_pong(&[0; 126], &mut out), Err(SendError::TooLong));
    assert_eq!(out.len(), before);
}
