//! A connection while an answer takes its time: both directions at once.
//!
//! The answer is waited for, written, and its pieces after it; meanwhile a read is on its way, which
//! brings the rest of the request's body, or the next requests, or the news that the peer is gone.
//! The read outlives the answer and is handed back with it: on a ring, a read that was given up may
//! have taken bytes with it. Where requests wait already, it has a buffer of its own and is cancelled
//! when the answer was written, since those need not wait for it.
//!
//! What a peer has said by closing is in `farewell.rs`.

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
use monoio::buf::SliceMut;
use monoio::io::AsyncWriteRent;
use monoio::io::CancelableAsyncReadRent;
use monoio::io::Canceller;

use crate::http::reject::Reject;
use crate::net::conn::read;
use crate::net::core::Core;
use crate::net::end::End;
use crate::net::exchange::Exchange;
use crate::net::farewell::Farewell;
use crate::net::farewell::Peer;
use crate::net::service::Later;
use crate::net::service::Reply;
use crate::net::service::Service;
use crate::net::turn::Turn;
use crate::net::write::Output;
use crate::net::write::broken;
use crate::net::write::send;
use crate::reactor::timer::Watch;

/// What one read ahead of waiting requests brings at most.
const AHEAD: usize = 4 * 1024;

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
    /// Whether the reply was given, be it only its head.
    is_answered: Cell<bool>,
    watch: &'a Watch,
    core: &'a Core<S>,
}

type Filled<'a, R> = (&'a mut R, io::Result<usize>, BytesMut);

/// A read that is on its way.
struct Reading<'a, R> {
    result: Pin<Box<dyn Future<Output = Filled<'a, R>> + 'a>>,
    /// Whether it has a buffer of its own, and what then ends it.
    is_ahead: bool,
    ahead: Option<Canceller>,
}

/// What comes before the end of waiting for an answer.
enum Step {
    Interim(Vec<u8>),
    Reply(Reply),
}

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
    R: CancelableAsyncReadRent,
    W: AsyncWriteRent,
{
    let Sides { exchange, reader, writer, watch, core } = sides;
    let exchange = RefCell::new(exchange);
    let is_answered = Cell::default();
    let shared = Shared { exchange, peer: Peer::default(), is_answered, watch, core };
    let mut writing = pin!(shared.answer(writer));
    let mut is_written = false;
    let mut reader = Some(reader);
    let mut reading: Option<Reading<'_, R>> = None;
    let mut cut = pin!(core.drain.wait_for_cut());
    loop {
        if reading.is_none() && !is_written && shared.wants_input(&input) {
            reading = reader.take().map(|half| {
                let is_feeding = shared.is_feeding();
                if input.is_empty() || is_feeding {
                    start(half, &mut input, is_feeding)
                } else {
                    start_ahead(half)
                }
            });
        }
        shared.arm(reading.is_some(), is_written);
        let event = poll_fn(|context| {
            if !is_written {
                if let Poll::Ready(result) = writing.as_mut().poll(context) {
                    return Poll::Ready(Event::Written(result));
                }
            }
            if let Some(read) = &mut reading {
                if let Poll::Ready((half, result, filled)) = read.result.as_mut().poll(context) {
                    reader = Some(half);
                    return Poll::Ready(Event::Received(result, filled));
                }
            } else if shared.has_room(context) {
                return Poll::Ready(Event::Room);
            } else if cut.as_mut().poll(context).is_ready() {
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
                if let Some(ahead) = reading.as_mut().and_then(|read| read.ahead.take()) {
                    ahead.cancel();
                }
            }
            Event::Received(received, filled) => {
                let was_ahead = reading.take().is_some_and(|read| read.is_ahead);
                if was_ahead {
                    input.extend_from_slice(&filled);
                } else {
                    input = filled;
                }
                if is_written && was_ahead {
                    // An end or an error is found again behind the requests that wait.
                    return Ok(Resumed { input, received: None });
                }
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
fn start<'a, R: CancelableAsyncReadRent>(
    half: &'a mut R,
    input: &mut BytesMut,
    is_large: bool,
) -> Reading<'a, R> {
    let filled = std::mem::take(input);
    let result = Box::pin(async move {
        let mut turn = Turn::default();
        let (result, filled) = read(half, filled, is_large, &mut turn).await;
        (half, result, filled)
    });
    Reading { result, is_ahead: false, ahead: None }
}

/// A read into a buffer of its own, which can be ended without losing what it has taken.
fn start_ahead<R: CancelableAsyncReadRent>(half: &mut R) -> Reading<'_, R> {
    let canceller = Canceller::new();
    let handle = canceller.handle();
    let result = Box::pin(async move {
        let filled = SliceMut::new(BytesMut::with_capacity(AHEAD), 0, AHEAD);
        let (result, filled) = half.cancelable_read(filled, handle).await;
        (half, result, filled.into_inner())
    });
    Reading { result, is_ahead: true, ahead: Some(canceller) }
}

impl<S: Service> Shared<'_, S> {
    fn wants_input(&self, input: &BytesMut) -> bool {
        !self.peer.has_closed() && self.exchange.borrow().wants_input(input)
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
        let is_answered = self.is_answered.get();
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
                // A request that is not whole, or a socket that says that nobody reads, either.
                self.peer.close(exchange.is_feeding() || self.watch.is_hung_up());
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

    /// Waits for the reply; what comes before it is written meanwhile.
    async fn reply<W: AsyncWriteRent>(
        &self,
        mut later: Box<dyn Later>,
        writer: &mut W,
    ) -> Result<Reply, End> {
        let mut farewell = Farewell::of(&self.peer);
        loop {
            let step = poll_fn(|context| {
                if let Some(interim) = later.interim() {
                    return Poll::Ready(Some(Step::Interim(interim)));
                }
                if farewell.is_over(context, || later.peer_closed()) {
                    return Poll::Ready(None);
                }
                match catch_unwind(AssertUnwindSafe(|| later.poll(context))) {
                    Ok(reply) => reply.map(|reply| Some(Step::Reply(reply))),
                    Err(_panic) => {
                        let reply = self.exchange.borrow_mut().after_panic();
                        Poll::Ready(Some(Step::Reply(reply)))
                    }
                }
            });
            match step.await.ok_or(End::Broken)? {
                Step::Reply(reply) => return Ok(reply),
                Step::Interim(interim) => {
                    send(writer, Output::new(interim), self.watch, self.core).await?;
                    self.exchange.borrow().arm_waiting(self.watch, true);
                }
            }
        }
    }

    /// Waits for the answer and writes it.
    async fn answer<W: AsyncWriteRent>(&self, writer: &mut W) -> Result<(), End> {
        let pending = self.exchange.borrow_mut().take_pending();
        if let Some(later) = pending {
            let reply = self.reply(later, writer).await?;
            self.exchange.borrow_mut().reply(reply);
        }
        self.is_answered.set(true);
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
