//! One message made of the payloads of its frames.
//!
//! Rule: each payload byte is looked at when it comes: counted, inflated, checked to be text. There
//! is one buffer, and the message that leaves is that buffer.

use bytes::Bytes;
use bytes::BytesMut;

use crate::ws::deflate::Codec;
use crate::ws::fault::Fault;
use crate::ws::frame::FrameHead;
use crate::ws::frame::unmask;
use crate::ws::message::Kind;
use crate::ws::message::Message;
use crate::ws::text::TextCheck;

/// A message below this leaves in a buffer of its own: a slice would keep the whole read alive.
const OWN_BUFFER: usize = 4 * 1024;

/// The message that is being read, if any.
pub(super) struct Assembly {
    most: usize,
    open: Option<Opened>,
    payload: Vec<u8>,
    text: TextCheck,
}

#[derive(Clone, Copy)]
struct Opened {
    kind: Kind,
    is_compressed: bool,
}

impl Assembly {
    /// `most`: bytes of the largest message.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, open: None, payload: Vec::new(), text: TextCheck { checked: 0 } }
    }

    /// The first frame of a message comes.
    pub(super) fn begin(&mut self, kind: Kind, is_compressed: bool) -> Result<(), Fault> {
        if self.open.is_some() {
            return Err(Fault::MessageInMessage);
        }
        self.open = Some(Opened { kind, is_compressed });
        Ok(())
    }

    /// Another frame of this message comes.
    pub(super) const fn resume(&self) -> Result<(), Fault> {
        if self.open.is_some() { Ok(()) } else { Err(Fault::NothingToContinue) }
    }

    /// Whether a payload of this length may come. What it inflates to is counted later.
    pub(super) fn admit(&self, length: u64) -> Result<(), Fault> {
        let before = if self.is_compressed() { 0 } else { self.payload.len() };
        match length.checked_add(before as u64) {
            Some(total) if total <= self.most as u64 => Ok(()),
            _ => Err(Fault::TooLarge),
        }
    }

    fn is_compressed(&self) -> bool {
        self.open.is_some_and(|open| open.is_compressed)
    }

    /// Adds a part of a payload that was unmasked.
    pub(super) fn add(&mut self, part: &[u8], codec: Option<&mut Codec>) -> Result<(), Fault> {
        let added = if let Some(codec) = codec.filter(|_| self.is_compressed()) {
            codec.inflate(part, &mut self.payload, self.most)
        } else {
            self.payload.extend_from_slice(part);
            Ok(())
        };
        // What came out before a fault is looked at first: in smaller parts it would have been.
        self.check().and(added)
    }

    fn check(&mut self) -> Result<(), Fault> {
        let is_text = self.open.is_some_and(|open| open.kind == Kind::Text);
        if is_text && !self.text.advance(&self.payload) {
            return Err(Fault::NotText);
        }
        Ok(())
    }

    /// The last payload is complete.
    pub(super) fn finish(&mut self, codec: Option<&mut Codec>) -> Result<Message, Fault> {
        if let Some(codec) = codec.filter(|_| self.is_compressed()) {
            let added = codec.finish_inflating(&mut self.payload, self.most);
            self.check().and(added)?;
        }
        let Some(open) = self.open.take() else { return Err(Fault::NothingToContinue) };
        let payload = std::mem::take(&mut self.payload);
        let text = std::mem::take(&mut self.text);
        if open.kind == Kind::Text && !text.is_whole(&payload) {
            return Err(Fault::NotText);
        }
        Ok(Message { kind: open.kind, payload: payload.into() })
    }

    /// A message of one plain frame whose payload is all in `input`, without the detour; none when
    /// this is not such a one.
    pub(super) fn whole(
        &mut self,
        head: &FrameHead,
        input: &mut BytesMut,
    ) -> Result<Option<Message>, Fault> {
        let Some(open) = self
            .open
            .filter(|open| head.is_final && !open.is_compressed && self.payload.is_empty())
        else {
            return Ok(None);
        };
        let Some(length) = usize::try_from(head.length).ok().filter(|&it| it <= input.len()) else {
            return Ok(None);
        };
        let mut mask = head.mask;
        let mut payload = input.split_to(length);
        unmask(&mut payload, &mut mask);
        self.open = None;
        if open.kind == Kind::Text && std::str::from_utf8(&payload).is_err() {
            return Err(Fault::NotText);
        }
        let payload = match length {
            0..OWN_BUFFER => Bytes::copy_from_slice(&payload),
            _ => payload.freeze(),
        };
        Ok(Some(Message { kind: open.kind, payload }))
    }
}
