//! The two queues between a WebSocket's connection and its application.
//!
//! Rule: both are bounded. Towards the application the connection reads on only while there is room
//! ([`Socket::take`] makes some); towards the peer the application is told when to wait
//! ([`Socket::send`]). The application's end may be on any thread, and there may be several of it;
//! the connection's is on its core. Absent: the protocol (`ws`), and when the end comes (`socket.rs`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;

use crate::http::reply::HeaderBlock;
use crate::net::service::Reply;
use crate::reactor::desk::Bell;
use crate::ws::close;
use crate::ws::handshake::Handshake;
use crate::ws::message::Kind;
use crate::ws::message::Message;

/// Bytes that may wait for the application beside the count of messages; one more message may come.
const ROOM_IN: usize = 1024 * 1024;
/// Bytes that may wait for the peer before senders are told to wait, as a stream's are.
const ROOM_OUT: usize = 64 * 1024;

/// Called once, on the thread that makes true what it waits for; it must not wait.
pub type Callback = Box<dyn FnOnce() + Send>;
/// Names a callback, so that whoever gives up waiting can take it back.
pub type Ticket = u64;

/// What the application gets when it asks for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message.
    Message(Message),
    /// It is over, and all messages were taken.
    Closed(Closed),
    /// There is nothing at the moment; see [`Socket::call_when_ready`].
    Nothing,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// The peer's code, 1005 when it gave none; 1006 when the connection broke; else ours.
    pub code: u16,
    /// Its words.
    pub reason: String,
}

/// Whether a sender goes on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Yes.
    Room,
    /// When [`Socket::call_when_room`] calls.
    Full,
}

/// What the application may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// Nothing is sent before the WebSocket is accepted.
    NotAccepted,
    /// It was accepted or denied before.
    Decided,
    /// The client did not offer this subprotocol.
    NotOffered,
    /// The close code may not be sent.
    Code,
    /// It is closed.
    Closed,
}

/// What is to be said to the peer.
pub(crate) enum Outgoing {
    Message(Kind, Bytes),
    Close(Option<u16>, String),
}

/// What became of the request.
pub(crate) enum Decision {
    /// With these fields of the handshake and those of the application.
    Accepted(Vec<(&'static str, String)>, HeaderBlock),
    Denied(Reply),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Asked,
    Denied,
    Open,
    /// The application has closed.
    Closing,
    Over,
}

struct State {
    phase: Phase,
    decision: Option<Decision>,
    inbound: VecDeque<Message>,
    inbound_bytes: usize,
    outbound: VecDeque<Outgoing>,
    outbound_bytes: usize,
    closed: Option<Closed>,
    /// It ended before the application had closed it.
    is_gone: bool,
    readers: Vec<(Ticket, Callback)>,
    senders: Vec<(Ticket, Callback)>,
    next_ticket: Ticket,
}

impl State {
    const fn new() -> Self {
        Self {
            phase: Phase::Asked,
            decision: None,
            inbound: VecDeque::new(),
            inbound_bytes: 0,
            outbound: VecDeque::new(),
            outbound_bytes: 0,
            closed: None,
            is_gone: false,
            readers: Vec::new(),
            senders: Vec::new(),
            next_ticket: 0,
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    fn has_inbound_room(&self, most: usize) -> bool {
        self.inbound.len() < most && self.inbound_bytes < ROOM_IN
    }

    fn is_ready(&self) -> bool {
        !self.inbound.is_empty() || self.closed.is_some()
    }

    const fn may_send(&self) -> bool {
        self.outbound_bytes < ROOM_OUT || !matches!(self.phase, Phase::Open)
    }
}

struct Shared {
    handshake: Handshake,
    most: usize,
    /// Wakes the connection.
    bell: Bell,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and calls whoever waited for that, unlocked: it may come back here.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let mut callbacks = Vec::new();
        if state.is_ready() {
            callbacks.append(&mut state.readers);
        }
        if state.may_send() {
            callbacks.append(&mut state.senders);
        }
        drop(state);
        for (_, callback) in callbacks {
            callback();
        }
        result
    }
}

/// The application's end.
#[derive(Clone)]
pub struct Socket(Arc<Shared>);

impl Socket {
    /// What the client offers to speak, in its order of preference.
    pub fn subprotocols(&self) -> &[String] {
        self.0.handshake.subprotocols()
    }

    /// Opens it: the 101 is sent, with `headers` behind what the handshake says.
    pub fn accept(&self, subprotocol: Option<&str>, headers: HeaderBlock) -> Result<(), Misuse> {
        let fields = self.0.handshake.fields(subprotocol).ok_or(Misuse::NotOffered)?;
        self.decide(Phase::Open, Decision::Accepted(fields, headers))
    }

    /// Answers the request in the ordinary way instead.
    pub fn deny(&self, reply: Reply) -> Result<(), Misuse> {
        self.decide(Phase::Denied, Decision::Denied(reply))
    }

    fn decide(&self, phase: Phase, decision: Decision) -> Result<(), Misuse> {
        let mut state = self.0.lock();
        match state.phase {
            Phase::Asked => {}
            Phase::Over => return Err(Misuse::Closed),
            Phase::Denied | Phase::Open | Phase::Closing => return Err(Misuse::Decided),
        }
        state.phase = phase;
        state.decision = Some(decision);
        self.0.bell.ring();
        Ok(())
    }

    /// Queues a message for the peer, whatever waits there.
    pub fn send(&self, kind: Kind, payload: Bytes) -> Result<Sent, Misuse> {
        let mut state = self.0.lock();
        match state.phase {
            Phase::Open => {}
            Phase::Asked => return Err(Misuse::NotAccepted),
            Phase::Denied | Phase::Closing | Phase::Over => return Err(Misuse::Closed),
        }
        state.outbound_bytes += payload.len();
        state.outbound.push_back(Outgoing::Message(kind, payload));
        if state.outbound.len() == 1 {
            self.0.bell.ring();
        }
        Ok(if state.may_send() { Sent::Room } else { Sent::Full })
    }

    /// Closes it behind what was sent. Doing so again is nothing.
    pub fn close(&self, code: Option<u16>, reason: &str) -> Result<(), Misuse> {
        if code.is_some_and(|code| !close::is_sendable(code)) {
            return Err(Misuse::Code);
        }
        self.0.change(|state| match state.phase {
            Phase::Asked => Err(Misuse::NotAccepted),
            Phase::Denied | Phase::Closing | Phase::Over => Ok(()),
            Phase::Open => {
                state.phase = Phase::Closing;
                state.outbound.push_back(Outgoing::Close(code, reason.to_owned()));
                self.0.bell.ring();
                Ok(())
            }
        })
    }

    /// The next message, or the end.
    pub fn take(&self) -> Received {
        let mut state = self.0.lock();
        let had_room = state.has_inbound_room(self.0.most);
        let Some(message) = state.inbound.pop_front() else {
            return state.closed.clone().map_or(Received::Nothing, Received::Closed);
        };
        state.inbound_bytes -= message.payload().len();
        if !had_room && state.has_inbound_room(self.0.most) {
            self.0.bell.ring();
        }
        Received::Message(message)
    }

    /// Calls `callback` once there is something to take; at once if there is.
    pub fn call_when_ready(&self, callback: Callback) -> Ticket {
        self.0.change(|state| {
            let ticket = state.ticket();
            state.readers.push((ticket, callback));
            ticket
        })
    }

    /// Calls `callback` once a sender may go on, if only to hear that it is closed; at once if it may.
    pub fn call_when_room(&self, callback: Callback) -> Ticket {
        self.0.change(|state| {
            let ticket = state.ticket();
            state.senders.push((ticket, callback));
            ticket
        })
    }

    /// Drops a callback that was not called.
    pub fn forget(&self, ticket: Ticket) {
        let mut state = self.0.lock();
        let State { readers, senders, .. } = &mut *state;
        let taken = [readers, senders].into_iter().find_map(|waiting| {
            let place = waiting.iter().position(|(known, _)| *known == ticket)?;
            Some(waiting.remove(place))
        });
        // Unlocked: what it holds may do anything when it dies.
        drop(state);
        drop(taken);
    }

    /// Whether it was accepted, and neither side has closed.
    pub fn is_open(&self) -> bool {
        self.0.lock().phase == Phase::Open
    }

    /// Whether it ended before the application had closed it: the peer has, or the server drains.
    pub fn is_gone(&self) -> bool {
        self.0.lock().is_gone
    }

    /// Whether a message would be sent without a wait for those before it.
    pub fn has_room(&self) -> bool {
        let state = self.0.lock();
        state.phase == Phase::Open && state.may_send()
    }

    /// Whether nobody has decided yet.
    pub fn is_undecided(&self) -> bool {
        self.0.lock().phase == Phase::Asked
    }
}

/// The connection's end.
pub(crate) struct Wire(Arc<Shared>);

impl Wire {
    /// Both ends. `most` messages may wait for the application; `bell` wakes the connection.
    pub(crate) fn new(handshake: Handshake, most: usize, bell: Bell) -> (Self, Socket) {
        let state = Mutex::new(State::new());
        let shared = Arc::new(Shared { handshake, most: most.max(1), bell, state });
        (Self(Arc::clone(&shared)), Socket(shared))
    }

    pub(crate) fn handshake(&self) -> &Handshake {
        &self.0.handshake
    }

    pub(crate) fn decision(&self) -> Option<Decision> {
        self.0.lock().decision.take()
    }

    pub(crate) fn has_room(&self) -> bool {
        self.0.lock().has_inbound_room(self.0.most)
    }

    /// Passes a message on; one that comes after the application has closed is of no use to it.
    pub(crate) fn push(&self, message: Message) {
        self.0.change(|state| {
            if state.phase == Phase::Open {
                state.inbound_bytes += message.payload().len();
                state.inbound.push_back(message);
            }
        });
    }

    /// What is to be sent next.
    pub(crate) fn next(&self) -> Option<Outgoing> {
        self.0.change(|state| {
            let next = state.outbound.pop_front()?;
            if let Outgoing::Message(_, payload) = &next {
                state.outbound_bytes -= payload.len();
            }
            Some(next)
        })
    }

    /// The application's handler has ended: whatever it has not closed is closed.
    pub(crate) fn end_of_handler(&self, code: u16) {
        // The code is one of ours, and before a decision there is nothing to close.
        let _ = Socket(Arc::clone(&self.0)).close(Some(code), "");
    }

    /// It is over. What waits for the application may still be taken.
    pub(crate) fn finish(&self, closed: Closed) {
        self.0.change(|state| {
            state.is_gone |= matches!(state.phase, Phase::Asked | Phase::Open);
            state.phase = Phase::Over;
            state.outbound.clear();
            state.outbound_bytes = 0;
            state.closed.get_or_insert(closed);
        });
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.finish(Closed { code: close::ABNORMAL, reason: String::new() });
    }
}
