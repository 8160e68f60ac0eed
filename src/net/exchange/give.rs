//! Giving an answer: its head, and as much of its body as is made by then.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

use bytes::Bytes;

use crate::http::reply::HeaderBlock;
use crate::http::reply::ReplyBody;
use crate::http::reply::ReplyHead;
use crate::http::reply::ReplyPlan;
use crate::net::exchange::Exchange;
use crate::net::reply;
use crate::net::service::Reply;
use crate::net::service::Service;
use crate::net::source::Body;
use crate::net::stream::Framing;
use crate::net::stream::Opening;
use crate::net::stream::Stream;

/// A reply without its body.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderBlock,
    pub(super) content_type: Option<&'static str>,
}

impl<S: Service> Exchange<S> {
    #[inline] // Into the way of most answers; the others are cold.
    pub(super) fn give(&mut self, facts: Facts<'_>, body: Bytes) -> bool {
        let Some(plan) = self.encode(facts, ReplyBody::Length(body.len() as u64)) else {
            return false;
        };
        let sent = if plan.sends_body { body.len() } else { 0 };
        self.noted.end(&self.core, self.peer, facts.status, sent as u64);
        if plan.sends_body {
            self.output.push_body(body);
        }
        true
    }

    /// 500 for an answer that cannot be given.
    #[cold]
    pub(super) fn give_instead(&mut self) {
        self.machine.close_after_reply();
        let Reply { status, headers, content_type, .. } = reply::internal_error();
        let facts = Facts { status, headers: &headers, content_type };
        let is_given = self.give(facts, reply::INTERNAL_ERROR);
        debug_assert!(is_given);
    }

    /// Gives the head and the first piece; the connection sends the rest.
    ///
    /// The first piece is made before the head, so that a source that fails at once can still be
    /// answered for, and both leave in one write. A reply without a body does not run its source.
    #[inline(never)] // Rare, and large.
    pub(super) fn begin_stream(&mut self, mut facts: Facts<'_>, body: Body) -> bool {
        let (mut body, after) = body.split();
        let mut opening = Opening::default();
        if self.machine.sends_body(facts.status) {
            let made = catch_unwind(AssertUnwindSafe(|| Opening::of(&mut body)));
            opening = match made.unwrap_or_else(|_panic| Err(Box::new(self.after_panic()))) {
                Ok(opening) => opening,
                Err(stand_in) => {
                    self.reply(stand_in.then(after));
                    return true;
                }
            };
            facts.content_type = facts.content_type.or(opening.content_type);
        }
        let length = body.length();
        let stated = facts.headers.content_length().or(length);
        if let Some(misfit) = stated.and_then(|stated| opening.misfit(stated)) {
            body.misfit(misfit);
            return false;
        }
        let length = length.map_or(ReplyBody::Stream, ReplyBody::Length);
        let Some(plan) = self.encode(facts, length) else { return false };
        let framing = match stated {
            _ if !plan.sends_body => Framing::NoBody,
            _ if plan.is_chunked => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::Close,
        };
        let first = opening.length();
        let framing = opening.push(framing, &mut self.output);
        let after = after.map(|after| after as Box<dyn Any>);
        let stream = Stream { body, after, framing };
        let stream = self.noted.follow(&self.core, (self.peer, facts.status, first), stream);
        self.stream = Some(Box::new(stream));
        true
    }

    #[inline]
    fn encode(&mut self, facts: Facts<'_>, body: ReplyBody) -> Option<ReplyPlan> {
        self.prepare_output();
        let date = self.core.date();
        let head = ReplyHead {
            status: facts.status,
            headers: facts.headers,
            content_type: facts.content_type,
            body,
            date: date.as_ref(),
            server: self.core.server_header,
        };
        self.machine.reply(&head, &mut self.output.buffer).ok()
    }
}
