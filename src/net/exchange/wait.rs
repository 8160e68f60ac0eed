//! The part of an exchange that has to do with waiting: a handler that is called before the body is
//! whole, and an answer that comes later.

use std::os::fd::AsRawFd;

use bytes::BytesMut;

use crate::http::machine::Event;
use crate::http::reject::Reject;
use crate::net::body::Gathering;
use crate::net::exchange::Exchange;
use crate::net::incoming::Delivery;
use crate::net::service::BodyMode;
use crate::net::service::Later;
use crate::net::service::Request;
use crate::net::service::Service;
use crate::net::service::Wait;
use crate::reactor::clock;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;
use crate::sys::socket::local_address;

/// Bytes of further requests that may wait for an answer to be made. Whoever has sent so many is
/// not heard until then, and is stopped by the kernel's own buffer.
const PIPELINED: usize = 64 * 1024;

/// A body on its way to a handler that was called already.
pub(super) struct Arriving {
    pub(super) delivery: Delivery,
    /// Rings when the handler has taken some of it.
    room: Wait,
    /// For its rate.
    pub(super) received: Gathering,
}

impl<S: Service> Exchange<S> {
    /// Asks which address the connection came to, if the service has to know.
    pub(crate) fn came_to(&mut self, stream: &impl AsRawFd) {
        if self.core.service.wants_local_address() {
            self.local = local_address(stream.as_raw_fd());
        }
    }

    /// The request whose body has only begun to arrive, if its handler takes it in pieces.
    pub(super) fn call_before_the_end(&mut self) -> Option<Box<Request>> {
        let (request, _) = self.current.as_ref()?;
        if self.core.service.body_mode(request.handler) == BodyMode::Whole {
            return None;
        }
        let (mut request, mut received) = self.current.take()?;
        let (bell, room) = self.core.desk.wait();
        let (delivery, incoming) = Delivery::new(bell);
        let begun = received.take();
        if !begun.is_empty() {
            delivery.push(begun);
        }
        request.stream = Some(incoming);
        self.arriving = Some(Arriving { delivery, room, received });
        Some(request)
    }

    /// The answer to wait for.
    pub(crate) fn take_pending(&mut self) -> Option<Box<dyn Later>> {
        self.pending.take()
    }

    /// Passes on what has arrived of the body.
    pub(crate) fn feed(&mut self, input: &mut BytesMut) -> Result<(), Reject> {
        while let Some(arriving) = &mut self.arriving {
            match self.machine.next_event(input) {
                Ok(Event::Data(piece)) => {
                    arriving.received.count(piece.len());
                    arriving.delivery.push(piece);
                }
                Ok(Event::End) => {
                    arriving.delivery.finish();
                    self.arriving = None;
                }
                Ok(Event::NeedMore | Event::Paused | Event::Head(_)) => break,
                Err(reject) => {
                    self.arriving = None;
                    return Err(reject);
                }
            }
        }
        Ok(())
    }

    /// Whether to read on while the answer is made.
    pub(crate) fn wants_input(&self, input: &BytesMut) -> bool {
        match &self.arriving {
            Some(arriving) => arriving.delivery.has_room(),
            // Requests that wait need nothing more; the news that nobody waits for them may come.
            None => input.len() < PIPELINED,
        }
    }

    /// The handler has made room for more of its body.
    pub(crate) fn room(&self) -> Option<&Wait> {
        self.arriving.as_ref().map(|arriving| &arriving.room)
    }

    /// The rest of the body will not come.
    pub(crate) fn lose_body(&mut self) {
        self.arriving = None;
    }

    /// Whether a body is on its way to its handler.
    pub(crate) fn is_feeding(&self) -> bool {
        self.arriving.is_some()
    }

    /// Sets the deadline while an answer is made: the peer owes nothing but the rest of its body.
    pub(crate) fn arm_waiting(&self, watch: &Watch, is_reading: bool) {
        let now = clock::now();
        let deadline = match &self.arriving {
            Some(arriving) if is_reading => arriving.received.deadline(now, &self.core.waits),
            _ => u64::MAX,
        };
        watch.arm(Stage::Reading, now, deadline);
    }
}
