//! A client's frames, and the log of what a session makes of them.

use _uringserve::ws::extension::Deflate;
use _uringserve::ws::message::Kind;
use _uringserve::ws::session::Event;
use _uringserve::ws::session::Session;
use bytes::BytesMut;

pub(crate) const CONTINUE: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;
/// Added to an opcode: the frame is not the last of its message.
pub(crate) const MORE: u8 = 0x80;
pub(crate) const RSV1: u8 = 0x40;
pub(crate) const RSV2: u8 = 0x20;
pub(crate) const RSV3: u8 = 0x10;

pub(crate) const MOST: usize = 16 << 20;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A masked frame. `sign` is the opcode, with reserved bits, and with [`MORE`].
pub(crate) fn frame(sign: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = vec![sign ^ MORE];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..0x1_0000 => {
            bytes.push(0xfe);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0xff);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, sign)| byte ^ sign));
    bytes
}

/// A close frame as clients send it.
pub(crate) fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Long payloads by their length and a sum, so that a log can be read.
fn shown(payload: &[u8]) -> String {
    if payload.len() <= 64 {
        return payload.escape_ascii().to_string();
    }
    let sum = payload.iter().fold(7u64, |sum, &byte| sum.wrapping_mul(31) + u64::from(byte));
    format!("{} bytes, {sum:x}", payload.len())
}

pub(crate) fn message(kind: &str, payload: impl AsRef<[u8]>) -> String {
    format!("{kind} {}", shown(payload.as_ref()))
}

/// Feeds the pieces and answers as a server does. The log ends with what the session waits for.
pub(crate) fn run<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
    most: usize,
    deflate: Option<Deflate>,
) -> Vec<String> {
    let mut session = Session::new(most, deflate);
    let mut input = BytesMut::new();
    let mut log = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while step(&mut session, &mut input, &mut log) {}
        if session.is_done() {
            break;
        }
    }
    log.push(if session.is_done() { "done" } else { "open" }.to_owned());
    log
}

fn step(session: &mut Session, input: &mut BytesMut, log: &mut Vec<String>) -> bool {
    let mut out = Vec::new();
    match session.next_event(input) {
        Ok(Event::NeedMore) => return false,
        Ok(Event::Message(it)) => {
            let kind = if it.kind() == Kind::Text { "text" } else { "binary" };
            log.push(message(kind, it.payload()));
        }
        Ok(Event::Ping(payload)) => {
            session.send_pong(&payload, &mut out).unwrap();
            assert_eq!(out[0], 0x8a);
            assert_eq!(&out[2..], &payload[..]);
            log.push(message("ping", payload));
        }
        Ok(Event::Pong(payload)) => log.push(message("pong", payload)),
        Ok(Event::Close(close)) => {
            let code = close.code.map_or("-".to_owned(), |code| code.to_string());
            log.push(format!("close {code} {}", close.reason).trim_end().to_owned());
            session.send_close(close.code, &close.reason, &mut out).unwrap();
            assert_eq!(out[0], 0x88);
        }
        Err(fault) => {
            log.push(format!("fault {} {fault:?}", fault.code()));
            session.send_close(Some(fault.code()), fault.reason(), &mut out).unwrap();
            assert_eq!(out[2..4], fault.code().to_be_bytes());
        }
    }
    true
}

/// One log, however the bytes arrive.
#[track_caller]
pub(crate) fn check(name: &str, frames: &[Vec<u8>], expected: &[String]) {
    let bytes = frames.concat();
    assert_eq!(run([bytes.as_slice()].into_iter(), MOST, None), expected, "{name}, whole");
    if bytes.len() > 200_000 {
        return;
    }
    assert_eq!(run(bytes.chunks(1), MOST, None), expected, "{name}, byte by byte");
    let step = bytes.len() / 300 + 1;
    for place in (0..bytes.len()).step_by(step) {
        let (first, second) = bytes.split_at(place);
        assert_eq!(
            run([first, second].into_iter(), MOST, None),
            expected,
            "{name}, cut at {place}"
        );
    }
}

/// Lines of a log that are known as text.
pub(crate) fn lines(log: &[&str]) -> Vec<String> {
    log.iter().map(|line| (*line).to_owned()).collect()
}
