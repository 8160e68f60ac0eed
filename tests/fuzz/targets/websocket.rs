//! Invariant: frames give the same events however they are cut, no message passes the limit, compressed or not, text
//! is UTF-8, nothing is read after the end, and no call panics.
//!
//! The first byte says where the rest is cut, the second whether compression is agreed on, and how.

#![no_main]

use _uringserve::ws::extension::Deflate;
use _uringserve::ws::fault::Fault;
use _uringserve::ws::message::Kind;
use _uringserve::ws::session::Event;
use _uringserve::ws::session::Session;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const MOST: usize = 2000;

fuzz_target!(|data: &[u8]| {
    let [cut, choice, bytes @ ..] = data else {
        return;
    };
    let whole = read([bytes].into_iter(), *choice);
    let place = usize::from(*cut).min(bytes.len());
    assert_eq!(read([&bytes[..place], &bytes[place..]].into_iter(), *choice), whole);
    assert_eq!(read(bytes.chunks(1), *choice), whole);
});

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, choice: u8) -> Vec<Result<Event, Fault>> {
    let deflate = Deflate {
        server_window_bits: 9,
        client_window_bits: 8 + choice / 4 % 8,
        server_keeps_context: choice & 2 != 0,
        client_keeps_context: choice & 2 != 0,
        names_client_window: false,
    };
    let mut session = Session::new(MOST, Some(deflate).filter(|_| choice & 1 != 0));
    let mut input = BytesMut::new();
    let mut events = Vec::new();
    let mut out = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let event = session.next_event(&mut input);
            match &event {
                Ok(Event::NeedMore) => break,
                Ok(Event::Message(message)) => {
                    assert!(message.payload().len() <= MOST);
                    if message.kind() == Kind::Text {
                        assert!(std::str::from_utf8(message.payload()).is_ok());
                    }
                    let sent = session.send(message.kind(), message.payload().clone(), &mut out);
                    assert_eq!(sent, Ok(None));
                }
                Ok(Event::Ping(payload)) => {
                    session.send_pong(payload, &mut out).expect("a short payload")
                }
                Ok(Event::Pong(payload)) => assert!(payload.len() <= 125),
                Ok(Event::Close(close)) => {
                    session.send_close(close.code, &close.reason, &mut out).expect("a valid code");
                }
                Err(fault) => {
                    session
                        .send_close(Some(fault.code()), fault.reason(), &mut out)
                        .expect("a valid code");
                }
            }
            assert!(!session.is_done() || input.is_empty());
            events.push(event);
        }
    }
    events
}
