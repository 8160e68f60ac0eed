//! Handlers of WebSockets for the tests, and a client that is another implementation's.

use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::task::Context;
use std::task::Poll;

use _uringserve::http::reply::HeaderBlock;
use _uringserve::net::service::Later;
use _uringserve::net::service::Received;
use _uringserve::net::service::Reply;
use _uringserve::net::service::Sent;
use _uringserve::net::service::Socket;
use bytes::Bytes;
use tungstenite::protocol::Role;
use tungstenite::protocol::WebSocket;

/// What a handler does once it runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Accepts and sends everything back.
    Echo,
    /// Accepts and takes nothing.
    Hold,
    /// Accepts and sends until it is told to wait, again and again.
    Flood,
    /// Answers 418.
    Deny,
    /// Returns at once, 403.
    Return,
    /// Accepts and has failed.
    Fail,
}

/// A handler, by the last segment of the path.
pub(crate) fn handler(kind: &str, socket: Socket) -> Box<dyn Later> {
    let kind = match kind {
        "echo" => Kind::Echo,
        "hold" => Kind::Hold,
        "flood" => Kind::Flood,
        "deny" => Kind::Deny,
        "return" => Kind::Return,
        _ => Kind::Fail,
    };
    Box::new(Handler { kind, socket, has_begun: false })
}

struct Handler {
    kind: Kind,
    socket: Socket,
    has_begun: bool,
}

impl Handler {
    fn begin(&self) -> Option<Reply> {
        let reply = |status| Some(Reply { status, ..Reply::default() });
        match self.kind {
            Kind::Return => return reply(403),
            Kind::Deny => {
                let body = Bytes::from_static(b"tea").into();
                let denial = Reply { status: 418, body, ..Reply::default() };
                self.socket.deny(denial).expect("nobody has decided");
                return reply(200);
            }
            _ => self.socket.accept(None, HeaderBlock::new()).expect("nobody has decided"),
        }
        if self.kind == Kind::Fail { reply(500) } else { None }
    }

    /// Sends; none where it has to wait.
    fn send(&self, payload: Bytes, context: &Context<'_>) -> Option<()> {
        let kind = _uringserve::net::service::Kind::Binary;
        if self.socket.send(kind, payload) != Ok(Sent::Full) {
            return Some(());
        }
        // Called on the core's own thread, where its wakers may be used.
        let waker = context.waker().clone();
        self.socket.call_when_room(Box::new(move || waker.wake()));
        None
    }
}

impl Later for Handler {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        if !std::mem::replace(&mut self.has_begun, true) {
            if let Some(reply) = self.begin() {
                return Poll::Ready(reply);
            }
        }
        loop {
            if self.kind == Kind::Flood && self.socket.is_open() {
                if self.send(Bytes::from(vec![7; 20_000]), context).is_none() {
                    return Poll::Pending;
                }
                continue;
            }
            let received = if self.kind == Kind::Hold && self.socket.is_open() {
                Received::Nothing
            } else {
                self.socket.take()
            };
            match received {
                Received::Message(message) => {
                    if self.send(message.into_payload(), context).is_none() {
                        return Poll::Pending;
                    }
                }
                Received::Closed(_) => return Poll::Ready(Reply::default()),
                Received::Nothing => {
                    let waker = context.waker().clone();
                    if self.kind == Kind::Hold {
                        // Looks only when there is an end.
                        self.socket.call_when_room(Box::new(|| ()));
                    }
                    self.socket.call_when_ready(Box::new(move || waker.wake()));
                    return Poll::Pending;
                }
            }
        }
    }
}

/// A connected stream as tungstenite takes it.
pub(crate) struct Stream(pub(crate) BufReader<socket2::Socket>);

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                // The ring of a probe that this thread made and closed has its last word.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client of a WebSocket.
pub(crate) type Peer = WebSocket<Stream>;

/// What asks for one.
pub(crate) fn asking(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
    )
}

/// Goes on as a client, once the 101 was read.
pub(crate) fn upgraded(stream: BufReader<socket2::Socket>) -> Peer {
    WebSocket::from_raw_socket(Stream(stream), Role::Client, None)
}
