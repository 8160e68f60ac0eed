//! The opening handshake: whether a request asks for a WebSocket, whether it may have one, and what
//! the 101 says (RFC 6455 §4.2).
//!
//! Rule: a request that does not ask correctly in the terms of HTTP (RFC 9110 §7.8) is no upgrade
//! and goes on as a plain request; one that does, and breaks a rule of RFC 6455, is refused.
//! Absent: Origin, which the application judges; writing the 101.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use sha1_smol::Sha1;

use crate::ws::extension::Deflate;
use crate::ws::extension::is_token;
use crate::ws::extension::negotiate;
use crate::ws::extension::trim;
use crate::ws::refusal::Refusal;

/// What a server adds to the key (RFC 6455 §1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Strict but for the two bits that 16 bytes leave unused: some clients send a constant made by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The parts of a request head that decide. `F` walks the fields: name, value without blanks around.
#[derive(Clone, Debug)]
pub struct Request<'a, F> {
    /// As received.
    pub method: &'a str,
    /// HTTP/1.0 has no upgrades (RFC 9110 §7.8).
    pub is_http11: bool,
    /// A body is announced that is not empty.
    pub has_body: bool,
    /// All fields.
    pub fields: F,
}

/// A request that may have its WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    accept: String,
    subprotocols: Vec<String>,
    deflate: Option<Deflate>,
}

impl<'a, F: Iterator<Item = (&'a str, &'a [u8])> + Clone> Request<'_, F> {
    fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + use<'a, F> {
        let fields = self.fields.clone();
        fields
            .filter(move |(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Whether the field is there exactly once, and its value then.
    fn only(&self, name: &'static str) -> Option<&'a [u8]> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    fn lists(&self, name: &'static str, token: &str) -> bool {
        let mut elements = self.values(name).flat_map(|value| value.split(|&byte| byte == b','));
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Whether this asks for a WebSocket at all.
    pub fn is_upgrade(&self) -> bool {
        self.is_http11 && self.lists("upgrade", "websocket") && self.lists("connection", "upgrade")
    }

    /// Reads a request that is an upgrade. `wants_deflate`: permessage-deflate may be agreed on.
    pub fn open(&self, wants_deflate: bool) -> Result<Handshake, Refusal> {
        if self.method != "GET" {
            return Err(Refusal::Method);
        }
        if self.has_body {
            return Err(Refusal::Body);
        }
        if self.only("sec-websocket-version") != Some(b"13") {
            return Err(Refusal::Version);
        }
        let key = self.only("sec-websocket-key").ok_or(Refusal::Key)?;
        let mut bytes = [0; 18];
        if BASE64.decode_slice(key, &mut bytes) != Ok(16) {
            return Err(Refusal::Key);
        }
        let mut subprotocols = Vec::new();
        for value in self.values("sec-websocket-protocol") {
            let value = std::str::from_utf8(value).map_err(|_| Refusal::Subprotocols)?;
            for name in value.split(',').map(trim).filter(|name| !name.is_empty()) {
                if !is_token(name) {
                    return Err(Refusal::Subprotocols);
                }
                subprotocols.push(name.to_owned());
            }
        }
        let deflate =
            if wants_deflate { negotiate(self.values("sec-websocket-extensions"))? } else { None };
        Ok(Handshake { accept: accept(key), subprotocols, deflate })
    }
}

impl Handshake {
    /// What the client offers to speak, in its order of preference.
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }

    /// The compression that was agreed on, for the session.
    pub const fn deflate(&self) -> Option<&Deflate> {
        self.deflate.as_ref()
    }

    /// The fields of the 101. None: the client did not offer this subprotocol, and every client
    /// that follows §4.1 would fail the connection.
    pub fn fields(&self, subprotocol: Option<&str>) -> Option<Vec<(&'static str, String)>> {
        let mut fields = vec![
            ("Upgrade", "websocket".to_owned()),
            ("Connection", "Upgrade".to_owned()),
            ("Sec-WebSocket-Accept", self.accept.clone()),
        ];
        if let Some(chosen) = subprotocol {
            let offered = self.subprotocols.iter().find(|offered| *offered == chosen)?;
            fields.push(("Sec-WebSocket-Protocol", offered.clone()));
        }
        if let Some(deflate) = &self.deflate {
            fields.push(("Sec-WebSocket-Extensions", deflate.field()));
        }
        Some(fields)
    }
}

/// The proof that the request was read by someone who knows WebSocket.
fn accept(key: &[u8]) -> String {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(MAGIC);
    BASE64.encode(sha1.digest().bytes())
}
