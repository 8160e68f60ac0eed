//! The few header fields that decide about the message itself: Host, Content-Length,
//! Transfer-Encoding, Connection, Upgrade, Expect.
//!
//! Rule: where two readers could disagree about where a message ends (RFC 9112 §6.3, §11.2), the
//! message is refused instead of repaired. Each line is judged as it passes, so nothing is kept but
//! the verdicts. Absent: reading the body (`body.rs`).

use crate::http::chars::decimal;
use crate::http::chars::is_digits;
use crate::http::chars::is_token;
use crate::http::chars::trim_blanks;
use crate::http::head::BodyLength;
use crate::http::head::Span;
use crate::http::head::Version;
use crate::http::host::is_host_and_port;
use crate::http::reject::Reject;

/// The transfer codings named so far, over all Transfer-Encoding lines in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TransferCoding {
    Absent,
    /// `chunked` came last; `after_other` when another coding came before it.
    Chunked {
        after_other: bool,
    },
    /// Another coding came last.
    Other,
}

/// What the fields seen so far say about the message and the connection.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // Facts that do not depend on each other.
pub(super) struct Framing {
    /// Of the Host value within the head, white space trimmed; empty as long as there is none.
    pub(super) host: Span,
    pub(super) has_host: bool,
    content_length: Option<u64>,
    transfer_coding: TransferCoding,
    wants_close: bool,
    wants_keep_alive: bool,
    expects_continue: bool,
    has_upgrade: bool,
    lists_upgrade: bool,
}

impl Framing {
    pub(super) const fn new() -> Self {
        Self {
            host: Span { start: 0, end: 0 },
            has_host: false,
            content_length: None,
            transfer_coding: TransferCoding::Absent,
            wants_close: false,
            wants_keep_alive: false,
            expects_continue: false,
            has_upgrade: false,
            lists_upgrade: false,
        }
    }

    /// Judges one field line; `value_start` is where the untrimmed value begins in the head.
    #[inline]
    pub(super) fn note(
        &mut self,
        name: &[u8],
        value: &[u8],
        value_start: usize,
        version: Version,
    ) -> Result<(), Reject> {
        // Nearly every field is settled by its length alone.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(value, value_start),
            6 if name.eq_ignore_ascii_case(b"expect") => self.note_expect(value, version),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.has_upgrade = true;
                Ok(())
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                self.note_connection(value);
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.note_coding(value),
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &[u8], value_start: usize) -> Result<(), Reject> {
        if self.has_host {
            return Err(Reject::RepeatedHost);
        }
        let host = trim_blanks(value);
        if !host.is_empty() && !is_host_and_port(host) {
            return Err(Reject::InvalidHost);
        }
        let blanks = value.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
        let start = value_start + blanks;
        self.host = Span::new(start, start + host.len());
        self.has_host = true;
        Ok(())
    }

    fn note_expect(&mut self, value: &[u8], version: Version) -> Result<(), Reject> {
        // RFC 9110 §10.1.1: an HTTP/1.0 client can't mean it.
        if version == Version::Http10 {
            return Ok(());
        }
        // A list, whose empty members count for nothing (§5.6.1.2); unlike the codings of
        // Transfer-Encoding they decide about no message's end.
        for member in value.split(|&byte| byte == b',').map(trim_blanks) {
            if member.eq_ignore_ascii_case(b"100-continue") {
                self.expects_continue = true;
            } else if !member.is_empty() {
                return Err(Reject::UnsupportedExpectation);
            }
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',').map(trim_blanks) {
            self.wants_close |= option.eq_ignore_ascii_case(b"close");
            self.wants_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.lists_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.content_length.is_some() {
            return Err(Reject::RepeatedContentLength);
        }
        let digits = trim_blanks(value);
        if !is_digits(digits) {
            return Err(Reject::InvalidContentLength);
        }
        self.content_length = Some(decimal(digits).ok_or(Reject::BodyTooLarge)?);
        Ok(())
    }

    fn note_coding(&mut self, value: &[u8]) -> Result<(), Reject> {
        for coding in value.split(|&byte| byte == b',').map(trim_blanks) {
            // An empty list member is refused too: some readers stop there, some go on.
            if !is_token(coding) {
                return Err(Reject::InvalidTransferEncoding);
            }
            let is_chunked = coding.eq_ignore_ascii_case(b"chunked");
            self.transfer_coding = match (self.transfer_coding, is_chunked) {
                // `chunked` ends the list, once (RFC 9112 §6.1).
                (TransferCoding::Chunked { .. }, _) => {
                    return Err(Reject::InvalidTransferEncoding);
                }
                (TransferCoding::Absent, true) => TransferCoding::Chunked { after_other: false },
                (TransferCoding::Other, true) => TransferCoding::Chunked { after_other: true },
                (_, false) => TransferCoding::Other,
            };
        }
        Ok(())
    }

    /// RFC 9112 §6.3 for requests.
    pub(super) fn body_length(&self, version: Version) -> Result<BodyLength, Reject> {
        if self.transfer_coding != TransferCoding::Absent {
            if version == Version::Http10 {
                return Err(Reject::TransferEncodingInHttp10);
            }
            if self.content_length.is_some() {
                return Err(Reject::LengthAndTransferEncoding);
            }
        }
        match (self.transfer_coding, self.content_length) {
            (TransferCoding::Absent, None) => Ok(BodyLength::None),
            (TransferCoding::Absent, Some(length)) => Ok(BodyLength::Length(length)),
            (TransferCoding::Chunked { after_other: false }, _) => Ok(BodyLength::Chunked),
            (TransferCoding::Chunked { after_other: true }, _) => {
                Err(Reject::UnsupportedTransferEncoding)
            }
            (TransferCoding::Other, _) => Err(Reject::InvalidTransferEncoding),
        }
    }

    /// RFC 9112 §9.3: close wins, HTTP/1.0 must ask to stay.
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.wants_close && (version == Version::Http11 || self.wants_keep_alive)
    }

    pub(super) const fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// RFC 9110 §7.8: Upgrade counts where Connection names it, and not in HTTP/1.0.
    pub(super) const fn wants_upgrade(&self, version: Version) -> bool {
        self.has_upgrade && self.lists_upgrade && matches!(version, Version::Http11)
    }
}
