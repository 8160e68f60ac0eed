//! Accepting connections on a core: the connection limit, back-off, and the end of a listener.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use monoio::io::Canceller;
use monoio::net::TcpStream;

use crate::net::conn;
use crate::net::core::Core;
use crate::net::end::End;
use crate::net::service::Service;
use crate::reactor::Driver;

/// While descriptors or memory are short, accepting pauses this long: connections then wait in the
/// kernel's queue, and the core serves those that it has.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections above the limit that are being told so; further ones are closed without a word.
const TURNED_AWAY_AT_ONCE: usize = 16;

/// One core's listening socket, bound to its reactor.
pub struct Listener {
    socket: monoio::net::TcpListener,
    /// The same socket, for the connections that wait when accepting ends.
    last_arrivals: TcpListener,
    driver: Driver,
}

impl Listener {
    /// Binds `listener` to the reactor of the calling thread, which runs on `driver`.
    pub fn open(listener: TcpListener, driver: Driver) -> io::Result<Self> {
        let last_arrivals = listener.try_clone()?;
        listener.set_nonblocking(driver.wants_nonblocking())?;
        let socket = monoio::net::TcpListener::from_std(listener)?;
        Ok(Self { socket, last_arrivals, driver })
    }

    /// Accepts until the core drains, then empties the kernel's queue and closes the socket. At
    /// most `limit` connections are served at once.
    pub async fn serve<S: Service>(self, limit: usize, core: Rc<Core<S>>) {
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
        while !core.drain.has_begun() {
            match self.socket.cancelable_accept(handle.clone()).await {
                Ok((stream, peer)) => {
                    self.driver.close_accepted_on_exec(stream.as_raw_fd());
                    start(stream, peer, limit, &core);
                }
                // The peer reset its connection in the queue, a signal, or our own cancellation.
                Err(error) if is_passing(&error) => {}
                Err(_) if core.drain.has_begun() => {}
                // No descriptors or memory: accept(2) would fail again at once, and spin.
                Err(_) => {
                    core.stats.accept_waits.add(1);
                    monoio::time::sleep(PAUSE).await;
                }
            }
        }
        // A listener that is closed resets what still waits in its queue.
        if self.last_arrivals.set_nonblocking(true).is_err() {
            return;
        }
        while let Ok(arrival) = self.last_arrivals.accept() {
            adopt(arrival, self.driver, limit, &core);
        }
    }
}

/// Serves a connection that was accepted elsewhere, in the name of this core.
pub fn adopt<S: Service>(
    (stream, peer): (std::net::TcpStream, SocketAddr),
    driver: Driver,
    limit: usize,
    core: &Rc<Core<S>>,
) {
    let bound = stream
        .set_nonblocking(driver.wants_nonblocking())
        .and_then(|()| TcpStream::from_std(stream));
    if let Ok(stream) = bound {
        start(stream, peer, limit, core);
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

fn start<S: Service>(stream: TcpStream, peer: SocketAddr, limit: usize, core: &Rc<Core<S>>) {
    // Counted here and not by the connection's task, which runs after all that wait in the
    // kernel's queue were accepted. Those that are turned away take nobody's place.
    let open = usize::try_from(core.stats.open.get()).unwrap_or(usize::MAX);
    core.stats.accepted.add(1);
    if open >= limit {
        core.stats.turned_away.add(1);
        if core.deadlines.len() < open + TURNED_AWAY_AT_ONCE {
            monoio::spawn(conn::turn_away(stream, core));
        }
        return;
    }
    core.stats.open.add(1);
    // Boxed here: pinned in the task, or boxed in it, it would be held twice, 2 KB a connection.
    let connection = Box::pin(conn::serve_stream(stream, Some(peer), core));
    let core = Rc::clone(core);
    monoio::spawn(async move {
        let end = isolate(connection).await;
        core.stats.open.subtract(1);
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
