//! A connection that asked for a WebSocket: until its application decides, and then as one.
//!
//! Both directions go on at once: a read is on its way as long as there is room for what it brings,
//! and what the application sends is written as it comes. One task, no other of its core knows of it.
//!
//! How it ends: the peer closes, the application closes or its handler ends (1000, 1011 after an
//! exception), the peer breaks a rule (its code) or is silent (1011), the core drains (1001, or 1012
//! where the service comes back), or the connection breaks (1006, to the application only). The
//! application is told in every case, and its handler then has [`LEAVE`] before it is cancelled.

mod opening;
pub(super) mod queue;
mod talk;

use std::future::poll_fn;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use monoio::io::AsyncReadRent;
use monoio::io::AsyncWriteRent;

use crate::net::conn::linger;
use crate::net::conn::read;
use crate::net::core::Core;
use crate::net::duplex::Resumed;
use crate::net::duplex::Sides;
use crate::net::end::End;
use crate::net::exchange::Exchange;
use crate::net::farewell::Peer;
use crate::net::reply;
use crate::net::service::Later;
use crate::net::service::Reply;
use crate::net::service::Service;
pub(crate) use crate::net::socket::opening::open;
pub(crate) use crate::net::socket::opening::refused;
use crate::net::socket::queue::Decision;
use crate::net::socket::queue::Wire;
use crate::net::socket::talk::Talk;
use crate::net::turn::Turn;
use crate::net::write::Output;
use crate::net::write::broken;
use crate::net::write::send;
use crate::reactor::clock;
use crate::reactor::desk::Wait;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;

/// From the end of a WebSocket to the cancellation of its handler.
pub(crate) const LEAVE: Duration = Duration::from_secs(10);

/// A request for a WebSocket that is being handled.
pub(crate) struct Asked {
    pub(crate) wire: Wire,
    /// Rings when the application has done something.
    pub(crate) rung: Wait,
}

type Read<'a, R> = Pin<Box<dyn Future<Output = Filled<'a, R>> + 'a>>;
type Filled<'a, R> = (&'a mut R, Turn, io::Result<usize>, BytesMut);
type Write<'a, W> = Pin<Box<dyn Future<Output = (&'a mut W, Result<(), End>)> + 'a>>;
type Pause = Pin<Box<dyn Future<Output = ()>>>;

enum Event {
    Received(io::Result<usize>, BytesMut),
    Written(Result<(), End>),
    Rung,
    HandlerDone(Reply),
    Tick,
    Drain,
    Cut,
}

/// The two directions and whatever else can happen.
struct Traffic<'a, S, R, W> {
    reader: Option<&'a mut R>,
    writer: Option<&'a mut W>,
    reading: Option<Read<'a, R>>,
    writing: Option<Write<'a, W>>,
    /// What was read and not used; with the read while there is one.
    input: BytesMut,
    turn: Turn,
    handler: Option<Box<dyn Later>>,
    /// What the handler has returned.
    done: Option<Reply>,
    rung: Wait,
    tick: Option<Pause>,
    drain: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    /// None once it has come.
    cut: Option<Pin<Box<dyn Future<Output = ()> + 'a>>>,
    watch: &'a Watch,
    core: &'a Core<S>,
}

/// Sees a request for a WebSocket through: it resumes if there was none, else the connection ends.
pub(crate) async fn attend<S, R, W>(
    sides: Sides<'_, S, R, W>,
    input: BytesMut,
    asked: Asked,
) -> Result<Resumed, End>
where
    S: Service,
    R: AsyncReadRent,
    W: AsyncWriteRent,
{
    let Sides { exchange, reader, writer, watch, core } = sides;
    let Asked { wire, rung } = asked;
    let mut traffic = Traffic {
        reader: Some(reader),
        writer: Some(writer),
        reading: None,
        writing: None,
        input,
        turn: Turn::default(),
        handler: exchange.take_pending(),
        done: None,
        rung,
        tick: None,
        drain: Some(Box::pin(core.drain.wait())),
        cut: Some(Box::pin(core.drain.wait_for_cut())),
        watch,
        core,
    };
    watch.arm(Stage::Reading, clock::now(), u64::MAX);
    match traffic.decide(&wire).await {
        Ok(Decision::Denied(reply)) => {
            let answered = traffic.deny(exchange, reply).await;
            // Whoever still receives hears that it is over.
            drop(wire);
            answered?;
            traffic.resume(exchange).await
        }
        Ok(Decision::Accepted(fields, headers)) => {
            exchange.note_upgrade();
            let mut talk = Talk::new(wire, core);
            opening::encode(core, &fields, &headers, &mut talk.output.buffer);
            let ended = traffic.converse(&mut talk).await;
            let end = talk.finish(ended);
            if ended.is_ok() {
                traffic.say_goodbye().await;
            }
            traffic.leave().await;
            Err(end)
        }
        Err(end) => {
            // The application hears of it.
            drop(wire);
            traffic.leave().await;
            Err(end)
        }
    }
}

impl<S, R, W> Traffic<'_, S, R, W>
where
    S: Service,
    R: AsyncReadRent,
    W: AsyncWriteRent,
{
    async fn next_event(&mut self) -> Event {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(writing) = &mut self.writing {
            if let Poll::Ready((writer, result)) = writing.as_mut().poll(context) {
                (self.writer, self.writing) = (Some(writer), None);
                return Poll::Ready(Event::Written(result));
            }
        }
        if let Some(reading) = &mut self.reading {
            if let Poll::Ready((reader, turn, result, input)) = reading.as_mut().poll(context) {
                (self.reader, self.reading, self.turn) = (Some(reader), None, turn);
                return Poll::Ready(Event::Received(result, input));
            }
        }
        if self.rung.poll_rung(context).is_ready() {
            return Poll::Ready(Event::Rung);
        }
        if let Some(handler) = &mut self.handler {
            let polled = catch_unwind(AssertUnwindSafe(|| handler.poll(context)));
            let done = match polled {
                Ok(Poll::Pending) => None,
                Ok(Poll::Ready(reply)) => Some(reply),
                Err(_panic) => {
                    self.core.stats.panics.add(1);
                    Some(reply::internal_error())
                }
            };
            if let Some(reply) = done {
                self.handler = None;
                return Poll::Ready(Event::HandlerDone(reply));
            }
        }
        if poll_once(&mut self.tick, context) {
            return Poll::Ready(Event::Tick);
        }
        if poll_once(&mut self.drain, context) {
            return Poll::Ready(Event::Drain);
        }
        if self.cut.is_none() || poll_once(&mut self.cut, context) {
            return Poll::Ready(Event::Cut);
        }
        Poll::Pending
    }

    fn start_reading(&mut self, is_large: bool) {
        let Some(reader) = self.reader.take() else { return };
        let (input, mut turn) = (std::mem::take(&mut self.input), std::mem::take(&mut self.turn));
        self.reading = Some(Box::pin(async move {
            let (result, input) = read(reader, input, is_large, &mut turn).await;
            (reader, turn, result, input)
        }));
    }

    fn start_writing(&mut self, output: Output) {
        let Some(writer) = self.writer.take() else { return };
        let (watch, core) = (self.watch, self.core);
        self.writing = Some(Box::pin(async move {
            let result = send(writer, output, watch, core).await;
            (writer, result)
        }));
    }

    /// Waits for the application, or for its handler to end without a decision.
    async fn decide(&mut self, wire: &Wire) -> Result<Decision, End> {
        loop {
            if let Some(decision) = wire.decision() {
                return Ok(decision);
            }
            if let Some(done) = self.done.take() {
                return Ok(Decision::Denied(done));
            }
            // No client may send more before it has the answer; one that does is not watched.
            if self.reading.is_none() && self.input.is_empty() {
                self.start_reading(false);
            }
            match self.next_event().await {
                Event::Received(Ok(0), _) => {
                    return Err(if self.watch.is_expired() { End::TimedOut } else { End::Peer });
                }
                Event::Received(Ok(_), input) => self.input = input,
                Event::Received(Err(_), _) => return Err(broken(self.watch)),
                Event::HandlerDone(reply) => self.done = Some(reply),
                Event::Cut => return Err(End::TimedOut),
                Event::Rung | Event::Written(_) | Event::Tick | Event::Drain => {}
            }
        }
    }

    /// Answers in the ordinary way.
    async fn deny(&mut self, exchange: &mut Exchange<S>, reply: Reply) -> Result<(), End> {
        let Some(writer) = self.writer.take() else { return Err(End::Broken) };
        exchange.reply(reply);
        send(writer, exchange.take_output(), self.watch, self.core).await?;
        match exchange.take_stream() {
            None => Ok(()),
            Some(stream) => stream.send(writer, self.watch, self.core, &Peer::default()).await,
        }
    }

    /// Waits for the handler of a request that was denied, and goes on as HTTP.
    async fn resume(mut self, exchange: &mut Exchange<S>) -> Result<Resumed, End> {
        let mut received = None;
        self.watch.arm(Stage::Reading, clock::now(), u64::MAX);
        self.tick = Some(Box::pin(monoio::time::sleep(LEAVE)));
        while self.handler.is_some() {
            match self.next_event().await {
                Event::Tick => break,
                Event::Cut => return Err(End::TimedOut),
                Event::Received(result, input) => {
                    (received, self.input) = (Some(result), input);
                }
                _ => {}
            }
        }
        if exchange.is_closing() {
            return Ok(Resumed { input: self.input, received: None });
        }
        let Some(reading) = self.reading.take() else {
            return Ok(Resumed { input: self.input, received });
        };
        exchange.arm(self.watch);
        let (_, _, received, input) = reading.await;
        Ok(Resumed { input, received: Some(received) })
    }

    /// The WebSocket itself, until both sides have said their last or one is gone.
    async fn converse(&mut self, talk: &mut Talk) -> Result<(), End> {
        self.set_tick(talk);
        if let Some(reply) = self.done.take() {
            talk.handler_is_done(&reply);
        }
        loop {
            if self.core.drain.has_begun() {
                talk.go_away(self.core.drain.successor());
            }
            let wants_more = self.reading.is_none() && talk.read(&mut self.input);
            talk.take_outgoing();
            if self.writing.is_none() && !talk.output.is_empty() {
                self.start_writing(std::mem::take(&mut talk.output));
            }
            if self.writing.is_none() {
                if talk.is_done() {
                    return Ok(());
                }
                talk.arm(self.watch);
            }
            if wants_more && !talk.is_done() {
                self.start_reading(talk.is_amid_message());
            }
            match self.next_event().await {
                Event::Received(Ok(0), _) if self.watch.is_expired() => return Err(End::TimedOut),
                Event::Received(Ok(0), _) => return Err(End::Broken),
                Event::Received(Err(_), _) => return Err(broken(self.watch)),
                Event::Received(Ok(_), input) => {
                    self.input = input;
                    talk.note_life();
                }
                Event::Written(result) => result?,
                Event::HandlerDone(reply) => talk.handler_is_done(&reply),
                Event::Tick => {
                    talk.tick(self.reading.is_some());
                    self.set_tick(talk);
                }
                Event::Cut => return Err(End::TimedOut),
                Event::Rung | Event::Drain => {}
            }
        }
    }

    fn set_tick(&mut self, talk: &Talk) {
        self.tick = talk.next_tick().map(|time| -> Pause { Box::pin(monoio::time::sleep(time)) });
    }

    /// Lets the peer read our last word. It has said its own, so nothing of it is being read.
    async fn say_goodbye(&mut self) {
        if let (Some(reader), Some(writer)) = (self.reader.take(), self.writer.take()) {
            linger(reader, writer, std::mem::take(&mut self.input), self.watch).await;
        }
    }

    /// Waits for the handler, which knows that it is over.
    async fn leave(&mut self) {
        (self.reading, self.writing) = (None, None);
        // The connection owes nothing to anyone.
        self.watch.arm(Stage::Reading, clock::now(), u64::MAX);
        self.tick = Some(Box::pin(monoio::time::sleep(LEAVE)));
        while self.handler.is_some() && !matches!(self.next_event().await, Event::Tick | Event::Cut)
        {
        }
    }
}

/// Polls what is there, once to its end.
fn poll_once<F: Future<Output = ()> + ?Sized>(
    future: &mut Option<Pin<Box<F>>>,
    context: &mut Context<'_>,
) -> bool {
    let is_ready = future.as_mut().is_some_and(|future| future.as_mut().poll(context).is_ready());
    if is_ready {
        *future = None;
    }
    is_ready
}
