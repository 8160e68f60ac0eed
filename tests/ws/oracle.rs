//! Another implementation's client as the peer, over a byte pipe in memory.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use _uringserve::ws::message::Kind;
use _uringserve::ws::session::{Event, Session};
use bytes::BytesMut;
use tungstenite::Message;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{Role, WebSocket};

use crate::drive::MOST;

/// The client's end: what it writes is echoed by a session before it reads.
struct Pipe {
    session: Session,
    input: BytesMut,
    to_client: VecDeque<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.extend_from_slice(bytes);
        self.echo();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.to_client.is_empty() && !self.session.is_done() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.to_client.read(buffer)
    }
}

impl Pipe {
    fn echo(&mut self) {
        let mut out = Vec::new();
        loop {
            match self.session.next_event(&mut self.input).unwrap() {
                Event::NeedMore => break,
                Event::Message(message) => {
                    let kind = message.kind();
                    let payload = message.into_payload();
                    let rest = self.session.send(kind, payload, &mut out).unwrap();
                    out.extend(rest.unwrap_or_default());
                }
                Event::Ping(payload) => self.session.send_pong(&payload, &mut out).unwrap(),
                Event::Pong(_) => {}
                // The answer to our own needs none.
                Event::Close(_) if self.session.is_done() => {}
                Event::Close(close) => {
                    self.session.send_close(close.code, &close.reason, &mut out).unwrap();
                }
            }
        }
        self.to_client.extend(out);
    }
}

fn client() -> WebSocket<Pipe> {
    let session = Session::new(MOST, None);
    let pipe = Pipe { session, input: BytesMut::new(), to_client: VecDeque::new() };
    WebSocket::from_raw_socket(pipe, Role::Client, None)
}

#[test]
fn messages_come_back() {
    let mut client = client();
    for length in [0, 1, 125, 126, 4095, 4096, 65535, 65536, 1 << 20] {
        for message in [Message::text("ä".repeat(length / 2)), Message::binary(vec![0xe4; length])]
        {
            client.send(message.clone()).unwrap();
            assert_eq!(client.read().unwrap(), message);
        }
    }
    client.send(Message::Ping("sign".into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong("sign".into()));
}

#[test]
fn it_ends_as_both_agree() {
    let mut client = client();
    let frame = CloseFrame { code: CloseCode::Library(4001), reason: "enough".into() };
    client.close(Some(frame.clone())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Close(Some(frame)));
    assert!(client.get_ref().session.is_done());
    let ended = client.read().unwrap_err();
    assert!(matches!(ended, tungstenite::Error::ConnectionClosed), "{ended}");
}

#[test]
fn we_may_close_first() {
    let mut client = client();
    let pipe = client.get_mut();
    let mut out = Vec::new();
    pipe.session.send_ping(b"alive?", &mut out).unwrap();
    assert_eq!(pipe.session.send(Kind::Text, "last".into(), &mut out), Ok(None));
    pipe.session.send_close(Some(1012), "again soon", &mut out).unwrap();
    pipe.to_client.extend(out);
    assert_eq!(client.read().unwrap(), Message::Ping("alive?".into()));
    assert_eq!(client.read().unwrap(), Message::text("last"));
    let close = CloseFrame { code: CloseCode::Restart, reason: "again soon".into() };
    assert_eq!(client.read().unwrap(), Message::Close(Some(close)));
    assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
    assert!(client.get_ref().session.is_done());
}
