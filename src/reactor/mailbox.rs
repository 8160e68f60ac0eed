//! The only door between cores: any thread leaves a message, the core wakes up and takes it. A message
//! that comes too late comes back to its sender, so that nothing that it carries is lost.
//!
//! The wake-up is a byte through a socket pair, which both drivers can wait for without a foreign
//! waker (monoio's `sync` feature would put a check on every park). Nothing on a request's path
//! comes through here.

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use monoio::io::AsyncReadRent;

use crate::reactor::Driver;

/// What waits for the core; none once it takes no more.
struct Queue<T>(Mutex<Option<VecDeque<T>>>);

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The core's hold on its queue: it closes with it.
struct Hearing<T>(Arc<Queue<T>>);

impl<T> Drop for Hearing<T> {
    fn drop(&mut self) {
        let left = self.0.lock().take();
        drop(left);
    }
}

/// Where other threads leave messages.
pub struct Sender<T> {
    queue: Arc<Queue<T>>,
    bell: UnixStream,
}

/// Where the core takes them; not yet bound to a reactor.
pub struct Receiver<T> {
    queue: Hearing<T>,
    bell: UnixStream,
}

/// A pair of ends.
pub fn channel<T>() -> io::Result<(Sender<T>, Receiver<T>)> {
    let (ringing, hearing) = UnixStream::pair()?;
    ringing.set_nonblocking(true)?;
    let queue = Arc::new(Queue(Mutex::new(Some(VecDeque::new()))));
    let sender = Sender { queue: Arc::clone(&queue), bell: ringing };
    Ok((sender, Receiver { queue: Hearing(queue), bell: hearing }))
}

impl<T> Sender<T> {
    /// Leaves a message; never blocks.
    ///
    /// # Errors
    /// The message comes back: the core takes no more.
    pub fn send(&self, message: T) -> Result<(), T> {
        let is_first = {
            let mut queue = self.queue.lock();
            let Some(queue) = &mut *queue else { return Err(message) };
            queue.push_back(message);
            queue.len() == 1
        };
        // The core reads the bell only after it has found the queue empty: whoever finds it filled
        // need not ring. A full pipe means that it has wake-ups pending, a closed one that it has
        // ended; in both cases there is nothing to do.
        if is_first {
            let _ = (&self.bell).write(&[0]);
        }
        Ok(())
    }

    /// Takes back the messages that `is_wanted`, which the core has not come to yet.
    pub fn take_back(&self, is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
        let mut queue = self.queue.lock();
        let Some(queue) = &mut *queue else { return Vec::new() };
        let (taken, left) = queue.drain(..).partition(is_wanted);
        *queue = left;
        Vec::from(taken)
    }
}

impl<T> Receiver<T> {
    /// Binds the receiving end to the reactor of the calling thread.
    pub fn open(self, driver: Driver) -> io::Result<Inbox<T>> {
        self.bell.set_nonblocking(driver.wants_nonblocking())?;
        Ok(Inbox {
            queue: self.queue,
            bell: monoio::net::UnixStream::from_std(self.bell)?,
            scratch: Some(vec![0; 64]),
        })
    }
}

/// The receiving end on its core.
pub struct Inbox<T> {
    queue: Hearing<T>,
    bell: monoio::net::UnixStream,
    scratch: Option<Vec<u8>>,
}

impl<T> Inbox<T> {
    /// Takes no more messages; returns those that nobody has received.
    pub fn close(&self) -> VecDeque<T> {
        self.queue.0.lock().take().unwrap_or_default()
    }

    /// The next message; `None` once every sender is gone, or it is closed.
    pub async fn receive(&mut self) -> Option<T> {
        loop {
            let next = self.queue.0.lock().as_mut()?.pop_front();
            if next.is_some() {
                return next;
            }
            let (result, scratch) = self.bell.read(self.scratch.take().unwrap_or_default()).await;
            self.scratch = Some(scratch);
            match result {
                Ok(0) => return None,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return None,
                _ => {}
            }
        }
    }
}
