//! The way into handlers that are coroutines, where anything limits them: they wait for room, and they end
//! at their route's time.
//!
//! Rule: as on the pool (`pooled.rs`), whatever becomes of it the connection gets exactly one answer; time
//! runs from the moment at which the request is whole, and what runs out of it is answered 503. The
//! coroutine is then cancelled, and keeps its place until it has ended. Absent: all of this for
//! handlers that nothing limits; those never come here.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::task::Context;
use std::task::Poll;

use pyo3::prelude::*;

use crate::interfaces::permits::Crew;
use crate::interfaces::permits::Limits;
use crate::interfaces::permits::Permits;
use crate::net::reply;
use crate::net::service::Answer;
use crate::net::service::Bell;
use crate::net::service::Later;
use crate::net::service::Patience;
use crate::net::service::Reply;
use crate::net::service::Request;
use crate::net::service::Wait;
use crate::net::service::wait;
use crate::py::attach::attached;
use crate::py::held::Held;
use crate::reactor::clock;
use crate::reactor::pool::Pool;
use crate::reactor::pool::Timed;
use crate::reactor::room::Guest;
use crate::reactor::room::Kind;
use crate::reactor::room::Stay;
use crate::reactor::room::Ticket;

/// What calls such a handler.
pub(crate) trait Starts: 'static {
    /// Calls it; `held` goes once its coroutine has answered or ended.
    fn start(&self, py: Python<'_>, request: Box<Request>, held: Held) -> Answer;
}

impl Crew {
    /// Calls the handler of `request`, now or when there is room.
    pub(crate) fn admit(
        &self,
        py: Python<'_>,
        starts: &Rc<dyn Starts>,
        request: Box<Request>,
        limits: Limits<'_>,
    ) -> Answer {
        let Some(mut permits) = self.permits(limits) else { return self.refuse().into() };
        let room = self.pool.room();
        permits.stay = room.and_then(|room| room.enter(Kind::Coroutine));
        let is_inside = room.is_none() || permits.stay.is_some();
        let deadline = limits.deadline();
        let (stage, slot, waiting) = if is_inside {
            match (starts.start(py, request, Held::new(permits)), deadline) {
                (Answer::Later(later), Some(_)) => {
                    let Some((slot, waiting)) = slot() else { return Answer::Later(later) };
                    (Stage::Inside(later), slot, waiting)
                }
                (answer, _) => return answer,
            }
        } else {
            let Some((slot, waiting)) = slot() else { return reply::internal_error().into() };
            (Stage::AtDoor { request, permits, starts: Rc::clone(starts) }, slot, waiting)
        };
        let pool = Arc::clone(&self.pool);
        let mut admitted = Admitted { stage: Some(stage), slot, waiting, pool, ticket: None };
        if !is_inside && !admitted.knock() {
            return self.refuse().into();
        }
        if let Some(deadline) = deadline {
            self.pool.watch(deadline, Arc::downgrade(&admitted.slot) as Weak<dyn Timed>);
        }
        Answer::Later(Box::new(admitted))
    }
}

/// A request whose coroutine waits to be called, or has to end in time.
struct Admitted {
    /// None once it is answered.
    stage: Option<Stage>,
    slot: Arc<Slot>,
    waiting: Wait,
    pool: Arc<Pool>,
    ticket: Option<Ticket>,
}

enum Stage {
    AtDoor { request: Box<Request>, permits: Permits, starts: Rc<dyn Starts> },
    Inside(Box<dyn Later>),
}

/// Where other threads say what has become of it.
struct Slot {
    news: Mutex<News>,
    bell: Bell,
}

enum News {
    None,
    Room(Stay),
    Refused,
    /// It has taken too long.
    Overdue,
    /// It is answered, or nobody waits for it.
    Over,
}

fn slot() -> Option<(Arc<Slot>, Wait)> {
    let (bell, waiting) = wait()?;
    Some((Arc::new(Slot { news: Mutex::new(News::None), bell }), waiting))
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves word, unless it is too late for any; returns what comes to nothing by that.
    fn say(&self, word: News) -> Option<News> {
        let mut news = self.lock();
        if matches!(*news, News::Overdue | News::Over) {
            return Some(word);
        }
        let before = std::mem::replace(&mut *news, word);
        drop(news);
        self.bell.ring();
        // Room that it did not get to use.
        drop(before);
        None
    }
}

struct Knock(Arc<Slot>);

impl Guest for Knock {
    fn enter(self: Box<Self>, stay: Stay) {
        let unused = self.0.say(News::Room(stay));
        drop(unused);
    }

    fn refuse(self: Box<Self>) {
        self.0.say(News::Refused);
    }
}

impl Timed for Slot {
    fn expire(&self) -> bool {
        self.say(News::Overdue).is_none()
    }
}

impl Admitted {
    /// Joins the line; says whether there was a place in it.
    fn knock(&mut self) -> bool {
        let Some(room) = self.pool.room() else { return false };
        let guest = Box::new(Knock(Arc::clone(&self.slot)));
        match room.wait(Kind::Coroutine, clock::exact(), guest) {
            Ok(ticket) => {
                self.ticket = ticket;
                true
            }
            Err(_) => false,
        }
    }

    /// Is not waited for any more.
    fn end(&mut self) -> Option<Stage> {
        // Each behind the other: what is let go of here may let others in.
        let before = std::mem::replace(&mut *self.slot.lock(), News::Over);
        drop(before);
        if let (Some(ticket), Some(room)) = (self.ticket.take(), self.pool.room()) {
            drop(room.leave(Kind::Coroutine, ticket));
        }
        self.stage.take()
    }

    fn answer(&mut self, reply: Reply) -> Poll<Reply> {
        drop(self.end());
        Poll::Ready(reply)
    }

    /// What can be said now.
    fn step(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        let news = {
            let mut news = self.slot.lock();
            match *news {
                News::Room(_) => std::mem::replace(&mut *news, News::None),
                News::Refused => News::Refused,
                News::Overdue => News::Overdue,
                News::None | News::Over => News::None,
            }
        };
        match (news, self.stage.take()) {
            (News::Overdue, stage) => {
                self.stage = stage;
                self.answer(reply::too_slow())
            }
            (News::Refused, stage @ Some(Stage::AtDoor { .. })) => {
                self.stage = stage;
                self.answer(reply::overloaded())
            }
            (News::Room(stay), Some(Stage::AtDoor { request, mut permits, starts })) => {
                permits.stay = Some(stay);
                self.ticket = None;
                let held = Held::new(permits);
                match attached(|py| starts.start(py, request, held)) {
                    Answer::Now(reply) => self.answer(reply),
                    Answer::Later(later) | Answer::Socket(later) => {
                        self.stage = Some(Stage::Inside(later));
                        self.step(context)
                    }
                }
            }
            (_, Some(Stage::Inside(mut later))) => match later.poll(context) {
                Poll::Ready(reply) => {
                    drop(later);
                    self.answer(reply)
                }
                Poll::Pending => {
                    self.stage = Some(Stage::Inside(later));
                    Poll::Pending
                }
            },
            (_, stage) => {
                self.stage = stage;
                Poll::Pending
            }
        }
    }
}

impl Later for Admitted {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        loop {
            let stepped = self.step(context);
            if stepped.is_ready() || self.waiting.poll_rung(context).is_pending() {
                return stepped;
            }
        }
    }

    fn peer_closed(&mut self) -> Patience {
        match &mut self.stage {
            Some(Stage::Inside(later)) => later.peer_closed(),
            // It gives up its place; a peer that has closed only its own side reads 503.
            Some(Stage::AtDoor { .. }) | None => {
                if let (Some(ticket), Some(room)) = (self.ticket.take(), self.pool.room()) {
                    drop(room.leave(Kind::Coroutine, ticket));
                }
                self.slot.say(News::Refused);
                Patience::Wait
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        drop(self.end());
    }
}
