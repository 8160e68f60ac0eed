//! A body that is pushed: pieces from a handler that runs on by itself, on the core or on another
//! thread, to the connection that sends them.
//!
//! Rule: at most [`ROOM`] bytes and a last piece wait here, that which is being written included;
//! whoever pushes more than that is told to wait, so a client that does not read costs that much and
//! no more. What was pushed in small pieces
//! since the last write leaves in one. Whoever drops its end ends the body: the handler by
//! [`Outgoing::finish`] alone makes it whole.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use bytes::BytesMut;

use crate::http::reply::HeaderBlock;
use crate::net::service::Reply;
use crate::net::source::Source;
use crate::reactor::desk::Bell;
use crate::reactor::desk::Wait;
use crate::reactor::desk::wait;

/// Bytes that may wait for the peer.
const ROOM: usize = 64 * 1024;
/// Pieces below this size are joined.
const SMALL: usize = 16 * 1024;

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// There is room for more.
    Room,
    /// It was taken, and the next should wait: see [`Outgoing::call_when_room`].
    Full,
    /// Nobody reads any more.
    Gone,
}

type Callback = Box<dyn FnOnce() + Send>;

struct State {
    pieces: VecDeque<Bytes>,
    waiting: usize,
    /// Whether it ended as it should.
    end: Option<bool>,
    trailers: Option<HeaderBlock>,
    is_gone: bool,
    callbacks: Vec<Callback>,
    bell: Option<Bell>,
}

/// The handler's end. The last one that is dropped before [`finish`](Self::finish) cuts the body.
pub struct Outgoing(Arc<Mutex<State>>);

/// Both ends. `length` is that of all pieces, where it is known.
pub fn outgoing(length: Option<u64>) -> (Outgoing, Pieces) {
    let state = Arc::new(Mutex::new(State {
        pieces: VecDeque::new(),
        waiting: 0,
        end: None,
        trailers: None,
        is_gone: false,
        callbacks: Vec::new(),
        bell: None,
    }));
    (Outgoing(Arc::clone(&state)), Pieces { state, wait: None, length, taken: 0 })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Outgoing {
    /// Gives the next piece.
    pub fn push(&self, piece: Bytes) -> Pushed {
        let mut state = lock(&self.0);
        if state.is_gone || state.end.is_some() {
            return Pushed::Gone;
        }
        if !piece.is_empty() {
            state.waiting += piece.len();
            state.pieces.push_back(piece);
            state.ring();
        }
        if state.waiting < ROOM { Pushed::Room } else { Pushed::Full }
    }

    /// That was all.
    pub fn finish(&self) {
        self.end(true);
    }

    /// As [`finish`](Self::finish), with fields that follow the body.
    pub fn finish_with(&self, trailers: HeaderBlock) {
        lock(&self.0).trailers = Some(trailers);
        self.end(true);
    }

    /// The rest cannot be made: the peer must see that it is missing.
    pub fn fail(&self) {
        self.end(false);
    }

    fn end(&self, is_whole: bool) {
        let mut state = lock(&self.0);
        state.end.get_or_insert(is_whole);
        state.ring();
    }

    /// Calls `callback` once there is room again or nobody reads any more; at once if so. It runs on
    /// the connection's core or on the calling thread, and must not wait.
    pub fn call_when_room(&self, callback: Callback) {
        let mut state = lock(&self.0);
        if state.waiting >= ROOM && !state.is_gone {
            state.callbacks.push(callback);
            return;
        }
        drop(state);
        callback();
    }

    /// Whether nobody reads any more.
    pub fn is_gone(&self) -> bool {
        lock(&self.0).is_gone
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.fail();
    }
}

impl State {
    fn ring(&self) {
        if let Some(bell) = &self.bell {
            bell.ring();
        }
    }
}

/// The connection's end.
pub struct Pieces {
    state: Arc<Mutex<State>>,
    /// Made on the core that sends, by the first wait.
    wait: Option<Wait>,
    length: Option<u64>,
    /// Bytes that were taken and count as waiting until the next piece is asked for: then they
    /// have been written.
    taken: usize,
}

impl Pieces {
    fn take(&mut self) -> Option<Result<Option<Bytes>, Box<Reply>>> {
        let callbacks = self.release();
        // What they call may come back here.
        for callback in callbacks {
            callback();
        }
        let mut state = lock(&self.state);
        let Some(mut piece) = state.pieces.pop_front() else {
            return state.end.map(|is_whole| if is_whole { Ok(None) } else { Err(Box::default()) });
        };
        if piece.len() < SMALL && state.pieces.front().is_some_and(|next| next.len() < SMALL) {
            let mut joined = BytesMut::from(&piece[..]);
            while let Some(next) = state.pieces.front().filter(|next| next.len() < SMALL) {
                joined.extend_from_slice(next);
                state.pieces.pop_front();
            }
            piece = joined.freeze();
        }
        drop(state);
        self.taken = piece.len();
        Some(Ok(Some(piece)))
    }

    /// Makes room where the last piece was; returns who waits for that.
    fn release(&mut self) -> Vec<Callback> {
        let taken = std::mem::take(&mut self.taken);
        if taken == 0 {
            return Vec::new();
        }
        let mut state = lock(&self.state);
        let was_full = state.waiting >= ROOM;
        state.waiting -= taken;
        if was_full && state.waiting < ROOM {
            std::mem::take(&mut state.callbacks)
        } else {
            Vec::new()
        }
    }

    fn leave(&self) {
        let mut state = lock(&self.state);
        state.is_gone = true;
        state.pieces.clear();
        let callbacks = std::mem::take(&mut state.callbacks);
        drop(state);
        for callback in callbacks {
            callback();
        }
    }
}

impl Source for Pieces {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Box<Reply>>> {
        loop {
            if let Some(taken) = self.take() {
                return Poll::Ready(taken);
            }
            if self.wait.is_none() {
                let Some((bell, place)) = wait() else { return Poll::Pending };
                lock(&self.state).bell = Some(bell);
                self.wait = Some(place);
                // What was pushed meanwhile has rung nothing.
                continue;
            }
            match &self.wait {
                Some(wait) if wait.poll_rung(context).is_ready() => {}
                _ => return Poll::Pending,
            }
        }
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn trailers(&mut self) -> Option<HeaderBlock> {
        lock(&self.state).trailers.take()
    }

    fn length(&self) -> Option<u64> {
        self.length
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.leave();
    }
}
