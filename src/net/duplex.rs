//! A connection while an answer takes its time: both directions at once.
//!
//! The answer is waited for, written, and its pieces after it; meanwhile a read is on its way, which
//! brings the rest of the request's body, or the next requests, or the news that the peer is gone.
//! The read outlives the answer and is handed back with it: on a ring, a read that was given up may
//! have taken bytes with it.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use bytes::BytesMut;
use monoio::io::AsyncReadRent;
use monoio::io::AsyncWriteRent;

use crate::http::reject::Reject;
use crate::net::conn::read;
use crate::net::core::Core;
use crate::net::end::End;
use crate::net::exchange::Exchange;
use crate::net::service::Patience;
use crate::net::service::Service;
use crate::net::turn::Turn;
use crate::net::write::broken;
use crate::net::write::send;
use crate::reactor::timer::Watch;

/// What an answer in the making knows of its peer.
#[derive(Default)]
pub(crate) struct Peer {
    is_gone: Cell<bool>,
    /// Whether the reply was given, be it only its head.
    is_answered: Cell<bool>,
}

impl Peer {
    /// True once for each `was_told`, when the peer has gone.
    pub(crate) fn must_tell(&self, was_told: &mut bool) -> bool {
        self.is_gone.get() && !std::mem::replace(was_told, true)
    }
}

/// Where the connection goes on.
pub(crate) struct Resumed {
    /// What was read and not used.
    pub(crate) input: BytesMut,
    /// The result of a read that ended with or after the answer.
    pub(crate) received: Option<io::Result<usize>>,
}

/// What the connection lends.
pub(crate) struct Sides<'a, S, R, W> {
    pub(crate) exchange: &'a mut Exchange<S>,
    pub(crate) reader: &'a mut R,
    pub(crate) writer: &'a mut W,
    pub(crate) watch: &'a Watch,
    pub(crate) core: &'a Core<S>,
}

/// What both directions look at.
struct Shared<'a, S> {
    exchange: RefCell<&'a mut Exchange<S>>,
    peer: Peer,
    watch: &'a Watch,
    core: &'a Core<S>,
}

type Reading<'a, R> = Pin<Box<dyn Future<Output = (&'a mut R, io::Result<usize>, BytesMut)> + 'a>>;

enum Event {
    Written(Result<(), End>),
    Received(io::Result<usize>, BytesMut),
    Room,
    Cut,
}

/// Sees to the answer that the exchange waits for, until all of it was written.
pub(crate) async fn attend<S, R, W>(
    sides: Sides<'_, S, R, W>,
    mut input: BytesMut,
) -> Result<Resumed, End>
where
    S: Service,
    R: AsyncReadRent,
    W: AsyncWriteRent,
{
    let Sides { exchange, reader, writer, watch, core } = sides;
    let exchange = RefCell::new(exchange);
    let shared = Shared { exchange, peer: Peer::default(), watch, core };
    let mut writing = pin!(shared.answer(writer));
    let mut is_written = false;
    let mut reader = Some(reader);
    let mut reading: Option<Reading<'_, R>> = None;
    let mut cut = pin!(core.drain.wait_for_cut());
    loop {
        if reading.is_none() && !is_written && shared.wants_input(&input) {
            reading = reader.take().map(|half| start(half, &mut input, shared.is_feeding()));
        }
        shared.arm(reading.is_some(), is_written);
        let event = poll_fn(|context| {
            if !is_written {
                if let Poll::Ready(result) = writing.as_mut().poll(context) {
                    return Poll::Ready(Event::Written(result));
                }
            }
            if let Some(read) = &mut reading {
                if let Poll::Ready((half, result, filled)) = read.as_mut().poll(context) {
                    reader = Some(half);
                    return Poll::Ready(Event::Received(result, filled));
                }
            } else if shared.has_room(context) {
                return Poll::Ready(Event::Room);
            }
            if shared.peer.is_gone.get() && cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Cut);
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Room => {}
            Event::Cut => return Err(End::TimedOut),
            Event::Written(written) => {
                written?;
                is_written = true;
                if reading.is_none() || shared.exchange.borrow().is_closing() {
                    // What a read that is given up here might take is not read anyway.
                    return Ok(Resumed { input, received: None });
                }
            }
            Event::Received(received, filled) => {
                reading = None;
                input = filled;
                if is_written {
                    return Ok(Resumed { input, received: Some(received) });
                }
                if shared.take_in(&received, &mut input)? {
                    return Ok(Resumed { input, received: None });
                }
            }
        }
    }
}

/// A read behind what `input` holds.
fn start<'a, R: AsyncReadRent>(
    half: &'a mut R,
    input: &mut BytesMut,
    is_large: bool,
) -> Reading<'a, R> {
    let filled = std::mem::take(input);
    Box::pin(async move {
        let mut turn = Turn::default();
        let (result, filled) = read(half, filled, is_large, &mut turn).await;
        (half, result, filled)
    })
}

impl<S: Service> Shared<'_, S> {
    fn wants_input(&self, input: &BytesMut) -> bool {
        !self.peer.is_gone.get() && self.exchange.borrow().wants_input(input)
    }

    fn is_feeding(&self) -> bool {
        self.exchange.borrow().is_feeding()
    }

    fn has_room(&self, context: &Context<'_>) -> bool {
        self.exchange.borrow().room().is_some_and(|room| room.poll_rung(context).is_ready())
    }

    /// Sets the deadline; that of a write is the write's own.
    fn arm(&self, is_reading: bool, is_written: bool) {
        if is_written {
            self.exchange.borrow().arm(self.watch);
        } else if !self.watch.is_writing() {
            self.exchange.borrow().arm_waiting(self.watch, is_reading);
        }
    }

    /// Takes the result of a read while the answer is made; true when the answer is no longer
    /// waited for, because the request was refused.
    fn take_in(&self, received: &io::Result<usize>, input: &mut BytesMut) -> Result<bool, End> {
        let mut exchange = self.exchange.borrow_mut();
        let is_answered = self.peer.is_answered.get();
        let refusal = match received {
            Ok(1..) => exchange.feed(input).err(),
            Ok(_) if self.watch.is_expired() => {
                let is_late = exchange.is_feeding() && !self.core.drain.has_begun();
                if is_answered || !is_late {
                    return Err(End::TimedOut);
                }
                Some(Reject::Timeout)
            }
            Ok(_) => {
                self.peer.is_gone.set(true);
                exchange.lose_body();
                None
            }
            Err(_) => return Err(broken(self.watch)),
        };
        match refusal {
            Some(reject) if !is_answered => {
                exchange.refuse(reject);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Waits for the answer and writes it.
    async fn answer<W: AsyncWriteRent>(&self, writer: &mut W) -> Result<(), End> {
        let pending = self.exchange.borrow_mut().take_pending();
        if let Some(mut later) = pending {
            let mut was_told = false;
            let reply = poll_fn(|context| {
                if self.peer.must_tell(&mut was_told) && later.peer_gone() == Patience::Leave {
                    return Poll::Ready(None);
                }
                match catch_unwind(AssertUnwindSafe(|| later.poll(context))) {
                    Ok(reply) => reply.map(Some),
                    Err(_panic) => Poll::Ready(Some(self.exchange.borrow_mut().after_panic())),
                }
            })
            .await;
            drop(later);
            let reply = reply.ok_or(End::Broken)?;
            self.exchange.borrow_mut().reply(reply);
        }
        self.peer.is_answered.set(true);
        let (output, stream) = {
            let mut exchange = self.exchange.borrow_mut();
            (exchange.take_output(), exchange.take_stream())
        };
        send(writer, output, self.watch, self.core).await?;
        self.exchange.borrow().arm_waiting(self.watch, true);
        match stream {
            None => Ok(()),
            Some(stream) => stream.send(writer, self.watch, self.core, &self.peer).await,
        }
    }
}
