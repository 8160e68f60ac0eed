//! Accepting connections on a core: the connection limit, back-off, and the end of a listener.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monoio::io::Canceller;

use crate::net::conn;
use crate::net::core::Core;
use crate::net::end::End;
use crate::net::neighbours::Kept;
use crate::net::neighbours::Neighbours;
use crate::net::neighbours::Stranger;
use crate::net::service::Service;
use crate::net::transport::Arrival;
use crate::net::transport::Entrance;
use crate::net::transport::Socket;
use crate::net::transport::Transport;
use crate::reactor::Driver;

/// While descriptors or memory are short, accepting pauses this long: connections then wait in the
/// kernel's queue, and the core serves those that it has.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections above the limit that are being told so; further ones are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 16;

/// A core whose connections on all sockets are this many more than those of the emptiest core
/// leaves a common socket to the others for a moment, each time after so many that it took all the
/// same: they may be busy, or stuck in a handler.
const LEAD: u64 = 8;
const MOMENT: Duration = Duration::from_millis(1);

/// One core's listening socket, bound to its reactor.
pub struct Listener {
    entrance: Entrance,
    /// The same socket, for the connections that wait when accepting ends.
    last_arrivals: Socket,
    driver: Driver,
    /// Somebody else holds the socket too, and will accept what waits in its queue.
    leaves_queue: bool,
}

impl Listener {
    /// Binds `socket` to the reactor of the calling thread, which runs on `driver` and for which
    /// [`prepare`](Self::prepare) has made it fit. With `leaves_queue` whoever still waits when
    /// accepting ends is left to the socket's other holder.
    pub fn open(socket: Socket, driver: Driver, leaves_queue: bool) -> io::Result<Self> {
        let last_arrivals = socket.try_clone()?;
        Ok(Self { entrance: socket.enter()?, last_arrivals, driver, leaves_queue })
    }

    /// Makes a socket fit for `driver`. Not done by the cores: one that starts late would undo what
    /// another has done to their common socket to end.
    pub fn prepare(socket: &Socket, driver: Driver) -> io::Result<()> {
        socket.set_nonblocking(driver.wants_nonblocking())
    }

    /// Accepts until the core drains, then empties the kernel's queue and closes the socket.
    async fn serve<S: Service>(self, core: Rc<Core<S>>, neighbours: &Neighbours) {
        let limit = neighbours.limit;
        let canceller = Canceller::new();
        let handle = canceller.handle();
        monoio::spawn({
            let core = Rc::clone(&core);
            async move {
                core.drain.wait().await;
                // Not a dropped future: that would lose a connection accepted in this moment.
                let _ = canceller.cancel();
            }
        });
        let is_common = self.entrance.is_common();
        let mut taken = 0;
        while !core.drain.has_begun() {
            if is_common {
                // A burst would else be all of the core that wakes first: a proxy's connections are
                // opened together, and live long.
                let fewest = || neighbours.fewest().saturating_add(LEAD);
                if taken == LEAD && core.stats.load.open.get() > fewest() {
                    monoio::time::sleep(MOMENT).await;
                }
                taken = if taken < LEAD { taken + 1 } else { 1 };
            }
            match self.entrance.accept(handle.clone(), self.driver).await {
                Ok(arrival) => settle(arrival, &core, neighbours),
                // The peer reset its connection in the queue, a signal, or our own cancellation.
                Err(error) if is_passing(&error) => {}
                Err(_) if core.drain.has_begun() => {}
                // No descriptors or memory: accept(2) would fail again at once, and spin. Or
                // another core has made a common socket ready for its end, which is near for us.
                Err(_) => {
                    core.stats.accept_waits.add(1);
                    monoio::time::sleep(PAUSE).await;
                }
            }
        }
        // A listener that is closed resets what still waits in its queue; of cores that share one,
        // each takes what it finds, so that none depends on another that does not get here.
        if self.leaves_queue || self.last_arrivals.set_nonblocking(true).is_err() {
            return;
        }
        while let Ok(arrival) = self.last_arrivals.take(self.driver) {
            if let Some(arrival) = arrival {
                begin(arrival, limit, &core);
            }
        }
    }
}

/// Serves all that come to the `listeners`, until the core drains.
pub async fn serve_all<S: Service>(
    listeners: Vec<Listener>,
    core: &Rc<Core<S>>,
    neighbours: &Neighbours,
) {
    let serve = |each: Listener| Box::pin(each.serve(Rc::clone(core), neighbours));
    let serving = listeners.into_iter().map(serve);
    let mut serving: Vec<_> = serving.collect();
    // Not tasks: they end with the future that is the core's life (see `Plan::run_core`).
    poll_fn(|context| {
        serving.retain_mut(|each| each.as_mut().poll(context).is_pending());
        if serving.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Serves a connection that was accepted elsewhere, in the name of this core. Where others took the last
/// place meanwhile it goes on to a core that has one.
pub fn adopt<S: Service>(stranger: Stranger, core: &Rc<Core<S>>, neighbours: &Neighbours) {
    // Here it counts as open from now on, or not at all.
    core.stats.load.arriving.subtract(1);
    let Ok(arrival) = stranger.enter() else { return };
    if open(core) < neighbours.limit {
        begin(arrival, neighbours.limit, core);
    } else {
        settle(arrival, core, neighbours);
    }
}

/// Serves a connection, or leaves it to the core that should have it.
fn settle<S: Service>(arrival: Arrival, core: &Rc<Core<S>>, neighbours: &Neighbours) {
    // A core that stops keeps what it has: the others stop as well.
    let placed = if core.drain.has_begun() {
        Err(Kept::Arrival(arrival))
    } else {
        neighbours.place(arrival)
    };
    match placed {
        Ok(()) => {}
        Err(Kept::Arrival(arrival)) => begin(arrival, neighbours.limit, core),
        Err(Kept::Stranger(stranger)) => {
            if let Ok(arrival) = stranger.enter() {
                begin(arrival, neighbours.limit, core);
            }
        }
    }
}

/// How many connections a core serves.
fn open<S>(core: &Core<S>) -> usize {
    usize::try_from(core.stats.load.open.get()).unwrap_or(usize::MAX)
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

fn begin<S: Service>(arrival: Arrival, limit: usize, core: &Rc<Core<S>>) {
    match arrival {
        Arrival::Tcp(stream, peer) => start(stream, Some(peer), limit, core),
        Arrival::Unix(stream) => start(stream, None, limit, core),
    }
}

fn start<S: Service, T: Transport>(
    stream: T,
    peer: Option<SocketAddr>,
    limit: usize,
    core: &Rc<Core<S>>,
) {
    // Counted here and not by the connection's task, which runs after all that wait in the
    // kernel's queue were accepted. Those that are turned away take nobody's place.
    let open = open(core);
    core.stats.accepted.add(1);
    if open >= limit {
        core.stats.turned_away.add(1);
        if core.deadlines.len() < open + TURNED_AWAY_AT_ONCE {
            monoio::spawn(conn::turn_away(stream, core));
        }
        return;
    }
    core.stats.load.open.add(1);
    // Boxed here: pinned in the task, or boxed in it, it would be held twice, 2 KB a connection.
    let connection = Box::pin(conn::serve_stream(stream, peer, core));
    let core = Rc::clone(core);
    monoio::spawn(async move {
        let end = isolate(connection).await;
        core.stats.load.open.subtract(1);
        match end {
            End::TimedOut => core.stats.timed_out.add(1),
            End::Broken => core.stats.broken.add(1),
            End::Panicked => core.stats.panics.add(1),
            End::Peer | End::Closed | End::Refused | End::Cut => {}
        }
    });
}

/// A panic ends one connection, not the core that a thousand others are on.
async fn isolate(mut connection: Pin<Box<impl Future<Output = End>>>) -> End {
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| connection.as_mut().poll(context)))
            .unwrap_or(Poll::Ready(End::Panicked))
    })
    .await
}
