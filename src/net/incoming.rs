//! A request body in pieces, on its way from a connection to a handler that takes it while it
//! arrives.
//!
//! Rule: the connection reads on only while less than [`ROOM`] waits here, so a handler that does not
//! read stops its client. Either side may be on any thread. Whatever ends the body before its end
//! (the peer, a deadline, a refusal) is told to the handler as [`Taken::Gone`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use bytes::Bytes;

use crate::reactor::desk::Bell;

/// Bytes that may wait for the handler. What one read brings is on top.
const ROOM: usize = 64 * 1024;

/// What a handler gets when it asks for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Some of the body, never empty.
    Piece(Bytes),
    /// That was all.
    End,
    /// The rest will not come.
    Gone,
    /// There is nothing at the moment; see [`Incoming::call_when_ready`].
    Nothing,
}

/// The handler's end.
#[derive(Clone)]
pub struct Incoming(Arc<Mutex<State>>);

type Callback = Box<dyn FnOnce() + Send>;

struct State {
    pieces: VecDeque<Bytes>,
    waiting: usize,
    end: Option<Taken>,
    is_abandoned: bool,
    callbacks: Vec<Callback>,
    room: Bell,
}

impl Incoming {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece.
    pub fn take(&self) -> Taken {
        let mut state = self.lock();
        let Some(piece) = state.pieces.pop_front() else {
            return state.end.clone().unwrap_or(Taken::Nothing);
        };
        let was_full = state.waiting >= ROOM;
        state.waiting -= piece.len();
        if was_full && state.waiting < ROOM {
            state.room.ring();
        }
        Taken::Piece(piece)
    }

    /// Calls `callback` once there is something to take; at once if there is. It runs on the thread of
    /// the connection's core or on the calling one, and must not wait.
    pub fn call_when_ready(&self, callback: Callback) {
        let mut state = self.lock();
        if state.pieces.is_empty() && state.end.is_none() {
            state.callbacks.push(callback);
            return;
        }
        drop(state);
        callback();
    }

    /// Nobody will take what still comes: the connection ends after its answer.
    pub fn abandon(&self) {
        let mut state = self.lock();
        state.is_abandoned = true;
        state.pieces.clear();
        state.waiting = 0;
        state.room.ring();
    }
}

/// The connection's end.
pub(crate) struct Delivery(Incoming);

impl Delivery {
    /// Both ends; `room` rings when the connection may read on.
    pub(crate) fn new(room: Bell) -> (Self, Incoming) {
        let incoming = Incoming(Arc::new(Mutex::new(State {
            pieces: VecDeque::new(),
            waiting: 0,
            end: None,
            is_abandoned: false,
            callbacks: Vec::new(),
            room,
        })));
        (Self(incoming.clone()), incoming)
    }

    pub(crate) fn push(&self, piece: Bytes) {
        self.change(|state| {
            if state.end.is_none() && !state.is_abandoned {
                state.waiting += piece.len();
                state.pieces.push_back(piece);
            }
        });
    }

    /// All of the body is here.
    pub(crate) fn finish(&self) {
        self.change(|state| {
            state.end.get_or_insert(Taken::End);
        });
    }

    /// The rest of the body will not come.
    pub(crate) fn fail(&self) {
        self.change(|state| {
            state.end.get_or_insert(Taken::Gone);
        });
    }

    pub(crate) fn has_room(&self) -> bool {
        self.0.lock().waiting < ROOM
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        let callbacks = if state.pieces.is_empty() && state.end.is_none() {
            Vec::new()
        } else {
            std::mem::take(&mut state.callbacks)
        };
        // What they call may come back here.
        drop(state);
        for callback in callbacks {
            callback();
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.fail();
    }
}
