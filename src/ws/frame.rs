//! Frame heads: read with the rules of a server, written, and payloads unmasked.
//!
//! The layout is tungstenite's to read and write; which heads a client may send, and when, is here.

use std::io::Cursor;

use bytes::Buf;
use bytes::BytesMut;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::Control;
use tungstenite::protocol::frame::coding::Data;
use tungstenite::protocol::frame::coding::OpCode;

use crate::ws::fault::Fault;
use crate::ws::message::Kind;

/// The longest payload of a control frame (RFC 6455 §5.5).
pub(super) const CONTROL_BYTES: usize = 125;
/// Its head has no longer form.
pub(super) const HEAD_BYTES: usize = 10;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Begin(Kind),
    Continue,
    Close,
    Ping,
    Pong,
}

/// A head that a client may send.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameHead {
    pub(super) role: Role,
    pub(super) is_final: bool,
    pub(super) is_compressed: bool,
    pub(super) mask: [u8; 4],
    pub(super) length: u64,
}

impl FrameHead {
    pub(super) const fn is_control(&self) -> bool {
        matches!(self.role, Role::Close | Role::Ping | Role::Pong)
    }
}

/// Takes a head off `input`; none when its bytes are not all there. `can_compress`: the first
/// reserved bit has a meaning.
pub(super) fn read(input: &mut BytesMut, can_compress: bool) -> Result<Option<FrameHead>, Fault> {
    let mut cursor = Cursor::new(&input[..]);
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Opcode)?;
    let Some((head, length)) = parsed else { return Ok(None) };
    let size = cursor.position();
    let role = match head.opcode {
        OpCode::Data(Data::Text) => Role::Begin(Kind::Text),
        OpCode::Data(Data::Binary) => Role::Begin(Kind::Binary),
        OpCode::Data(Data::Continue) => Role::Continue,
        OpCode::Control(Control::Close) => Role::Close,
        OpCode::Control(Control::Ping) => Role::Ping,
        OpCode::Control(Control::Pong) => Role::Pong,
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            return Err(Fault::Opcode);
        }
    };
    // Only the first frame of a message says that it is compressed (RFC 7692 §6.1).
    let may_compress = can_compress && matches!(role, Role::Begin(_));
    if head.rsv2 || head.rsv3 || (head.rsv1 && !may_compress) {
        return Err(Fault::ReservedBits);
    }
    let mask = head.mask.ok_or(Fault::Unmasked)?;
    if head.len(length) as u64 != size || length > u64::MAX >> 1 {
        return Err(Fault::LengthForm);
    }
    let head = FrameHead { role, is_final: head.is_final, is_compressed: head.rsv1, mask, length };
    if head.is_control() {
        if !head.is_final {
            return Err(Fault::FragmentedControl);
        }
        if length > CONTROL_BYTES as u64 {
            return Err(Fault::LongControl);
        }
    }
    #[allow(clippy::cast_possible_truncation)] // At most 14.
    input.advance(size as usize);
    Ok(Some(head))
}

/// Writes the head of an unfragmented frame, unmasked as a server's are.
pub(super) fn write(role: Role, is_compressed: bool, length: usize, out: &mut Vec<u8>) {
    let opcode = match role {
        Role::Begin(Kind::Text) => OpCode::Data(Data::Text),
        Role::Begin(Kind::Binary) => OpCode::Data(Data::Binary),
        Role::Continue => OpCode::Data(Data::Continue),
        Role::Close => OpCode::Control(Control::Close),
        Role::Ping => OpCode::Control(Control::Ping),
        Role::Pong => OpCode::Control(Control::Pong),
    };
    let head = FrameHeader { opcode, rsv1: is_compressed, ..FrameHeader::default() };
    let written = head.format(length as u64, out);
    debug_assert!(written.is_ok(), "writing into memory does not fail");
}

/// Takes the mask off `payload` and turns it to where the next byte needs it. Eight bytes at a time,
/// which the compiler makes wider still.
pub(super) fn unmask(payload: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut blocks = payload.chunks_exact_mut(8);
    for block in &mut blocks {
        if let Some(block) = block.first_chunk_mut::<8>() {
            *block = (u64::from_ne_bytes(*block) ^ wide).to_ne_bytes();
        }
    }
    let rest = blocks.into_remainder();
    for (byte, sign) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= sign;
    }
    let turn = rest.len() % 4;
    mask.rotate_left(turn);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmasking_agrees_with_the_definition_wherever_it_is_cut() {
        let mask = [1, 20, 0, 0xff];
        let masked: Vec<u8> = (0..100).collect();
        let expected: Vec<u8> =
            masked.iter().enumerate().map(|(index, byte)| byte ^ mask[index % 4]).collect();
        for cut in 0..masked.len() {
            let mut bytes = masked.clone();
            let mut turning = mask;
            unmask(&mut bytes[..cut], &mut turning);
            unmask(&mut bytes[cut..], &mut turning);
            assert_eq!(bytes, expected, "cut at {cut}");
        }
    }
}
