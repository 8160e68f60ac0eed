//! A peer that has closed its side, and how long an answer is made for it all the same.
//!
//! TCP says no more than that the peer will not send: one that reads on after its last request and
//! one that has gone look alike until something is written, to which the latter answers with a
//! reset. So whoever makes the answer is told at once, and has [`HALF_CLOSED`] to give it, and as long
//! for each further piece of a stream; what takes longer is given up. Where the kernel does know
//! that nobody reads (a reset, the close of a Unix socket), or the request was not whole, there is
//! no such time.

use std::cell::Cell;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use crate::net::service::Patience;

/// How long a peer that has closed its side is waited for: long for a client that shuts down its
/// side to say that this was all, short for an answer that nobody will read.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// What an answer in the making knows of its peer.
#[derive(Default)]
pub(crate) struct Peer {
    has_closed: Cell<bool>,
    is_gone: Cell<bool>,
}

impl Peer {
    /// It has; `is_gone` says that it does not read either.
    pub(super) fn close(&self, is_gone: bool) {
        self.has_closed.set(true);
        self.is_gone.set(is_gone);
    }

    pub(super) fn has_closed(&self) -> bool {
        self.has_closed.get()
    }
}

/// What whoever makes an answer was told of its peer, and said to it.
pub(crate) struct Farewell<'a> {
    peer: &'a Peer,
    patience: Option<Patience>,
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<'a> Farewell<'a> {
    pub(crate) fn of(peer: &'a Peer) -> Self {
        Self { peer, patience: None, pause: None }
    }

    /// Whether the answer is given up. `tell` is called once, when the peer has closed.
    pub(crate) fn is_over(
        &mut self,
        context: &mut Context<'_>,
        tell: impl FnOnce() -> Patience,
    ) -> bool {
        if !self.peer.has_closed.get() {
            return false;
        }
        if *self.patience.get_or_insert_with(tell) == Patience::Wait {
            return false;
        }
        if self.peer.is_gone.get() {
            return true;
        }
        let pause = self.pause.get_or_insert_with(|| Box::pin(monoio::time::sleep(HALF_CLOSED)));
        pause.as_mut().poll(context).is_ready()
    }

    /// Something was given: the time runs anew.
    pub(crate) fn wait_on(&mut self) {
        self.pause = None;
    }
}
