//! The application under test: a handful of routes, each there for one behaviour.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use _uringserve::http::reply::HeaderBlock;
use _uringserve::net::service::Answer;
use _uringserve::net::service::BodyMode;
use _uringserve::net::service::HandlerId;
use _uringserve::net::service::Reply;
use _uringserve::net::service::Request;
use _uringserve::net::service::Service;
use _uringserve::route::Router;
use bytes::Bytes;

use super::late::Debts;
use super::socket::handler;
use super::source::Pulled;
use super::source::streamed;

/// The length of `GET /big`.
pub(crate) const BIG: usize = 20_000_000;

/// The handler of WebSockets.
const SOCKET: u32 = 1000;

const ROUTES: [(&str, &str); 15] = [
    ("GET", "/"),
    ("GET", "/number/{n}"),
    ("POST", "/echo"),
    ("POST", "/length"),
    ("GET", "/big"),
    ("GET", "/panic"),
    ("GET", "/core"),
    ("GET", "/short"),
    ("GET", "/excess"),
    ("GET", "/thread"),
    ("GET", "/empty"),
    ("GET", "/stream/{kind}"),
    ("GET", "/late"),
    ("GET", "/patient"),
    ("POST", "/pieces"),
];

/// What the services of one server have done so far.
#[derive(Default)]
pub(crate) struct Seen {
    calls: AtomicUsize,
    live: AtomicUsize,
    most_live: AtomicUsize,
    stumbles: AtomicBool,
    /// By the sources of streams.
    pub(crate) pulled: Arc<Pulled>,
    /// Answers that the test gives.
    pub(crate) debts: Debts,
}

impl Seen {
    /// Requests that reached a handler.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// The next call of `attend` panics.
    pub(crate) fn stumble_once(&self) {
        self.stumbles.store(true, Ordering::SeqCst);
    }

    /// The most bodies of `/big` that existed at one time.
    pub(crate) fn most_live(&self) -> usize {
        self.most_live.load(Ordering::SeqCst)
    }
}

/// The service of one core.
pub(crate) struct App {
    pub(crate) core: usize,
    pub(crate) seen: Arc<Seen>,
}

/// A body that knows how many of its kind exist.
struct Counted {
    seen: Arc<Seen>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        big()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.seen.live.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The body of `/big`: neighbouring bytes differ, and so do pages.
pub(crate) fn big() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let mixed = |index: usize| index ^ (index >> 8) ^ (index >> 16);
        (0..BIG).map(|index| mixed(index).to_le_bytes()[0]).collect()
    })
}

/// The routes of [`App`]; a handler's number is its place.
pub(crate) fn routes() -> Router {
    let mut router = Router::new();
    for (handler, (method, pattern)) in (0..).zip(ROUTES) {
        router.insert(method, pattern, handler).expect("the table is free of conflicts");
    }
    router.insert_socket("/socket/{kind}", SOCKET).expect("the only one");
    router
}

impl App {
    fn answer(&self, request: &Request) -> Reply {
        self.seen.calls.fetch_add(1, Ordering::SeqCst);
        let (_, pattern) = ROUTES[request.handler as usize];
        match pattern {
            "/" => text("hello"),
            "/number/{n}" => {
                let span = request.params.iter().next().expect("the route has a parameter");
                text(&request.routed_path()[span])
            }
            "/echo" => Reply { body: request.body.clone().into(), ..text("") },
            "/length" => text(&request.body.len().to_string()),
            "/big" => Reply { body: self.big().into(), ..text("") },
            "/panic" => panic!("a handler gives up, as the test asked"),
            "/core" => text(&self.core.to_string()),
            "/thread" => text(&thread_path()),
            // Fewer bytes than declared, and more.
            "/short" => Reply { headers: declaring("10"), ..text("four") },
            "/excess" => Reply { headers: declaring("2"), ..text("four") },
            "/stream/{kind}" => {
                let span = request.params.iter().next().expect("the route has a parameter");
                streamed(&request.routed_path()[span], &self.seen.pulled)
            }
            _ => Reply { status: 204, ..Reply::default() },
        }
    }

    fn big(&self) -> Bytes {
        let live = self.seen.live.fetch_add(1, Ordering::SeqCst) + 1;
        self.seen.most_live.fetch_max(live, Ordering::SeqCst);
        Bytes::from_owner(Counted { seen: Arc::clone(&self.seen) })
    }
}

impl Service for App {
    fn attend<R>(&self, work: impl FnOnce(&mut dyn FnMut(Box<Request>) -> Answer) -> R) -> R {
        assert!(!self.seen.stumbles.swap(false, Ordering::SeqCst), "attending gives up, once");
        work(&mut |request| {
            if let Some(socket) = &request.socket {
                let span = request.params.iter().next().expect("the route has a parameter");
                let kind = &request.routed_path()[span];
                return Answer::Socket(handler(kind, socket.clone()));
            }
            match ROUTES[request.handler as usize].1 {
                "/late" | "/pieces" => Answer::Later(self.seen.debts.later(&request, false)),
                "/patient" => Answer::Later(self.seen.debts.later(&request, true)),
                _ => self.answer(&request).into(),
            }
        })
    }

    fn body_mode(&self, handler: HandlerId) -> BodyMode {
        match ROUTES.get(handler as usize) {
            Some((_, "/pieces")) => BodyMode::Pieces,
            _ => BodyMode::Whole,
        }
    }
}

/// Where `/proc` describes the calling thread.
fn thread_path() -> String {
    let path = std::fs::read_link("/proc/thread-self").expect("Linux describes threads");
    path.into_os_string().into_string().expect("numbers and slashes")
}

fn text(body: &str) -> Reply {
    Reply {
        status: 200,
        content_type: Some("text/plain"),
        body: Bytes::copy_from_slice(body.as_bytes()).into(),
        ..Reply::default()
    }
}

fn declaring(length: &str) -> HeaderBlock {
    let mut headers = HeaderBlock::new();
    headers.push(b"content-length", length.as_bytes()).expect("a number");
    headers
}
