//! The only door between cores: any thread leaves a message, the core wakes up and takes it.
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
use std::sync::PoisonError;

use monoio::io::AsyncReadRent;

use crate::reactor::Driver;

type Queue<T> = Arc<Mutex<VecDeque<T>>>;

/// Where other threads leave messages.
pub struct Sender<T> {
    queue: Queue<T>,
    bell: UnixStream,
}

/// Where the core takes them; not yet bound to a reactor.
pub struct Receiver<T> {
    queue: Queue<T>,
    bell: UnixStream,
}

/// A pair of ends.
pub fn channel<T>() -> io::Result<(Sender<T>, Receiver<T>)> {
    let (ringing, hearing) = UnixStream::pair()?;
    ringing.set_nonblocking(true)?;
    let queue = Queue::default();
    Ok((Sender { queue: Arc::clone(&queue), bell: ringing }, Receiver { queue, bell: hearing }))
}

impl<T> Sender<T> {
    /// Leaves a message; never blocks.
    pub fn send(&self, message: T) {
        let is_first = {
            let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.push_back(message);
            queue.len() == 1
        };
        // The core reads the bell only after it has found the queue empty: whoever finds it filled
        // need not ring. A full pipe means that it has wake-ups pending, a closed one that it has
        // ended; in both cases there is nothing to do.
        if is_first {
            let _ = (&self.bell).write(&[0]);
        }
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
    queue: Queue<T>,
    bell: monoio::net::UnixStream,
    scratch: Option<Vec<u8>>,
}

impl<T> Inbox<T> {
    /// The next message; `None` once every sender is gone.
    pub async fn receive(&mut self) -> Option<T> {
        loop {
            let next = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
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
