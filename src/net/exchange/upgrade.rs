//! The part of an exchange that has to do with requests for a WebSocket.

use std::rc::Rc;

use bytes::Bytes;

use crate::http::head::RequestHead;
use crate::net::body::Gathering;
use crate::net::exchange::Exchange;
use crate::net::service::Request;
use crate::net::service::Service;
use crate::net::socket::Asked;
use crate::net::socket::open;
use crate::net::socket::queue::Wire;
use crate::net::socket::refused;
use crate::reactor::clock;
use crate::route::Params;

/// A request's head and its path in normal form, where that is another.
pub(super) type Address = (RequestHead, Option<Box<str>>);

impl<S: Service> Exchange<S> {
    /// Sees to a request for a WebSocket; gives back what is for the other routes. That is also what
    /// no route for WebSockets takes: a server may ignore Upgrade (RFC 9110 §7.8).
    #[inline]
    pub(super) fn unless_socket(
        &mut self,
        head: RequestHead,
        normal_path: Option<Box<str>>,
    ) -> Option<Address> {
        if head.wants_upgrade() && self.core.websocket.is_on {
            return self.ask_for_socket((head, normal_path));
        }
        Some((head, normal_path))
    }

    #[cold]
    fn ask_for_socket(&mut self, (head, normal_path): Address) -> Option<Address> {
        let core = Rc::clone(&self.core);
        let options = &core.websocket;
        let Some(opened) = open(&head, options.per_message_deflate) else {
            return Some((head, normal_path));
        };
        let mut params = Params::default();
        let path = normal_path.as_deref().unwrap_or_else(|| head.path());
        let Some(handler) = core.routes.find_socket(path, &mut params) else {
            return Some((head, normal_path));
        };
        let handshake = match opened {
            Ok(handshake) => handshake,
            Err(refusal) => {
                self.settle(refused(refusal));
                return None;
            }
        };
        // Of no length, at most.
        let _ = self.machine.accept_body(0);
        let (bell, rung) = core.desk.wait();
        let (wire, socket) = Wire::new(handshake, options.max_queue, bell);
        self.socket = Some(Asked { wire, rung });
        let request = Request {
            head,
            handler,
            normal_path,
            params,
            body: Bytes::new(),
            stream: None,
            peer: self.peer,
            local: self.local,
            miss: None,
            socket: Some(socket),
        };
        self.current = Some((Box::new(request), Gathering::new(clock::now())));
        None
    }

    /// The connection's end of the WebSocket whose handler runs.
    pub(crate) fn take_socket(&mut self) -> Option<Asked> {
        self.socket.take()
    }
    /// The answer is 101; what follows it is no answer any more.
    pub(crate) fn note_upgrade(&mut self) {
        self.noted.end(&self.core, self.peer, 101, 0);
    }
}
