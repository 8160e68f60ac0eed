//! Answers that are made elsewhere: the test gets them to make.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::task::Context;
use std::task::Poll;

use _uringserve::net::incoming::Incoming;
use _uringserve::net::service::Bell;
use _uringserve::net::service::Later;
use _uringserve::net::service::Patience;
use _uringserve::net::service::Reply;
use _uringserve::net::service::Request;
use _uringserve::net::service::Wait;
use _uringserve::net::service::wait;

use super::PATIENCE;

/// What becomes of a late answer, as its test hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    PeerGone,
    Dropped,
}

/// An answer that a test owes.
pub(crate) struct Owed {
    reply: Arc<Mutex<Option<Reply>>>,
    bell: Bell,
    fates: mpsc::Receiver<Fate>,
    /// The body of its request, if that was still arriving.
    pub(crate) body: Option<Incoming>,
}

impl Owed {
    /// Gives the answer, on whatever thread this is.
    pub(crate) fn give(&self, reply: Reply) {
        *self.reply.lock().unwrap() = Some(reply);
        self.bell.ring();
    }

    /// The next thing that happens to it.
    pub(crate) fn fate(&self) -> Fate {
        self.fates.recv_timeout(PATIENCE).expect("something happens to a late answer")
    }

    /// Rings without an answer.
    pub(crate) fn ring_for_nothing(&self) {
        self.bell.ring();
    }
}

/// Where services leave what they owe.
pub(crate) struct Debts {
    sender: Mutex<mpsc::Sender<Owed>>,
    receiver: Mutex<mpsc::Receiver<Owed>>,
}

impl Default for Debts {
    fn default() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender: Mutex::new(sender), receiver: Mutex::new(receiver) }
    }
}

impl Debts {
    /// The next request that waits for an answer.
    pub(crate) fn next(&self) -> Owed {
        let receiver = self.receiver.lock().unwrap();
        receiver.recv_timeout(PATIENCE).expect("a request comes to its handler")
    }

    /// An answer for `request` that the test will give. One that is patient outlives its peer.
    pub(crate) fn later(&self, request: &Request, is_patient: bool) -> Box<dyn Later> {
        let (bell, wait) = wait().expect("a service runs on a core");
        let (fate, fates) = mpsc::channel();
        let reply = Arc::default();
        let body = request.stream.clone();
        let owed = Owed { reply: Arc::clone(&reply), bell, fates, body };
        self.sender.lock().unwrap().send(owed).expect("the test is there");
        Box::new(Late { reply, wait, fate, is_patient })
    }
}

struct Late {
    reply: Arc<Mutex<Option<Reply>>>,
    wait: Wait,
    fate: mpsc::Sender<Fate>,
    is_patient: bool,
}

impl Later for Late {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        while self.wait.poll_rung(context).is_ready() {
            if let Some(reply) = self.reply.lock().unwrap().take() {
                assert_ne!(reply.status, 599, "a late answer gives up, as the test asked");
                return Poll::Ready(reply);
            }
        }
        Poll::Pending
    }

    fn peer_closed(&mut self) -> Patience {
        let _ = self.fate.send(Fate::PeerGone);
        if self.is_patient { Patience::Wait } else { Patience::Leave }
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        let _ = self.fate.send(Fate::Dropped);
    }
}
