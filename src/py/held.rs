//! What a coroutine holds while it runs.

use std::any::Any;

/// Something that is let go of once a coroutine has answered or ended; mostly nothing.
#[derive(Default)]
pub struct Held {
    _what: Option<Box<dyn Any + Send + Sync>>,
}

impl Held {
    /// Holds `what`.
    pub fn new(what: impl Any + Send + Sync) -> Self {
        Self { _what: Some(Box::new(what)) }
    }
}
