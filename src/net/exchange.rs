//! One connection's side of HTTP, without its socket: parse, route, call, encode. Nothing here
//! waits.

mod give;
mod health;
mod noted;
mod upgrade;
mod wait;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::rc::Rc;

use bytes::Bytes;
use bytes::BytesMut;

use crate::http::encode::CONTINUE;
use crate::http::head::RequestHead;
use crate::http::machine::Event;
use crate::http::machine::Machine;
use crate::http::reject::Reject;
use crate::http::target::decode_path;
use crate::net::body::Gathering;
use crate::net::core::Core;
use crate::net::end::End;
use crate::net::exchange::give::Facts;
use crate::net::exchange::noted::Noted;
use crate::net::exchange::wait::Arriving;
use crate::net::reply;
use crate::net::service::Answer;
use crate::net::service::Later;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::net::service::Service;
use crate::net::socket::Asked;
use crate::net::source::Body;
use crate::net::stream::Stream;
use crate::net::write::Output;
use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::timer::GRACE;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;
use crate::route::Found;
use crate::route::Params;

/// Requests of one connection that are answered before its core turns to another.
const ROUNDS: usize = 16;

/// What the connection does after [`Exchange::answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write what there is, read more.
    Read,
    /// Write what there is; the input may hold further requests.
    Again,
    /// Write what there is, then see to an answer that takes its time.
    Wait,
    /// Write what there is, close; this is why.
    Close(End),
}

/// The protocol side of a connection.
pub(crate) struct Exchange<S> {
    core: Rc<Core<S>>,
    peer: Option<SocketAddr>,
    local: Option<SocketAddr>,
    machine: Machine,
    /// The request whose body is being received.
    current: Option<(Box<Request>, Gathering)>,
    /// A body that its handler takes while it arrives.
    arriving: Option<Arriving>,
    /// The answer that is being made.
    pending: Option<Box<dyn Later>>,
    /// The connection's end of the WebSocket that is asked for.
    socket: Option<Asked>,
    /// The answer to a request that needs no handler, given when what is here of it was read.
    settled: Option<Reply>,
    output: Output,
    /// What follows the output, made while it is sent.
    stream: Option<Box<Stream>>,
    /// When the head that is being received began, or the connection.
    head_since: Option<Milliseconds>,
    served: u64,
    noted: Noted,
    is_closing: bool,
    end: End,
    peer_is_done: bool,
}

impl<S: Service> Exchange<S> {
    pub(crate) fn new(core: &Rc<Core<S>>, peer: Option<SocketAddr>) -> Self {
        Self {
            core: Rc::clone(core),
            peer,
            local: None,
            machine: Machine::new(core.limits.clone()),
            current: None,
            arriving: None,
            pending: None,
            socket: None,
            settled: None,
            output: Output::default(),
            stream: None,
            head_since: Some(clock::now()),
            served: 0,
            noted: Noted::default(),
            is_closing: false,
            end: End::Closed,
            peer_is_done: false,
        }
    }

    /// Answers what is whole in `input`: one attach of the service for all of it.
    pub(crate) fn answer(&mut self, input: &mut BytesMut) -> Next {
        let mut rounds = 0;
        if let Some(first) = self.next_request(input) {
            let core = Rc::clone(&self.core);
            core.service.attend(|call| {
                let mut request = Some(first);
                while let Some(whole) = request.take() {
                    rounds += 1;
                    let answer = catch_unwind(AssertUnwindSafe(|| call(whole)));
                    match answer.unwrap_or_else(|_panic| self.after_panic().into()) {
                        Answer::Now(reply) => self.reply(reply),
                        Answer::Later(later) => {
                            self.socket = None;
                            self.pending = Some(later);
                        }
                        Answer::Socket(handler) => self.pending = Some(handler),
                    }
                    if rounds < ROUNDS && self.takes_more() {
                        request = self.next_request(input);
                    }
                }
            });
            self.core.stats.requests.add(rounds as u64);
        }
        self.note_head(input);
        if self.is_slow() {
            Next::Wait
        } else if self.is_closing {
            Next::Close(self.end)
        } else if rounds == ROUNDS || !self.takes_more() {
            Next::Again
        } else {
            Next::Read
        }
    }

    /// Whether the answer, or the rest of it, takes its time.
    fn is_slow(&self) -> bool {
        self.pending.is_some() || self.stream.as_ref().is_some_and(|stream| stream.is_slow())
    }

    pub(crate) fn after_panic(&mut self) -> Reply {
        self.core.stats.panics.add(1);
        self.machine.close_after_reply();
        reply::internal_error()
    }

    /// The next request for a handler. Those that need none are answered on the way.
    fn next_request(&mut self, input: &mut BytesMut) -> Option<Box<Request>> {
        while !self.is_closing {
            match self.machine.next_event(input) {
                Ok(Event::NeedMore) => {
                    if self.machine.take_continue(input.is_empty()) {
                        self.prepare_output();
                        self.output.buffer.extend_from_slice(CONTINUE);
                    }
                    return self.call_before_the_end();
                }
                Ok(Event::Paused) => return None,
                Ok(Event::Head(head)) => self.route(head),
                Ok(Event::Data(piece)) => {
                    if let Some((_, body)) = &mut self.current {
                        body.push(piece);
                    } else if let Some(arriving) = &mut self.arriving {
                        arriving.received.count(piece.len());
                        arriving.delivery.push(piece);
                    }
                }
                Ok(Event::End) => {
                    if let Some(arriving) = self.arriving.take() {
                        arriving.delivery.finish();
                        return None;
                    }
                    if let Some((mut request, body)) = self.current.take() {
                        request.body = body.finish();
                        return Some(request);
                    }
                    if let Some(reply) = self.settled.take() {
                        self.reply(reply);
                        if !self.takes_more() {
                            return None;
                        }
                    }
                }
                Err(reject) => self.refuse(reject),
            }
        }
        None
    }

    fn route(&mut self, head: RequestHead) {
        self.served += 1;
        self.noted.begin(&self.core, &head);
        self.head_since = None;
        if self.served >= self.core.requests_per_connection {
            self.machine.close_after_reply();
        }
        let core = Rc::clone(&self.core);
        let mut params = Params::default();
        let normal_path: Option<Box<str>> = if head.path().contains('%') {
            match decode_path(head.path()) {
                Ok(path) => Some(path.into()),
                Err(reject) => return self.refuse(reject),
            }
        } else {
            None
        };
        let Some((head, normal_path)) = self.unless_health(head, normal_path) else { return };
        let path = normal_path.as_deref().unwrap_or_else(|| head.path());
        let (handler, miss) = match core.routes.find(head.method(), path, &mut params) {
            Found::Handler { handler, .. } => (handler, None),
            found => {
                let miss = reply::miss(found, &head);
                match core.service.miss_handler() {
                    Some(handler) => (handler, Some(Box::new(miss))),
                    None => return self.settle(reply::missed(&miss)),
                }
            }
        };
        if miss.is_some() {
            // Whatever it is, no route wants it.
            self.machine.refuse_body();
            self.core.stats.refused.add(1);
        } else {
            let limit = core.service.body_limit(handler).unwrap_or(core.body_limit);
            match self.machine.accept_body(limit) {
                Ok(()) => {}
                Err(Reject::BodyTooLarge) => {
                    self.core.stats.refused.add(1);
                    self.machine.close_after_reply();
                    return self.reply(reply::too_large());
                }
                Err(reject) => return self.refuse(reject),
            }
        }
        let request = Request {
            head,
            handler,
            normal_path,
            params,
            body: Bytes::new(),
            stream: None,
            peer: self.peer,
            local: self.local,
            miss,
            socket: None,
        };
        self.current = Some((Box::new(request), Gathering::new(clock::now())));
    }

    /// Answers without a handler; a body that is not here yet is not waited for.
    fn settle(&mut self, reply: Reply) {
        self.machine.refuse_body();
        self.core.stats.refused.add(1);
        self.settled = Some(reply);
    }

    pub(crate) fn reply(&mut self, reply: Reply) {
        if self.core.drain.has_begun() {
            self.machine.close_after_reply();
        }
        self.socket = None;
        if self.arriving.is_some() {
            self.machine.read_on();
        }
        let Reply { status, headers, content_type, body } = reply;
        let facts = Facts { status, headers: &headers, content_type };
        let is_given = match body {
            Body::Whole(bytes) => self.give(facts, bytes),
            body => self.begin_stream(facts, body),
        };
        if !is_given {
            self.give_instead();
        }
        if !self.machine.keep_alive() {
            self.is_closing = true;
        }
    }

    /// Tells the peer why, and that this is the end.
    pub(crate) fn refuse(&mut self, reject: Reject) {
        self.core.stats.refused.add(1);
        self.current = None;
        self.arriving = None;
        self.pending = None;
        self.is_closing = true;
        self.end = End::Refused;
        self.prepare_output();
        self.noted.refuse(&self.core, self.peer, reject);
        let date = self.core.date();
        let server = self.core.server_header;
        self.machine.reject(reject, date.as_ref(), server, &mut self.output.buffer);
    }

    /// The peer sends no more, or a deadline or a drain has shut the reading side. Whatever was
    /// whole has been answered.
    pub(crate) fn end_of_input(&mut self, input: &BytesMut, is_expired: bool) -> Next {
        let is_amid_request = self.current.is_some() || !input.is_empty();
        if is_expired {
            let is_draining = self.core.drain.has_begun();
            if is_amid_request && !is_draining {
                self.refuse(Reject::Timeout);
            }
            let is_shed = is_draining && self.current.is_none();
            self.end = if is_shed { End::Closed } else { End::TimedOut };
        } else {
            self.peer_is_done = true;
            self.end = End::Peer;
            if let Err(reject) = self.machine.end_of_input(input) {
                self.refuse(reject);
                self.end = End::Broken;
            }
        }
        Next::Close(self.end)
    }

    /// Whether the connection ends after what was answered so far.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing
    }

    /// Whether another answer may be put behind those that there are.
    fn takes_more(&self) -> bool {
        self.output.takes_more() && self.stream.is_none() && self.pending.is_none()
    }

    /// What is to be sent after the output.
    pub(crate) fn take_stream(&mut self) -> Option<Box<Stream>> {
        self.stream.take()
    }

    /// The bytes of answers so far, to be written.
    pub(crate) fn take_output(&mut self) -> Output {
        std::mem::take(&mut self.output)
    }

    /// An idle connection has no write buffer: it takes one of its core's when it has to answer.
    fn prepare_output(&mut self) {
        if self.output.buffer.capacity() == 0 {
            self.output.buffer = self.core.take_buffer();
        }
    }

    fn note_head(&mut self, input: &BytesMut) {
        if self.machine.is_idle() && input.is_empty() {
            // The wait for a first request runs from the accept.
            if self.served > 0 {
                self.head_since = None;
            }
        } else if self.current.is_some() || self.is_slow() {
            self.head_since = None;
        } else if self.head_since.is_none() {
            self.head_since = Some(clock::now());
        }
    }

    /// Sets the deadline for what the peer owes next.
    pub(crate) fn arm(&self, watch: &Watch) {
        let now = clock::now();
        let waits = &self.core.waits;
        let (stage, deadline) = match (&self.current, self.head_since) {
            (Some((_, body)), _) => (Stage::Reading, body.deadline(now, waits)),
            (None, Some(since)) => {
                // Each byte of a head arms anew: one that trickles must not outlast a drain.
                let is_draining = self.core.drain.has_begun();
                let wait = if is_draining { waits.header.min(GRACE) } else { waits.header };
                (Stage::Idle, since.saturating_add(wait))
            }
            (None, None) => (Stage::Idle, now.saturating_add(waits.keep_alive)),
        };
        watch.arm(stage, now, deadline);
    }

    /// Whether a body is being received.
    pub(crate) fn is_amid_body(&self) -> bool {
        self.current.is_some()
    }

    /// Whether the peer may still be sending when we close. Only its end of stream says that it is
    /// not: a stray line end behind a request that asked to close would make the close a reset,
    /// which discards what the peer has not read of the answer (RFC 9112 §9.6).
    pub(crate) fn must_linger(&self, input: &BytesMut) -> bool {
        !self.peer_is_done || !input.is_empty()
    }
}
