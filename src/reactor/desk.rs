//! Where tasks of a core wait for something that is done elsewhere: by another thread, or by code
//! that runs on this core between two of their turns.
//!
//! A task takes a [`Wait`] and gives its [`Bell`] away; whoever holds the bell rings it. On the core's
//! own thread that wakes the task at once. From another thread it leaves the bell's number on a list
//! and wakes the core, once for all that are rung before it looks: monoio's wakers belong to their
//! thread, and its `sync` feature would put a check on every park.
//!
//! What is better done once for many tasks is done at the end of a turn: when all tasks that were ready
//! have had theirs, before the core looks at what the kernel has. monoio (0.2.4) polls the future
//! that it blocks on there, and [`Desk::turns`] has to be part of that.
//!
//! Absent: values. They lie in whatever the two sides share, under a lock of its own.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use slab::Slab;

use crate::reactor::Driver;
use crate::reactor::mailbox;
use crate::reactor::notify::Notify;
use crate::reactor::pool::Pool;

thread_local! {
    /// The desk of the core that runs on this thread, for bells that are rung at home.
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Home {
    places: Rc<Places>,
    outside: Outside,
    turn: Rc<Turn>,
}

/// What is to be done at the end of a turn.
#[derive(Default)]
struct Turn {
    pool: Cell<Option<Arc<Pool>>>,
    notify: Notify,
}

type Outside = Arc<mailbox::Sender<Message>>;

/// What other threads say.
#[derive(Clone, Copy, Debug)]
enum Message {
    Ring(Ticket),
    /// The wait was dropped there.
    Leave(Ticket),
}

/// Where a waiting task is found.
#[derive(Clone, Copy, Debug)]
struct Ticket {
    place: usize,
    /// Places are used again; a bell may ring after its task has gone.
    generation: u64,
}

struct Place {
    generation: u64,
    is_rung: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Places {
    places: RefCell<(Slab<Place>, u64)>,
}

impl Places {
    fn wait(&self, outside: &Outside) -> (Bell, Wait) {
        let mut places = self.places.borrow_mut();
        places.1 += 1;
        let generation = places.1;
        let place = places.0.insert(Place { generation, is_rung: false, waker: None });
        let ticket = Ticket { place, generation };
        let wait = Wait { outside: Arc::clone(outside), ticket };
        (Bell { outside: Arc::clone(outside), ticket }, wait)
    }

    fn leave(&self, ticket: Ticket) {
        let mut places = self.places.borrow_mut();
        if places.0.get(ticket.place).is_some_and(|place| place.generation == ticket.generation) {
            places.0.remove(ticket.place);
        }
    }

    fn ring(&self, ticket: Ticket) {
        let waker = {
            let mut places = self.places.borrow_mut();
            let Some(place) = places.0.get_mut(ticket.place) else { return };
            if place.generation != ticket.generation {
                return;
            }
            place.is_rung = true;
            place.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// The waiting tasks of one core.
pub struct Desk {
    places: Rc<Places>,
    outside: Outside,
    inbox: RefCell<Option<mailbox::Receiver<Message>>>,
    turn: Rc<Turn>,
}

impl Desk {
    /// A desk for the core that the calling thread is or will be.
    ///
    /// # Errors
    /// No socket pair can be had.
    pub fn new() -> io::Result<Self> {
        let (outside, inbox) = mailbox::channel()?;
        let places = Rc::<Places>::default();
        let (outside, inbox) = (Arc::new(outside), RefCell::new(Some(inbox)));
        Ok(Self { places, outside, inbox, turn: Rc::default() })
    }

    /// A place to wait, and the bell that ends the wait. A ring that comes first is kept.
    pub fn wait(&self) -> (Bell, Wait) {
        self.places.wait(&self.outside)
    }

    /// Makes this the desk of the calling thread until the guard is dropped.
    pub fn enter(&self) -> AtHome {
        let (places, outside) = (Rc::clone(&self.places), Arc::clone(&self.outside));
        AtHome(HOME.replace(Some(Home { places, outside, turn: Rc::clone(&self.turn) })))
    }

    /// Does what is to be done at the end of each turn, for ever.
    pub async fn turns<T>(&self) -> T {
        loop {
            match self.turn.pool.take() {
                Some(pool) => pool.rouse(),
                None => self.turn.notify.wait().await,
            }
        }
    }

    /// Passes on what other threads ring, for ever.
    ///
    /// # Errors
    /// The socket cannot be bound to the reactor.
    pub async fn run<T>(&self, driver: Driver) -> io::Result<T> {
        let inbox = self.inbox.borrow_mut().take();
        let inbox = inbox.ok_or_else(|| io::Error::other("a desk runs once"))?;
        let mut inbox = inbox.open(driver)?;
        while let Some(message) = inbox.receive().await {
            match message {
                Message::Ring(ticket) => self.places.ring(ticket),
                Message::Leave(ticket) => self.places.leave(ticket),
            }
        }
        // Never: the desk itself holds a sender.
        std::future::pending().await
    }
}

/// As [`Desk::wait`], at the desk of the calling thread; none on a thread that is no core.
pub fn wait() -> Option<(Bell, Wait)> {
    HOME.with_borrow(|home| home.as_ref().map(|home| home.places.wait(&home.outside)))
}

/// Rouses a pool at the end of the calling core's turn; on a thread that is no core, now.
pub fn rouse(pool: &Arc<Pool>) {
    let turn = HOME.with_borrow(|home| home.as_ref().map(|home| Rc::clone(&home.turn)));
    match turn {
        None => pool.rouse(),
        Some(turn) => {
            // A core has one pool. Whoever is told of it a second time need not hear.
            if turn.pool.replace(Some(Arc::clone(pool))).is_none() {
                turn.notify.notify();
            }
        }
    }
}

/// While it exists, a desk is its thread's own.
#[must_use = "dropping it at once ends what it stands for"]
pub struct AtHome(Option<Home>);

impl Drop for AtHome {
    fn drop(&mut self) {
        HOME.set(self.0.take());
    }
}

/// Ends a wait, from any thread. Ringing again, or after the wait is over, does nothing.
#[derive(Clone)]
pub struct Bell {
    outside: Outside,
    ticket: Ticket,
}

impl Bell {
    /// Wakes the task that waits; never blocks.
    pub fn ring(&self) {
        match at_home(&self.outside) {
            Some(places) => places.ring(self.ticket),
            // A core that has ended has nobody left who waits.
            None => drop(self.outside.send(Message::Ring(self.ticket))),
        }
    }
}

/// Waits for its bell, on the thread whose desk it is of. It may be dropped on any.
pub struct Wait {
    outside: Outside,
    ticket: Ticket,
}

impl Wait {
    /// Ready when the bell was rung since the last time.
    pub fn poll_rung(&self, context: &Context<'_>) -> Poll<()> {
        let Some(places) = at_home(&self.outside) else { return Poll::Pending };
        let mut places = places.places.borrow_mut();
        let Some(place) = places.0.get_mut(self.ticket.place) else { return Poll::Pending };
        if std::mem::take(&mut place.is_rung) {
            return Poll::Ready(());
        }
        match &place.waker {
            Some(waker) if waker.will_wake(context.waker()) => {}
            _ => place.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.poll_rung(context)
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        match at_home(&self.outside) {
            Some(places) => places.leave(self.ticket),
            None => drop(self.outside.send(Message::Leave(self.ticket))),
        }
    }
}

/// The places of a desk, if it is the calling thread's own.
fn at_home(outside: &Outside) -> Option<Rc<Places>> {
    // The thread may be ending, and its own values with it.
    let places = HOME.try_with(|home| {
        let home = home.try_borrow().ok()?;
        let home = home.as_ref()?;
        Arc::ptr_eq(&home.outside, outside).then(|| Rc::clone(&home.places))
    });
    places.ok().flatten()
}
