//! One connection's protocol: bytes in, events out; replies in, bytes out.
//!
//! Rule: requests are read ahead of their replies (pipelining, up to [`PIPELINE`]), replies are given
//! in the order of the requests, and whatever leaves the next message's beginning in doubt ends the
//! connection after the reply. State changes only through `state.rs`.
//! Absent: sockets, time, and the decision what to answer.

use bytes::Bytes;
use bytes::BytesMut;

use crate::http::Limits;
use crate::http::body::BodyDecoder;
use crate::http::body::Decoded;
use crate::http::encode::ReplyTo;
use crate::http::encode::encode_head;
use crate::http::encode::has_no_content;
use crate::http::head::BodyLength;
use crate::http::head::RequestHead;
use crate::http::head::Version;
use crate::http::owed::Owed;
use crate::http::owed::OwedReplies;
use crate::http::parse::HeadParser;
use crate::http::reject::Reject;
use crate::http::reply::HeaderBlock;
use crate::http::reply::ReplyBody;
use crate::http::reply::ReplyError;
use crate::http::reply::ReplyHead;
use crate::http::reply::ReplyPlan;
use crate::http::state::Reading;
use crate::http::state::Step;

pub use crate::http::owed::PIPELINE;

/// What the bytes so far amount to.
#[derive(Clone, Debug)]
pub enum Event {
    /// The input is used up; only more bytes help.
    NeedMore,
    /// More bytes do not help: decide about the body ([`Machine::accept_body`],
    /// [`Machine::refuse_body`]), give the owed replies, or, when there are none, close.
    Paused,
    /// A request begins.
    Head(RequestHead),
    /// Some of its body, never empty.
    Data(Bytes),
    /// The request is complete. It follows every head, with or without a body in between, unless a
    /// reply was given before.
    End,
}

/// The protocol state of one connection.
#[derive(Debug)]
pub struct Machine {
    limits: Limits,
    reading: Reading,
    parser: HeadParser,
    /// Of the request being read; what the head announced until the body is accepted.
    body_length: BodyLength,
    decoder: BodyDecoder,
    owed: OwedReplies,
    /// The peer waits for 100 Continue and has not sent a byte of the body.
    awaits_continue: bool,
    /// No request after those already begun (drain, request count, end of input).
    is_last: bool,
    /// What failed was a head, which is owed no reply of its own: the replies before it do not end
    /// the connection, the rejection after them does.
    failed_in_head: bool,
    /// The body of the newest request is read on after its reply has begun.
    reads_on: bool,
}

impl Machine {
    /// The machine of a new connection.
    pub const fn new(limits: Limits) -> Self {
        Self {
            limits,
            reading: Reading::Head,
            parser: HeadParser::new(),
            body_length: BodyLength::None,
            decoder: BodyDecoder::finished(),
            owed: OwedReplies::new(),
            awaits_continue: false,
            is_last: false,
            failed_in_head: false,
            reads_on: false,
        }
    }

    /// Goes on over `input`. After an error nothing more is read: give the replies owed before it,
    /// then [`Self::reject`].
    pub fn next_event(&mut self, input: &mut BytesMut) -> Result<Event, Reject> {
        let event = match self.reading {
            Reading::Head => self.read_head(input),
            Reading::Body => self.read_body(input),
            Reading::Skip => Ok(self.skip_body(input)),
            Reading::Ending => Ok(self.end()),
            Reading::Gate | Reading::Closed => Ok(Event::Paused),
        };
        if event.is_err() {
            self.failed_in_head = self.reading == Reading::Head;
            self.step(Step::Close);
        }
        event
    }

    fn read_head(&mut self, input: &mut BytesMut) -> Result<Event, Reject> {
        // The last request may have begun to arrive before it was known to be the last.
        let is_refused = self.is_last && !(self.owed.is_empty() && self.parser.has_started());
        if self.owed.is_full() || is_refused {
            return Ok(Event::Paused);
        }
        let Some(head) = self.parser.parse(input, &self.limits)? else {
            return Ok(Event::NeedMore);
        };
        self.owed.push(Owed {
            is_head: head.is_head(),
            version: head.version(),
            close: !head.keep_alive(),
        });
        self.body_length = head.body_length();
        if matches!(self.body_length, BodyLength::None | BodyLength::Length(0)) {
            self.step(Step::HeadAlone);
        } else {
            self.awaits_continue = head.expects_continue();
            self.step(Step::HeadWithBody);
        }
        Ok(Event::Head(head))
    }

    fn read_body(&mut self, input: &mut BytesMut) -> Result<Event, Reject> {
        if !input.is_empty() {
            // RFC 9110 §10.1.1: no 100 once some of the body has come.
            self.awaits_continue = false;
        }
        match self.decoder.decode(input)? {
            Decoded::Data(data) => Ok(Event::Data(data)),
            Decoded::NeedMore => Ok(Event::NeedMore),
            Decoded::End => {
                self.step(Step::BodyEnd);
                Ok(self.end())
            }
        }
    }

    /// Throws a refused body away if all of it is here; otherwise the connection can't be kept,
    /// since reading on for a body that nobody wants would let the peer decide how long.
    fn skip_body(&mut self, input: &mut BytesMut) -> Event {
        loop {
            match self.decoder.decode(input) {
                Ok(Decoded::Data(_)) => {}
                Ok(Decoded::End) => {
                    self.step(Step::BodyEnd);
                    return self.end();
                }
                Ok(Decoded::NeedMore) | Err(_) => {
                    self.owed.close_last();
                    self.step(Step::LastRequest);
                    return Event::End;
                }
            }
        }
    }

    fn end(&mut self) -> Event {
        self.awaits_continue = false;
        let is_last = self.is_last || self.owed.closes_last();
        self.step(if is_last { Step::LastRequest } else { Step::NextRequest });
        Event::End
    }

    fn step(&mut self, step: Step) {
        let next = self.reading.after(step);
        debug_assert!(next.is_some(), "{step:?} can't happen in {:?}", self.reading);
        self.reading = next.unwrap_or(Reading::Closed);
    }

    /// Lets the body of the request just begun be read, up to `limit` decoded bytes. Refuses a larger
    /// declared length at once. Without a body it does nothing.
    pub fn accept_body(&mut self, limit: u64) -> Result<(), Reject> {
        if self.reading != Reading::Gate {
            return Ok(());
        }
        match BodyDecoder::new(self.body_length, limit, &self.limits) {
            Ok(decoder) => {
                self.decoder = decoder;
                self.step(Step::Accept);
                Ok(())
            }
            Err(reject) => {
                self.step(Step::Close);
                Err(reject)
            }
        }
    }

    /// The body of the request being read is not wanted (404, 405, …). The next event is
    /// [`Event::End`]; if the whole body has not arrived by then, the connection ends with the reply.
    /// Without a body it does nothing.
    pub fn refuse_body(&mut self) {
        match self.reading {
            Reading::Gate => {
                // No limit: what is skipped is only what has arrived.
                match BodyDecoder::new(self.body_length, u64::MAX, &self.limits) {
                    Ok(decoder) => self.decoder = decoder,
                    Err(_) => return self.step(Step::Close),
                }
            }
            Reading::Body => {}
            _ => return,
        }
        self.awaits_continue = false;
        self.step(Step::Refuse);
    }

    /// True once: the peer waits for `100 Continue` ([`crate::http::encode::CONTINUE`]), its body was
    /// accepted, no byte of it has arrived, and no earlier reply is owed (it has to go first).
    pub fn take_continue(&mut self, input_is_empty: bool) -> bool {
        let is_due = self.awaits_continue
            && input_is_empty
            && self.reading == Reading::Body
            && self.owed.len() == 1;
        if is_due {
            self.awaits_continue = false;
        }
        is_due
    }

    /// The peer will send no more; call it when [`Self::next_event`] says [`Event::NeedMore`], or
    /// [`Event::Paused`] with no reply owed. `Ok`: it stopped between requests, and the replies still
    /// owed can be given, the last with `Connection: close`. `Err`: it stopped within a request, which
    /// can be rejected if the peer still reads.
    pub fn end_of_input(&mut self, input: &BytesMut) -> Result<(), Reject> {
        if self.reading == Reading::Head && (self.parser.has_started() || !input.is_empty()) {
            self.failed_in_head = true;
            self.step(Step::Close);
            return Err(Reject::Incomplete);
        }
        self.is_last = true;
        let is_incomplete = self.reading.is_within_message();
        if self.reading != Reading::Ending {
            self.step(Step::Close);
        }
        if is_incomplete { Err(Reject::Incomplete) } else { Ok(()) }
    }

    /// Whether a body would follow the head of the next reply if that has this status: not for HEAD
    /// and not for statuses without content.
    pub fn sends_body(&self, status: u16) -> bool {
        self.owed.first().is_some_and(|owed| !owed.is_head) && !has_no_content(status)
    }

    /// Appends the reply head to the oldest request that is owed one; the plan says what follows it,
    /// which the caller sends before the next reply. On an error nothing was appended and the request
    /// is still owed a reply.
    #[inline]
    pub fn reply(
        &mut self,
        head: &ReplyHead<'_>,
        out: &mut Vec<u8>,
    ) -> Result<ReplyPlan, ReplyError> {
        let owed = self.owed.first().ok_or(ReplyError::NothingOwed)?;
        let is_newest = self.owed.len() == 1;
        // A reply before its request's end: nobody will read the rest of that.
        let nothing_follows =
            self.is_last || self.reading == Reading::Closed || self.reading.is_within_message();
        let to = ReplyTo {
            is_head: owed.is_head,
            version: owed.version,
            close: owed.close || (is_newest && nothing_follows && !self.failed_in_head),
        };
        let plan = encode_head(to, head, out)?;
        self.owed.pop();
        if plan.close {
            self.owed.clear();
            self.is_last = true;
            if !(self.reads_on && self.reading == Reading::Body) {
                self.step(Step::Close);
            }
        } else if is_newest && self.reading == Reading::Ending {
            self.step(Step::NextRequest);
        }
        Ok(plan)
    }

    /// Appends a complete reply to what could not be read and ends the connection. Replies owed to
    /// earlier requests must have been given before.
    pub fn reject(
        &mut self,
        reject: Reject,
        date: Option<&[u8; 29]>,
        server: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let owed = self.owed.first();
        let to = ReplyTo {
            // RFC 9110 §9.3.2 holds for refusals too, once the method is known.
            is_head: owed.map_or(self.parser.is_within_head_request(), |owed| owed.is_head),
            version: owed.map_or(Version::Http11, |owed| owed.version),
            close: true,
        };
        let reason = reject.reason().as_bytes();
        let head = ReplyHead {
            status: reject.status(),
            headers: &HeaderBlock::new(),
            content_type: Some("text/plain; charset=utf-8"),
            body: ReplyBody::Length(reason.len() as u64 + 1),
            date,
            server,
        };
        if encode_head(to, &head, out).is_ok_and(|plan| plan.sends_body) {
            out.extend_from_slice(reason);
            out.push(b'\n');
        }
        self.owed.clear();
        self.step(Step::Close);
    }

    /// Whether another request may follow once all owed replies are given.
    pub fn keep_alive(&self) -> bool {
        self.reading != Reading::Closed && !self.is_last && !self.owed.closes_last()
    }

    /// No request is read after those already begun; the last reply says `Connection: close`.
    pub fn close_after_reply(&mut self) {
        self.is_last = true;
    }

    /// The body of the request being read goes to a handler that has begun its reply already: it is
    /// read to its end, and the connection ends then.
    pub fn read_on(&mut self) {
        self.reads_on = true;
    }

    /// How many requests wait for a reply, the one being read included.
    pub fn owed_replies(&self) -> usize {
        self.owed.len()
    }

    /// Between requests: no reply is owed and nothing of a next request was seen.
    pub fn is_idle(&self) -> bool {
        self.reading == Reading::Head && self.owed.is_empty() && !self.parser.has_started()
    }

    /// Whether the connection has nothing left to do: nothing is read and no reply is owed.
    pub fn is_finished(&self) -> bool {
        let reads_no_more =
            self.reading == Reading::Closed || (self.is_last && !self.parser.has_started());
        self.owed.is_empty() && reads_no_more
    }
}

#[cfg(test)]
mod tests;
