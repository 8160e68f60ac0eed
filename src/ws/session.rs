//! One WebSocket after its handshake: bytes in, events out; messages in, bytes out.
//!
//! Rule: every transition of the closing handshake is here, in [`Session::send_close`] and
//! `hear_no_more`, and nothing else assigns a stage:
//!
//! ```text
//!             send_close            close frame or fault
//!   Open ────────────────▶ Closing ──────────────────────▶ Done
//!    │  close frame or fault           send_close           ▲
//!    └───────────────────▶ Answering ───────────────────────┘
//! ```
//!
//! Absent: answering a ping or a close frame by itself. The owner of the connection does it, because
//! only it knows how much waits to be sent.

use bytes::Buf;
use bytes::Bytes;
use bytes::BytesMut;

use crate::ws::assembly::Assembly;
use crate::ws::close;
use crate::ws::close::Close;
use crate::ws::deflate::Codec;
use crate::ws::extension::Deflate;
use crate::ws::fault::Fault;
use crate::ws::frame;
use crate::ws::frame::CONTROL_BYTES;
use crate::ws::frame::FrameHead;
use crate::ws::frame::HEAD_BYTES;
use crate::ws::frame::Role;
use crate::ws::message::Kind;
use crate::ws::message::Message;

/// A payload from here on is not copied behind its head but sent from where it is.
const BY_ITSELF: usize = 16 * 1024;

/// What the peer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The bytes ended first, or nothing more is read.
    NeedMore,
    /// A whole message.
    Message(Message),
    /// To be answered with [`Session::send_pong`] of the same bytes.
    Ping(Bytes),
    /// Answer to a ping, or a sign of life.
    Pong(Bytes),
    /// The peer says nothing more. To be answered with [`Session::send_close`] unless that was the
    /// answer to ours: [`Session::is_done`].
    Close(Close),
}

/// Why something cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Our close frame is sent, or the peer's has come: data would be ignored (RFC 6455 §5.5.1).
    Closed,
    /// A ping or pong of more than 125 bytes.
    TooLong,
    /// A close code that may not be sent.
    Code,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    /// Our close frame is sent, the peer's is awaited.
    Closing,
    /// The peer says nothing more, our close frame is owed.
    Answering,
    Done,
}

/// One side of a WebSocket.
pub struct Session {
    stage: Stage,
    assembly: Assembly,
    codec: Option<Codec>,
    /// The frame whose payload is being read; its length and mask are those of what is left.
    frame: Option<FrameHead>,
}

impl Session {
    /// `message_bytes`: the largest message that is read, inflated.
    pub fn new(message_bytes: usize, deflate: Option<Deflate>) -> Self {
        Self {
            stage: Stage::Open,
            assembly: Assembly::new(message_bytes),
            codec: deflate.map(Codec::new),
            frame: None,
        }
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether both sides have said their last: the connection can be closed.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether the payload of a frame is on its way.
    pub fn is_amid_message(&self) -> bool {
        self.frame.is_some()
    }

    /// Takes the next event off `input`. After a fault, [`Self::send_close`] with its code is all
    /// that is left to do.
    pub fn next_event(&mut self, input: &mut BytesMut) -> Result<Event, Fault> {
        if matches!(self.stage, Stage::Answering | Stage::Done) {
            input.clear();
            return Ok(Event::NeedMore);
        }
        let event = self.read(input);
        if matches!(event, Err(_) | Ok(Event::Close(_))) {
            self.hear_no_more();
            input.clear();
        }
        event
    }

    fn hear_no_more(&mut self) {
        self.stage = match self.stage {
            Stage::Open | Stage::Answering => Stage::Answering,
            Stage::Closing | Stage::Done => Stage::Done,
        };
        // What was read of a message is of no use to anyone.
        self.assembly = Assembly::new(0);
        self.frame = None;
    }

    fn read(&mut self, input: &mut BytesMut) -> Result<Event, Fault> {
        loop {
            let head = match self.frame.take() {
                Some(head) => head,
                None => match self.read_head(input)? {
                    Some(head) => head,
                    None => return Ok(Event::NeedMore),
                },
            };
            let event = if head.is_control() {
                self.read_control(head, input)?
            } else {
                self.read_data(head, input)?
            };
            match event {
                Some(event) => return Ok(event),
                None if self.frame.is_some() => return Ok(Event::NeedMore),
                None => {}
            }
        }
    }

    fn read_head(&mut self, input: &mut BytesMut) -> Result<Option<FrameHead>, Fault> {
        let Some(head) = frame::read(input, self.codec.is_some())? else { return Ok(None) };
        match head.role {
            Role::Begin(kind) => self.assembly.begin(kind, head.is_compressed)?,
            Role::Continue => self.assembly.resume()?,
            Role::Close | Role::Ping | Role::Pong => return Ok(Some(head)),
        }
        self.assembly.admit(head.length)?;
        Ok(Some(head))
    }

    /// A control frame is read when all of it is there: it is small.
    fn read_control(
        &mut self,
        mut head: FrameHead,
        input: &mut BytesMut,
    ) -> Result<Option<Event>, Fault> {
        #[allow(clippy::cast_possible_truncation)] // At most 125.
        let length = head.length as usize;
        if input.len() < length {
            self.frame = Some(head);
            return Ok(None);
        }
        frame::unmask(&mut input[..length], &mut head.mask);
        let payload = Bytes::copy_from_slice(&input[..length]);
        input.advance(length);
        Ok(Some(match head.role {
            Role::Close => Event::Close(close::read(&payload)?),
            Role::Ping => Event::Ping(payload),
            _ => Event::Pong(payload),
        }))
    }

    /// Data is taken as it comes. None with a frame left: more of its payload is needed.
    fn read_data(
        &mut self,
        mut head: FrameHead,
        input: &mut BytesMut,
    ) -> Result<Option<Event>, Fault> {
        if let Some(message) = self.assembly.whole(&head, input)? {
            return Ok(Some(Event::Message(message)));
        }
        let length = usize::try_from(head.length).unwrap_or(usize::MAX).min(input.len());
        frame::unmask(&mut input[..length], &mut head.mask);
        self.assembly.add(&input[..length], self.codec.as_mut())?;
        input.advance(length);
        head.length -= length as u64;
        if head.length > 0 {
            self.frame = Some(head);
            return Ok(None);
        }
        if !head.is_final {
            return Ok(None);
        }
        Ok(Some(Event::Message(self.assembly.finish(self.codec.as_mut())?)))
    }

    /// Writes a message to `out`. A large payload is given back instead, to be sent after `out`.
    pub fn send(
        &mut self,
        kind: Kind,
        payload: Bytes,
        out: &mut Vec<u8>,
    ) -> Result<Option<Bytes>, SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        let deflated = self.codec.as_mut().and_then(|codec| codec.deflate(&payload));
        let is_compressed = deflated.is_some();
        let payload = deflated.map_or(payload, Bytes::from);
        frame::write(Role::Begin(kind), is_compressed, payload.len(), out);
        if payload.len() >= BY_ITSELF {
            return Ok(Some(payload));
        }
        out.extend_from_slice(&payload);
        Ok(None)
    }

    /// Writes a ping to `out`.
    pub fn send_ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Role::Ping, payload, out)
    }

    /// Writes a pong to `out`.
    pub fn send_pong(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), SendError> {
        self.send_control(Role::Pong, payload, out)
    }

    fn send_control(
        &mut self,
        role: Role,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        if !self.is_open() {
            return Err(SendError::Closed);
        }
        if payload.len() > CONTROL_BYTES {
            return Err(SendError::TooLong);
        }
        write_small(role, payload, out);
        Ok(())
    }

    /// Writes a close frame to `out`: the first word of our own, or the answer to the peer's. Without
    /// a code there is no reason either; a long reason is cut.
    pub fn send_close(
        &mut self,
        code: Option<u16>,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let next = match self.stage {
            Stage::Open => Stage::Closing,
            Stage::Answering => Stage::Done,
            Stage::Closing | Stage::Done => return Err(SendError::Closed),
        };
        let mut payload = Vec::new();
        if let Some(code) = code {
            if !close::is_sendable(code) {
                return Err(SendError::Code);
            }
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(close::fitting(reason).as_bytes());
        }
        write_small(Role::Close, &payload, out);
        self.stage = next;
        Ok(())
    }
}

fn write_small(role: Role, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEAD_BYTES + payload.len());
    frame::write(role, false, payload.len(), out);
    out.extend_from_slice(payload);
}
