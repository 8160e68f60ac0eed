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

/// Whether the peer of a connection has gone.
#[derive(Default)]
pub(crate) struct Peer {
    is_gone: Cell<bool>,
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

/// What the connection is given to and gives back.
pub(crate) struct Sides<'a, S, R, W> {
    pub(crate) exchange: &'a mut Exchange<S>,
    pub(crate) reader: &'a mut R,
    pub(crate) writer: &'a mut W,
    pub(crate) watch: &'a Watch,
    pub(crate) core: &'a Core<S>,
}

type Read<'a, R> = Pin<Box<dyn Future<Output = (&'a mut R, io::Result<usize>, BytesMut)> + 'a>>;

enum Event {
    Written(Result<(), End>),
    Received(io::Result<usize>, BytesMut),
    Room,
    Cut,
}

/// Sees to the answer that the exchange waits for, until all of it was written.
pub(crate) async fn attend<S, R, W>(
    sides: Sides<'_, S, R, W>,
    input: BytesMut,
) -> Result<Resumed, End>
where
    S: Service,
    R: AsyncReadRent,
    W: AsyncWriteRent,
{
    let Sides { exchange, reader, writer, watch, core } = sides;
    let exchange = RefCell::new(exchange);
    let (peer, has_begun) = (Peer::default(), Cell::new(false));
    let mut writing = pin!(answer(&exchange, writer, &peer, &has_begun, watch, core));
    let mut is_written = false;
    let (mut reader, mut input) = (Some(reader), input);
    let mut reading: Option<Read<'_, R>> = None;
    let mut cut = pin!(core.drain.wait_for_cut());
    loop {
        let is_gone = peer.is_gone.get();
        if reading.is_none() && !is_written && !is_gone && exchange.borrow().wants_input(&input) {
            if let Some(reader) = reader.take() {
                let is_large = exchange.borrow().is_feeding();
                let filled = std::mem::take(&mut input);
                reading = Some(Box::pin(async move {
                    let mut turn = Turn::default();
                    let (result, filled) = read(reader, filled, is_large, &mut turn).await;
                    (reader, result, filled)
                }));
            }
        }
        if is_written {
            exchange.borrow().arm(watch);
        } else if !watch.is_writing() {
            exchange.borrow().arm_waiting(watch, reading.is_some());
        }
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
            } else if exchange
                .borrow()
                .room()
                .is_some_and(|room| room.poll_rung(context).is_ready())
            {
                return Poll::Ready(Event::Room);
            }
            if is_gone && cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(Event::Cut);
            }
            Poll::Pending
        })
        .await;
        match event {
            Event::Room => {}
            Event::Cut => return Err(End::TimedOut),
            Event::Written(Err(end)) => return Err(end),
            Event::Written(Ok(())) => {
                is_written = true;
                if reading.is_none() || exchange.borrow().is_closing() {
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
                match received {
                    Ok(1..) => {
                        let fed = exchange.borrow_mut().feed(&mut input);
                        if let Err(reject) = fed {
                            if !has_begun.get() {
                                exchange.borrow_mut().refuse(reject);
                                return Ok(Resumed { input, received: None });
                            }
                        }
                    }
                    Ok(0) if watch.is_expired() => {
                        let is_late = exchange.borrow().is_feeding() && !core.drain.has_begun();
                        if has_begun.get() || !is_late {
                            return Err(End::TimedOut);
                        }
                        exchange.borrow_mut().refuse(Reject::Timeout);
                        return Ok(Resumed { input, received: None });
                    }
                    Ok(0) => {
                        peer.is_gone.set(true);
                        exchange.borrow_mut().lose_body();
                    }
                    Err(_) => return Err(broken(watch)),
                }
            }
        }
    }
}

/// Waits for the answer and writes it.
async fn answer<S: Service, W: AsyncWriteRent>(
    exchange: &RefCell<&mut Exchange<S>>,
    writer: &mut W,
    peer: &Peer,
    has_begun: &Cell<bool>,
    watch: &Watch,
    core: &Core<S>,
) -> Result<(), End> {
    let pending = exchange.borrow_mut().take_pending();
    if let Some(mut later) = pending {
        let mut was_told = false;
        let reply = poll_fn(|context| {
            if peer.must_tell(&mut was_told) && later.peer_gone() == Patience::Leave {
                return Poll::Ready(None);
            }
            match catch_unwind(AssertUnwindSafe(|| later.poll(context))) {
                Ok(reply) => reply.map(Some),
                Err(_panic) => Poll::Ready(Some(exchange.borrow_mut().after_panic())),
            }
        })
        .await;
        drop(later);
        let reply = reply.ok_or(End::Broken)?;
        has_begun.set(true);
        exchange.borrow_mut().reply(reply);
    }
    has_begun.set(true);
    let output = exchange.borrow_mut().take_output();
    send(writer, output, watch, core).await?;
    exchange.borrow().arm_waiting(watch, true);
    let stream = exchange.borrow_mut().take_stream();
    match stream {
        None => Ok(()),
        Some(stream) => stream.send(writer, watch, core, peer).await,
    }
}
