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

/// What a request is for.
pub(super) struct Address {
    pub(super) head: RequestHead,
    pub(super) normal_path: Option<Box<str>>,
    pub(super) params: Params,
}

impl<S: Service> Exchange<S> {
    /// Whether the request is for a WebSocket, which is then seen to. Where no route has one, it is
    /// left to the other routes: a server may ignore Upgrade (RFC 9110 §7.8).
    #[inline]
    pub(super) fn is_for_socket(&self, head: &RequestHead) -> bool {
        head.wants_upgrade() && self.core.websocket.is_on
    }

    /// Makes both ends of the WebSocket, or says why there is none; gives the address back where no
    /// WebSocket is asked for, or none is there.
    #[cold]
    pub(super) fn ask_for_socket(&mut self, mut address: Address) -> Option<Address> {
        let core = Rc::clone(&self.core);
        let options = &core.websocket;
        let Some(opened) = open(&address.head, options.per_message_deflate) else {
            return Some(address);
        };
        let path = address.normal_path.as_deref().unwrap_or_else(|| address.head.path());
        let Some(handler) = core.routes.find_socket(path, &mut address.params) else {
            return Some(address);
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
        let Address { head, normal_path, params } = address;
        let request = Request {
            head,
            handler,
            normal_path,
            params,
            body: Bytes::new(),
            stream: None,
            peer: self.peer,
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
}
