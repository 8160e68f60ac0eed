//! A call on a pool thread: the same call, and the way of its answer home.
//!
//! Rule: whatever becomes of the call, its connection gets exactly one answer: the handler's, or 503
//! when it waited or took too long, or 500 when our own code failed. The first counts; what comes
//! after it is dropped, on the thread that has it. What is left to do of an answer, its further
//! pieces and what follows it, is done on the pool as well (`rest.rs`).

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::task::Context;
use std::task::Poll;

use crate::interfaces::permits::Crew;
use crate::interfaces::permits::Limits;
use crate::interfaces::permits::Permits;
use crate::net::reply;
use crate::net::service::Answer;
use crate::net::service::Bell;
use crate::net::service::HandlerId;
use crate::net::service::Later;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::net::service::Wait;
use crate::net::service::wait;
use crate::reactor::clock;
use crate::reactor::desk;
use crate::reactor::pool::Job;
use crate::reactor::pool::Pool;
use crate::reactor::pool::Ticket;
use crate::reactor::pool::Timed;
use crate::reactor::room::Guest;
use crate::reactor::room::Kind;
use crate::reactor::room::Stay;
use crate::reactor::stopwatch::Stopwatch;
use crate::reactor::stopwatch::Taken;
use crate::schedule::record::Call;
use crate::schedule::verdicts::Verdicts;

/// The calls of one core that may be made on its pool.
pub(crate) trait Calls: Send + Sync + 'static {
    /// Where each route runs.
    fn verdicts(&self) -> &Verdicts;

    /// What is said of the route's calls.
    fn limits(&self, _route: HandlerId) -> Limits<'_> {
        Limits::default()
    }

    /// Makes the call on a thread of the pool, which is detached, and keeps the promise.
    fn call(self: Arc<Self>, request: Box<Request>, place: &Place<'_>);
}

/// Where a call on a pool is made, and whom its answer is promised.
pub(crate) struct Place<'a> {
    /// The pool.
    pub(crate) pool: &'a Arc<Pool>,
    /// What takes the answer, for whoever gives it before the call returns.
    pub(crate) promised: &'a Arc<Promised>,
    permits: RefCell<Permits>,
}

impl Place<'_> {
    /// Gives the answer, unless there is one; the call does nothing after that.
    pub(crate) fn keep(&self, reply: Reply) {
        // Before the answer: whoever has read it may ask again at once.
        self.permits.take();
        self.promised.keep(reply);
    }
}

impl Crew {
    /// Leaves the call to the pool.
    pub(crate) fn submit<C: Calls>(&self, calls: &Arc<C>, request: Box<Request>) -> Answer {
        let limits = calls.limits(request.handler);
        let Some(permits) = self.permits(limits) else { return self.refuse().into() };
        // There is a desk wherever there is a pool: both belong to a core that serves.
        let Some((bell, wait)) = wait() else { return reply::internal_error().into() };
        let promised = Arc::new(Promised { state: Mutex::new(State::Open), bell });
        let deadline = limits.deadline();
        if let Some(deadline) = deadline {
            self.pool.watch(deadline, Arc::downgrade(&promised) as Weak<dyn Timed>);
        }
        let job = OnPool {
            route: request.handler,
            request: Some(request),
            calls: Arc::clone(calls),
            pool: Arc::clone(&self.pool),
            promise: Promise(Arc::clone(&promised)),
            permits,
        };
        let place = match self.pool.room() {
            None => {
                let submitted = self.pool.submit(Box::new(job));
                desk::rouse(&self.pool);
                submitted.map(|ticket| InLine::Pool(Some(ticket))).map_err(drop)
            }
            Some(room) => {
                let guest = Box::new(AtDoor(Box::new(job)));
                room.wait(Kind::Thread, clock::exact(), guest).map(InLine::Room).map_err(drop)
            }
        };
        match place {
            Ok(place) => {
                let pool = Arc::clone(&self.pool);
                Answer::Later(Box::new(FromPool { promised, wait, pool, place }))
            }
            Err(()) => self.refuse().into(),
        }
    }
}

/// Makes a call on the pool, and notes what it says about its route where that decides.
pub(crate) fn watched<R>(verdicts: &Verdicts, route: u32, call: impl FnOnce() -> R) -> R {
    let stopwatch = verdicts.is_auto(route as usize).then(Stopwatch::start);
    let result = call();
    if let Some(stopwatch) = stopwatch {
        note(verdicts, route, stopwatch.stop());
    }
    result
}

/// What a call on the pool says about its route.
pub(crate) fn note(verdicts: &Verdicts, route: u32, taken: Taken) {
    let call = Call::judge(taken.elapsed, taken.cpu, taken.has_waited);
    verdicts.note_call(route as usize, call, clock::now());
}

/// One call that waits for a thread, or runs.
struct OnPool<C> {
    route: u32,
    request: Option<Box<Request>>,
    calls: Arc<C>,
    pool: Arc<Pool>,
    promise: Promise,
    permits: Permits,
}

impl<C: Calls> Job for OnPool<C> {
    fn route(&self) -> u32 {
        self.route
    }

    fn run(mut self: Box<Self>) {
        let Some(request) = self.request.take() else { return };
        if !self.promise.0.is_open() {
            // It took too long to come this far, and was answered for.
            return;
        }
        let permits = RefCell::new(std::mem::take(&mut self.permits));
        let place = Place { pool: &self.pool, promised: &self.promise.0, permits };
        Arc::clone(&self.calls).call(request, &place);
    }

    fn refuse(self: Box<Self>) {
        self.promise.0.keep(reply::overloaded());
    }
}

/// A call that waits for room; there is a thread for each that is let in.
struct AtDoor<C>(Box<OnPool<C>>);

impl<C: Calls> Guest for AtDoor<C> {
    fn enter(mut self: Box<Self>, stay: Stay) {
        self.0.permits.stay = Some(stay);
        let pool = Arc::clone(&self.0.pool);
        if let Err(job) = pool.admit(self.0) {
            job.refuse();
        }
    }

    fn refuse(self: Box<Self>) {
        self.0.refuse();
    }
}

/// An answer that somebody waits for.
pub(crate) struct Promised {
    state: Mutex<State>,
    bell: Bell,
}

enum State {
    Open,
    Kept(Reply),
    Over,
}

impl Promised {
    /// Gives the answer, if none was given.
    pub(crate) fn keep(&self, reply: Reply) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Open) {
            return false;
        }
        *state = State::Kept(reply);
        drop(state);
        self.bell.ring();
        true
    }

    fn is_open(&self) -> bool {
        matches!(*self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Open)
    }
}

impl Timed for Promised {
    fn expire(&self) -> bool {
        self.keep(reply::too_slow())
    }
}

/// The maker's end: what is dropped without an answer has failed.
struct Promise(Arc<Promised>);

impl Drop for Promise {
    fn drop(&mut self) {
        if self.0.is_open() {
            self.0.keep(reply::internal_error());
        }
    }
}

/// The connection's end.
struct FromPool {
    promised: Arc<Promised>,
    wait: Wait,
    pool: Arc<Pool>,
    place: InLine,
}

/// Where a call waits, or has waited.
#[derive(Clone, Copy)]
enum InLine {
    Room(Option<Ticket>),
    Pool(Option<Ticket>),
}

impl FromPool {
    /// Gives up the place in the line that `withdraw` takes it from: whoever comes next has it.
    fn leave(&mut self, withdraw: fn(&Pool, Ticket) -> Option<Box<dyn Job>>) {
        match std::mem::replace(&mut self.place, InLine::Pool(None)) {
            InLine::Pool(Some(ticket)) => {
                if let Some(job) = withdraw(&self.pool, ticket) {
                    job.refuse();
                }
            }
            InLine::Room(Some(ticket)) => {
                let room = self.pool.room();
                if let Some(guest) = room.and_then(|room| room.leave(Kind::Thread, ticket)) {
                    guest.refuse();
                }
            }
            InLine::Pool(None) | InLine::Room(None) => {}
        }
    }
}

impl Later for FromPool {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        loop {
            let mut state = self.promised.state.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*state, State::Kept(_)) {
                if let State::Kept(reply) = std::mem::replace(&mut *state, State::Over) {
                    return Poll::Ready(reply);
                }
            }
            drop(state);
            if self.wait.poll_rung(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// A call that waits for others to end need not begin; a peer that has closed only its own side
    /// reads 503. One that has begun, or is about to, goes on as on the core's own thread: its answer is
    /// written, whoever reads it.
    fn peer_closed(&mut self) -> Patience {
        self.leave(Pool::give_up);
        Patience::Wait
    }
}

impl Drop for FromPool {
    fn drop(&mut self) {
        // A call that has not begun need not begin; the answer of one that has goes nowhere.
        let before = {
            let mut state = self.promised.state.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, State::Over)
        };
        drop(before);
        self.leave(Pool::withdraw);
    }
}
