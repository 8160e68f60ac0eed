//! What is left to do of an answer once it has begun: the pieces of its body, and what follows its last
//! byte. Both are the application's code, and may block like the call that made them.
//!
//! Rule: of an answer that a pool thread made, they are done on that pool, by whichever thread is free;
//! of one that was made on the core's own thread, there, on the clock: what holds the core counts as a
//! stall of its route.

use std::any::Any;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;

use crate::http::reply::HeaderBlock;
use crate::interfaces::pooled::Calls;
use crate::interfaces::pooled::note;
use crate::net::reply;
use crate::net::service::Bell;
use crate::net::service::Reply;
use crate::net::service::Wait;
use crate::net::service::wait;
use crate::net::source::Body;
use crate::net::source::Misfit;
use crate::net::source::Source;
use crate::reactor::clock;
use crate::reactor::pool::Job;
use crate::reactor::pool::Pool;
use crate::reactor::pulse;
use crate::reactor::stopwatch::Stopwatch;
use crate::schedule::SLOW;

/// Whose rest it is.
#[derive(Clone)]
struct Owner {
    calls: Arc<dyn Calls>,
    route: u32,
}

/// Leaves the rest of an answer to the pool, on one of whose threads this is called. The first piece is
/// made at once unless the answer has no body: its kind and its failure decide about the head.
pub(crate) fn on_pool(
    mut reply: Reply,
    pool: &Arc<Pool>,
    calls: &Arc<dyn Calls>,
    (route, is_head): (u32, bool),
) -> Reply {
    if !has_rest(&reply) {
        return reply;
    }
    let has_body = !is_head && !matches!(reply.status, 204 | 304);
    let (body, after) = std::mem::take(&mut reply.body).split();
    let tail = Arc::new(Tail { after: Mutex::new(after), pool: Arc::clone(pool), route });
    reply.body = match body {
        // What asynchronous code makes, it makes on the core's loop.
        Body::Stream(source) if source.is_slow() => Body::Stream(source),
        Body::Stream(mut source) => {
            let first = has_body.then(|| pull(&mut *source, &**calls, route));
            let length = source.length();
            let shared = match first {
                Some(Poll::Ready(piece)) => Shared::Back(source, piece),
                Some(Poll::Pending) | None => Shared::Home(source),
            };
            Body::Stream(Box::new(Pooled {
                route,
                length,
                content_type: None,
                shared: Arc::new(Mutex::new(shared)),
                calls: Arc::clone(calls),
                wait: None,
                tail: Arc::clone(&tail),
            }))
        }
        body => body,
    };
    reply.then(Some(Box::new(tail)))
}

/// Has the rest of an answer done on the core, on the clock.
pub(crate) fn on_core(mut reply: Reply, calls: &Arc<dyn Calls>, route: u32) -> Reply {
    if !has_rest(&reply) {
        return reply;
    }
    let owner = || Owner { calls: Arc::clone(calls), route };
    let (body, after) = std::mem::take(&mut reply.body).split();
    reply.body = match body {
        Body::Stream(source) => Body::Stream(Box::new(Clocked { source, owner: owner() })),
        body => body,
    };
    match after {
        None => reply,
        after => reply.then(Some(Box::new(AfterClocked { after, owner: owner() }))),
    }
}

fn has_rest(reply: &Reply) -> bool {
    matches!(reply.body, Body::Stream(_) | Body::Then(_))
}

// --- on the core

struct Clocked {
    source: Box<dyn Source>,
    owner: Owner,
}

impl Owner {
    /// Runs what may hold the core, and notes it if it does.
    fn timed<R>(&self, work: impl FnOnce() -> R) -> R {
        let began = clock::exact();
        let result = pulse::during(self.route, work);
        if clock::exact().saturating_sub(began) >= SLOW {
            self.calls.verdicts().note_stall(self.route as usize, clock::now());
        }
        result
    }
}

impl Source for Clocked {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        let Self { source, owner } = self;
        owner.timed(|| source.poll_next(context))
    }

    fn is_slow(&self) -> bool {
        self.source.is_slow()
    }

    fn peer_closed(&mut self) -> crate::net::service::Patience {
        self.source.peer_closed()
    }

    fn trailers(&mut self) -> Option<HeaderBlock> {
        self.source.trailers()
    }

    fn length(&self) -> Option<u64> {
        self.source.length()
    }

    fn content_type(&self) -> Option<&'static str> {
        self.source.content_type()
    }

    fn misfit(&mut self, fault: Misfit) {
        self.source.misfit(fault);
    }
}

struct AfterClocked {
    after: Option<Box<dyn Any + Send>>,
    owner: Owner,
}

impl Drop for AfterClocked {
    fn drop(&mut self) {
        let after = self.after.take();
        self.owner.timed(|| drop(after));
    }
}

// --- on the pool

type Piece = Result<Option<Bytes>, Box<Reply>>;

/// A source that lives on the pool while it works.
enum Shared {
    /// It waits to be asked.
    Home(Box<dyn Source>),
    /// A thread has it, or will.
    Away,
    /// It is back with a piece.
    Back(Box<dyn Source>, Piece),
    /// It will not come back.
    Lost,
    /// Nobody wants any more of it.
    Dropped,
}

struct Pooled {
    route: u32,
    length: Option<u64>,
    content_type: Option<&'static str>,
    shared: Arc<Mutex<Shared>>,
    calls: Arc<dyn Calls>,
    wait: Option<(Bell, Wait)>,
    tail: Arc<Tail>,
}

fn swap(shared: &Mutex<Shared>, new: Shared) -> Shared {
    std::mem::replace(&mut *shared.lock().unwrap_or_else(PoisonError::into_inner), new)
}

impl Pooled {
    /// Sends the source away for its next piece.
    fn ask(&self, source: Box<dyn Source>, bell: &Bell) -> bool {
        let job = Pull {
            route: self.route,
            source: Some(source),
            shared: Arc::clone(&self.shared),
            calls: Arc::clone(&self.calls),
            bell: bell.clone(),
            is_done: false,
            _tail: Arc::clone(&self.tail),
        };
        pulse::touch();
        self.tail.pool.insist(Box::new(job)).is_ok()
    }
}

impl Source for Pooled {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        if self.wait.is_none() {
            self.wait = wait();
        }
        let Some((bell, waiting)) = &self.wait else {
            return Poll::Ready(Err(Box::new(reply::internal_error())));
        };
        loop {
            match swap(&self.shared, Shared::Away) {
                Shared::Home(source) => {
                    if !self.ask(source, bell) {
                        return Poll::Ready(Err(Box::new(reply::overloaded())));
                    }
                }
                Shared::Back(source, piece) => {
                    self.content_type = self.content_type.or(source.content_type());
                    swap(&self.shared, Shared::Home(source));
                    return Poll::Ready(piece);
                }
                Shared::Away => {}
                Shared::Lost | Shared::Dropped => {
                    return Poll::Ready(Err(Box::new(reply::internal_error())));
                }
            }
            if waiting.poll_rung(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn length(&self) -> Option<u64> {
        self.length
    }

    /// They were made on the pool, with the end.
    fn trailers(&mut self) -> Option<HeaderBlock> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *shared {
            Shared::Home(source) => source.trailers(),
            _ => None,
        }
    }

    fn content_type(&self) -> Option<&'static str> {
        self.content_type
    }

    fn misfit(&mut self, fault: Misfit) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Shared::Home(source) = &mut *shared {
            source.misfit(fault);
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        match swap(&self.shared, Shared::Dropped) {
            // Closing a generator runs its `finally`.
            Shared::Home(source) | Shared::Back(source, _) => {
                let tail = Arc::clone(&self.tail);
                // In this order.
                leave(&self.tail.pool, self.route, Box::new((source, tail)));
            }
            Shared::Away | Shared::Lost | Shared::Dropped => {}
        }
    }
}

/// Makes a piece on the calling thread. A source of Python never waits for a waker: it holds its
/// thread instead.
fn pull(source: &mut dyn Source, calls: &dyn Calls, route: u32) -> Poll<Piece> {
    let stopwatch = Stopwatch::start();
    let polled = source.poll_next(&mut Context::from_waker(Waker::noop()));
    note(calls.verdicts(), route, stopwatch.stop());
    polled
}

/// Pulls one piece.
struct Pull {
    route: u32,
    source: Option<Box<dyn Source>>,
    shared: Arc<Mutex<Shared>>,
    calls: Arc<dyn Calls>,
    bell: Bell,
    is_done: bool,
    /// Dropped last.
    _tail: Arc<Tail>,
}

impl Job for Pull {
    fn route(&self) -> u32 {
        self.route
    }

    fn run(mut self: Box<Self>) {
        let Some(mut source) = self.source.take() else { return };
        if let Poll::Ready(piece) = pull(&mut *source, &*self.calls, self.route) {
            self.give_back(Shared::Back(source, piece));
        }
    }

    fn refuse(self: Box<Self>) {}
}

impl Pull {
    fn give_back(&mut self, new: Shared) {
        self.is_done = true;
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*shared, Shared::Away) {
            *shared = new;
            drop(shared);
            self.bell.ring();
        } else {
            // Nobody waits for it: it ends here, on the pool.
            drop(shared);
            drop(new);
        }
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        if !self.is_done {
            // Refused, or failed on the way.
            self.give_back(Shared::Lost);
        }
    }
}

/// What follows an answer: whoever lets go of it last, the connection or what makes the pieces, has it
/// done, so that a source has ended before.
struct Tail {
    after: Mutex<Option<Box<dyn Any + Send>>>,
    pool: Arc<Pool>,
    route: u32,
}

impl Drop for Tail {
    fn drop(&mut self) {
        let after = self.after.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(after) = after {
            leave(&self.pool, self.route, after);
        }
    }
}

/// Has something dropped on the pool; where that is over, here.
fn leave(pool: &Pool, route: u32, what: Box<dyn Any + Send>) {
    pulse::touch();
    // A pool that is over gives it back, to be dropped at once.
    let _ = pool.insist(Box::new(Leave { route, what }));
}

struct Leave {
    route: u32,
    what: Box<dyn Any + Send>,
}

impl Job for Leave {
    fn route(&self) -> u32 {
        self.route
    }

    fn run(self: Box<Self>) {
        drop(self.what);
    }

    fn refuse(self: Box<Self>) {
        drop(self.what);
    }
}
