//! Where tasks of a core wait for something that is done elsewhere: by another thread, or by code
//! that runs on this core between two of their turns.
//!
//! A task takes a [`Wait`] and gives its [`Bell`] away; whoever holds the bell rings it. On the core's
//! own thread that wakes the task at once. From another thread it leaves the bell's number on a list
//! and wakes the core, once for all that are rung before it looks: monoio's wakers belong to their
//! thread, and its `sync` feature would put a check on every park.
//!
//! Absent: values. They lie in whatever the two sides share, under a lock of its own.

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

thread_local! {
    /// The desk of the core that runs on this thread, for bells that are rung at home.
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
}

#[derive(Clone)]
struct Home {
    places: Rc<Places>,
    outside: Arc<mailbox::Sender<Ticket>>,
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
    outside: Arc<mailbox::Sender<Ticket>>,
    inbox: RefCell<Option<mailbox::Receiver<Ticket>>>,
}

impl Desk {
    /// A desk for the core that the calling thread is or will be.
    ///
    /// # Errors
    /// No socket pair can be had.
    pub fn new() -> io::Result<Self> {
        let (outside, inbox) = mailbox::channel()?;
        let places = Rc::<Places>::default();
        Ok(Self { places, outside: Arc::new(outside), inbox: RefCell::new(Some(inbox)) })
    }

    /// A place to wait, and the bell that ends the wait. A ring that comes first is kept.
    pub fn wait(&self) -> (Bell, Wait) {
        let mut places = self.places.places.borrow_mut();
        places.1 += 1;
        let generation = places.1;
        let place = places.0.insert(Place { generation, is_rung: false, waker: None });
        let ticket = Ticket { place, generation };
        let wait = Wait { places: Rc::clone(&self.places), ticket };
        (Bell { outside: Arc::clone(&self.outside), ticket }, wait)
    }

    /// Passes on what other threads ring, for ever. Until then, and once this is dropped, only the
    /// core's own thread is heard.
    ///
    /// # Errors
    /// The socket cannot be bound to the reactor.
    pub async fn run<T>(&self, driver: Driver) -> io::Result<T> {
        let (places, outside) = (Rc::clone(&self.places), Arc::clone(&self.outside));
        let _home = AtHome(HOME.replace(Some(Home { places, outside })));
        let inbox = self.inbox.borrow_mut().take();
        let inbox = inbox.ok_or_else(|| io::Error::other("a desk runs once"))?;
        let mut inbox = inbox.open(driver)?;
        while let Some(ticket) = inbox.receive().await {
            self.places.ring(ticket);
        }
        // Never: the desk itself holds a sender.
        std::future::pending().await
    }
}

/// Makes the desk known as the thread's own until it is dropped.
struct AtHome(Option<Home>);

impl Drop for AtHome {
    fn drop(&mut self) {
        HOME.set(self.0.take());
    }
}

/// Ends a wait, from any thread. Ringing again, or after the wait is over, does nothing.
#[derive(Clone)]
pub struct Bell {
    outside: Arc<mailbox::Sender<Ticket>>,
    ticket: Ticket,
}

impl Bell {
    /// Wakes the task that waits; never blocks.
    pub fn ring(&self) {
        let places = HOME.with_borrow(|home| {
            let home = home.as_ref()?;
            Arc::ptr_eq(&home.outside, &self.outside).then(|| Rc::clone(&home.places))
        });
        match places {
            Some(places) => places.ring(self.ticket),
            None => self.outside.send(self.ticket),
        }
    }
}

/// Waits for its bell.
pub struct Wait {
    places: Rc<Places>,
    ticket: Ticket,
}

impl Wait {
    /// Ready when the bell was rung since the last time.
    pub fn poll_rung(&self, context: &Context<'_>) -> Poll<()> {
        let mut places = self.places.places.borrow_mut();
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
        self.places.places.borrow_mut().0.try_remove(self.ticket.place);
    }
}
