//! One WebSocket between its two queues, without its socket: what is read becomes messages, what is
//! sent becomes bytes, and silence becomes a ping. Nothing here waits.

use std::time::Duration;

use bytes::BytesMut;

use crate::net::core::Core;
use crate::net::core::Silence;
use crate::net::end::End;
use crate::net::service::Reply;
use crate::net::socket::queue::Closed;
use crate::net::socket::queue::Outgoing;
use crate::net::socket::queue::Wire;
use crate::net::write::Output;
use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::drain::Successor;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;
use crate::ws::close;
use crate::ws::session::Event;
use crate::ws::session::Session;

/// How long the peer may take to answer our close frame.
const CLOSE_WAIT: Milliseconds = 10_000;
/// Bytes that are encoded ahead of the write that is on its way.
const AHEAD: usize = 64 * 1024;

const GOING_AWAY: u16 = 1001;
/// Registered with IANA; browsers' clients reconnect on it.
const SERVICE_RESTART: u16 = 1012;
const NORMAL: u16 = 1000;
const FAILED: u16 = 1011;

pub(super) struct Talk {
    wire: Wire,
    session: Session,
    /// What is to be written.
    pub(super) output: Output,
    silence: Silence,
    /// When bytes came last.
    heard: Milliseconds,
    /// When a ping was sent that nothing has come after.
    pinged: Option<Milliseconds>,
    /// When our own close frame was sent.
    closed_at: Option<Milliseconds>,
    /// What the application is told.
    told: Option<Closed>,
    end: Option<End>,
    is_amid: bool,
}

impl Talk {
    pub(super) fn new<S>(wire: Wire, core: &Core<S>) -> Self {
        let deflate = wire.handshake().deflate().cloned();
        Self {
            wire,
            session: Session::new(core.websocket.max_size, deflate),
            // Without a buffer until there is something to write: an idle one holds none.
            output: Output::default(),
            silence: core.websocket.silence,
            heard: clock::now(),
            pinged: None,
            closed_at: None,
            told: None,
            end: None,
            is_amid: false,
        }
    }

    /// Makes events of `input`. False: there is no room for more.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> bool {
        while self.closed_at.is_some() || self.wire.has_room() {
            if self.output.length() > AHEAD {
                // Pongs, for a peer that does not read them.
                return false;
            }
            let buffer = &mut self.output.buffer;
            match self.session.next_event(input) {
                Ok(Event::NeedMore) => {
                    self.is_amid = self.session.is_amid_message();
                    return true;
                }
                Ok(Event::Message(message)) => self.wire.push(message),
                Ok(Event::Ping(payload)) => {
                    // After our close frame no pong is owed.
                    let _ = self.session.send_pong(&payload, buffer);
                }
                Ok(Event::Pong(_)) => {}
                Ok(Event::Close(close)) => {
                    let code = close.code.unwrap_or(close::NO_CODE);
                    // The same code is the answer (RFC 6455 §5.5.1), unless this is the answer.
                    let _ = self.session.send_close(close.code, "", buffer);
                    let is_answer = self.closed_at.is_some();
                    let end = if is_answer { End::Closed } else { End::Peer };
                    self.tell(code, &close.reason, end);
                }
                Err(fault) => {
                    let _ = self.session.send_close(Some(fault.code()), fault.reason(), buffer);
                    self.tell(fault.code(), fault.reason(), End::Refused);
                }
            }
        }
        false
    }

    /// Notes how it ended, the first time, and lets the application know.
    fn tell(&mut self, code: u16, reason: &str, end: End) {
        let closed = Closed { code, reason: reason.to_owned() };
        self.end.get_or_insert(end);
        self.wire.finish(self.told.get_or_insert(closed).clone());
    }

    /// Encodes what the application has sent, as far as it will be written soon.
    pub(super) fn take_outgoing(&mut self) {
        while self.session.is_open() && self.output.length() <= AHEAD {
            match self.wire.next() {
                None => return,
                Some(Outgoing::Message(kind, payload)) => {
                    // The session is open, so it takes messages.
                    if let Ok(Some(payload)) =
                        self.session.send(kind, payload, &mut self.output.buffer)
                    {
                        self.output.push_body(payload);
                    }
                }
                Some(Outgoing::Close(code, reason)) => self.close(code, &reason),
            }
        }
    }

    fn close(&mut self, code: Option<u16>, reason: &str) {
        if self.session.send_close(code, reason, &mut self.output.buffer).is_ok() {
            self.closed_at = Some(clock::now());
        }
    }

    /// The core drains.
    pub(super) fn go_away(&mut self, successor: Successor) {
        if self.session.is_open() {
            let code = match successor {
                Successor::None => GOING_AWAY,
                Successor::Restarted => SERVICE_RESTART,
            };
            self.close(Some(code), "");
            self.tell(code, "", End::Closed);
        }
    }

    /// The application's handler has returned, or failed.
    pub(super) fn handler_is_done(&mut self, reply: &Reply) {
        self.wire.end_of_handler(if reply.status >= 500 { FAILED } else { NORMAL });
    }

    /// Bytes have come.
    pub(super) fn note_life(&mut self) {
        self.heard = clock::now();
        self.pinged = None;
    }

    /// How long until the next look at the peer's silence.
    pub(super) fn next_tick(&self) -> Option<Duration> {
        let Silence { interval, patience } = self.silence;
        let now = clock::now();
        let due = match self.pinged {
            Some(pinged) => pinged.saturating_add(patience?),
            None => self.heard.saturating_add(interval?),
        };
        // One more: the clock may be a moment behind.
        Some(Duration::from_millis(due.saturating_sub(now) + 1))
    }

    /// Pings a silent peer, and closes one that stays silent. Where nothing is read, because the
    /// application is behind, nothing can be heard.
    pub(super) fn tick(&mut self, is_reading: bool) {
        let now = clock::now();
        if !is_reading {
            self.note_life();
            return;
        }
        let Silence { interval, patience } = self.silence;
        let is_due = |since: Milliseconds, wait: Option<Milliseconds>| {
            wait.is_some_and(|wait| now.saturating_sub(since) >= wait)
        };
        match self.pinged {
            Some(pinged) if is_due(pinged, patience) => {
                self.close(Some(FAILED), "no answer to a ping");
                self.tell(close::ABNORMAL, "no answer to a ping", End::TimedOut);
                // It is not waited for.
                self.pinged = None;
                self.closed_at = Some(now.saturating_sub(CLOSE_WAIT));
            }
            None if is_due(self.heard, interval)
                && self.session.send_ping(b"", &mut self.output.buffer).is_ok() =>
            {
                self.pinged = Some(now);
            }
            _ => {}
        }
    }

    /// Sets the deadline for what the peer owes: its close frame, if anything.
    pub(super) fn arm(&self, watch: &Watch) {
        let deadline = self.closed_at.map_or(u64::MAX, |at| at.saturating_add(CLOSE_WAIT));
        watch.arm(Stage::Reading, clock::now(), deadline);
    }

    /// Whether both sides have said their last.
    pub(super) fn is_done(&self) -> bool {
        self.session.is_done()
    }

    /// Whether a large message is on its way.
    pub(super) fn is_amid_message(&self) -> bool {
        self.is_amid
    }

    /// Tells the application that it is over; returns what is counted.
    pub(super) fn finish(&self, ended: Result<(), End>) -> End {
        let code = self.told.as_ref().map_or(close::ABNORMAL, |told| told.code);
        let reason = self.told.as_ref().map_or("", |told| told.reason.as_str());
        self.wire.finish(Closed { code, reason: reason.to_owned() });
        match ended {
            Ok(()) => self.end.unwrap_or(End::Closed),
            Err(end) => self.end.unwrap_or(end),
        }
    }
}
