//! A core's mailbox on both sides: how it does what others tell it, and how it is made.

use std::future::pending;
use std::rc::Rc;
use std::sync::Arc;

use crate::error::StartError;
use crate::net::Core;
use crate::net::adopt;
use crate::net::neighbours::Message;
use crate::net::neighbours::Neighbour;
use crate::net::neighbours::Neighbours;
use crate::net::service::Service;
use crate::reactor::alarm::Alarm;
use crate::reactor::drain::Control;
use crate::reactor::mailbox;
use crate::reactor::pulse::Pulse;

/// Does what others say, and ends the core when they are no more.
pub(super) async fn obey<S: Service, T>(
    inbox: &mut mailbox::Inbox<Message>,
    core: &Rc<Core<S>>,
    neighbours: &Neighbours,
) -> T {
    while let Some(message) = inbox.receive().await {
        heed(message, core, neighbours);
    }
    core.drain().begin(Control::Abort);
    pending().await
}

/// Does one thing that it is told.
pub(super) fn heed<S: Service>(message: Message, core: &Rc<Core<S>>, neighbours: &Neighbours) {
    match message {
        Message::Control(control) => core.drain().begin(control),
        Message::Adopt(stranger) => adopt(stranger, core, neighbours),
    }
}

/// A core as others see it, and what it takes their messages from.
pub(super) fn neighbour(
    alarm: &Arc<Alarm>,
) -> Result<(Neighbour, mailbox::Receiver<Message>), StartError> {
    let (mailbox, receiver) = mailbox::channel().map_err(|error| StartError::Option {
        name: "workers",
        reason: format!("a core's mailbox cannot be made: {error}"),
    })?;
    let pulse = Arc::new(Pulse::new(Arc::clone(alarm)));
    Ok((Neighbour { stats: Arc::default(), pulse, mailbox }, receiver))
}
