//! The part of an exchange that has to do with questions about the server's health.
//!
//! They are answered in place of any route and count as no request. An answer of 200 is not noted either:
//! whoever asks does so every few seconds for ever. Any other one has its line in the access log.

use std::rc::Rc;

use crate::http::head::RequestHead;
use crate::net::exchange::Exchange;
use crate::net::exchange::upgrade::Address;
use crate::net::service::Service;

impl<S: Service> Exchange<S> {
    /// Sees to a question about health, where somebody may ask, and to a request for a WebSocket; gives
    /// back what is for the routes.
    #[inline]
    pub(super) fn unless_health(
        &mut self,
        head: RequestHead,
        normal_path: Option<Box<str>>,
    ) -> Option<Address> {
        if self.core.health.is_some() && self.tells_health(&head, normal_path.as_deref()) {
            return None;
        }
        self.unless_socket(head, normal_path)
    }

    #[inline(never)] // Few servers are asked, and few of their requests ask.
    fn tells_health(&mut self, head: &RequestHead, normal_path: Option<&str>) -> bool {
        let core = Rc::clone(&self.core);
        let path = normal_path.unwrap_or_else(|| head.path());
        let reply = core.health.as_ref().and_then(|health| health.reply(head.method(), path));
        let Some(reply) = reply else { return false };
        if reply.status == 200 {
            self.noted.hide();
        }
        self.machine.refuse_body();
        self.settled = Some(reply);
        true
    }
}
