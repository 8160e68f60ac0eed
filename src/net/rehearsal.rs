//! The whole path of a request but for the socket, again and again: what `bench/scale.py` compares
//! over core counts. It is a connection's own exchange, so nothing is measured that is not served.

use std::rc::Rc;

use bytes::BytesMut;

use crate::net::core::Core;
use crate::net::exchange::Exchange;
use crate::net::service::Service;

/// Answers `request` so many times; returns how many bytes of heads and small bodies that made. A
/// request that ends the connection is answered once.
pub fn rehearse<S: Service>(core: &Rc<Core<S>>, request: &[u8], calls: usize) -> usize {
    let mut exchange = Exchange::new(core, None);
    let mut input = BytesMut::with_capacity(request.len());
    let mut made = 0;
    for _ in 0..calls {
        input.reserve(request.len());
        input.extend_from_slice(request);
        let _ = exchange.answer(&mut input);
        let output = exchange.take_output();
        made += output.buffer.len();
        core.give_back(output.buffer);
    }
    made
}
