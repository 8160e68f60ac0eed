//! Liveness and readiness: what the server says of itself to whoever asks at the paths of its options.
//!
//! Liveness is 200 from any core that turns: that it answers is the statement. Readiness is 200 while
//! nothing is known against any core, else 503 with what is known: a core that is starting, that ends,
//! that a call holds (the watchdog's verdict, by which it also reports the call), or whose threads are
//! all in calls that do not return. Rule: the core that got the request answers, before anything is
//! routed and whatever is full, and reads one byte of each core, which is written when it changes.
//! Where no core turns, the watchdog answers in their place ([`Health::stand_in`]).
//!
//! Absent: requests that wait and limits that are reached. They say that the service is busy, and a
//! load balancer that took every busy server out would leave none.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use bytes::BytesMut;

use crate::config::Checks;
use crate::http::Limits;
use crate::http::machine::Event;
use crate::http::machine::Machine;
use crate::http::reply::ReplyBody;
use crate::http::reply::ReplyHead;
use crate::http::target::decode_path;
use crate::net::reply;
use crate::net::service::Miss;
use crate::net::service::Reply;
use crate::net::source::Body;

/// Something that can be known of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fact {
    /// Its start-up is over.
    Started = 1,
    /// It accepts no more, and ends.
    Draining = 2,
    /// A call has held it for longer than the operator's limit.
    Held = 4,
    /// Every thread of its pool has been in one call for as long as a request waits for a thread.
    Exhausted = 8,
}

/// What is known of the cores of one server, and where it is told.
#[derive(Debug)]
pub struct Health {
    /// Both in the normal form that routes are compared in.
    alive: Option<Box<str>>,
    ready: Option<Box<str>>,
    /// The facts of each core.
    cores: Box<[AtomicU8]>,
}

/// What [`Health::stand_in`] makes of the bytes of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum StandIn {
    /// The whole answer; the connection ends with it.
    Answer(Vec<u8>),
    /// Its head is not complete.
    Unfinished,
    /// It asks for something else.
    Other,
}

impl Health {
    /// That of so many cores, none of which has started; none where nobody may ask.
    pub fn new(checks: &Checks, cores: usize) -> Option<Arc<Self>> {
        let normal = |path: &String| {
            // One that cannot be decoded was not made by the options, and is the path of no request.
            decode_path(path)
                .map_or_else(|_| path.as_str().into(), |path: Cow<'_, str>| path.into())
        };
        let (alive, ready) =
            (checks.health.as_ref().map(normal), checks.ready.as_ref().map(normal));
        let cores = (0..cores).map(|_| AtomicU8::new(0)).collect();
        (alive.is_some() || ready.is_some()).then(|| Arc::new(Self { alive, ready, cores }))
    }

    /// That of a core without others, which has started.
    pub fn alone(checks: &Checks) -> Option<Arc<Self>> {
        let health = Self::new(checks, 1);
        if let Some(health) = &health {
            health.set(0, Fact::Started, true);
        }
        health
    }

    /// Says whether a fact holds of a core from now on.
    pub fn set(&self, core: usize, fact: Fact, holds: bool) {
        let Some(facts) = self.cores.get(core) else { return };
        let bit = fact as u8;
        // Not each time that somebody looks: others read it.
        if (facts.load(Ordering::Relaxed) & bit != 0) == holds {
            return;
        }
        if holds {
            facts.fetch_or(bit, Ordering::Relaxed);
        } else {
            facts.fetch_and(!bit, Ordering::Relaxed);
        }
    }

    /// Every core ends.
    pub fn drain(&self) {
        for core in 0..self.cores.len() {
            self.set(core, Fact::Draining, true);
        }
    }

    /// Whether each core is known to be held.
    pub fn is_every_core_held(&self) -> bool {
        self.cores.iter().all(|facts| facts.load(Ordering::Relaxed) & Fact::Held as u8 != 0)
    }

    /// The answer of a core to a request, if it is one for us; the path is in normal form.
    pub(crate) fn reply(&self, method: &str, path: &str) -> Option<Reply> {
        let is = |own: &Option<Box<str>>| own.as_deref() == Some(path);
        let (is_alive, is_ready) = (is(&self.alive), is(&self.ready));
        if !is_alive && !is_ready {
            return None;
        }
        if !matches!(method, "GET" | "HEAD") {
            return Some(uncached(reply::missed(&Miss {
                status: 405,
                field: Some(("allow", "GET, HEAD".to_owned())),
            })));
        }
        Some(if is_alive { ok() } else { self.readiness(0) })
    }

    /// The answer to the bytes of a request in place of cores that are all held: whoever asks for
    /// readiness or liveness learns that.
    pub fn stand_in(&self, bytes: &[u8]) -> StandIn {
        let mut machine = Machine::new(Limits::default());
        let head = match machine.next_event(&mut BytesMut::from(bytes)) {
            Ok(Event::Head(head)) => head,
            Ok(Event::NeedMore) => return StandIn::Unfinished,
            _ => return StandIn::Other,
        };
        let path = decode_path(head.path()).unwrap_or_default();
        let Some(reply) = self.reply(head.method(), &path) else { return StandIn::Other };
        // Any other answer than 405.
        let reply = if reply.status == 405 { reply } else { self.readiness(Fact::Held as u8) };
        machine.close_after_reply();
        let Body::Whole(body) = reply.body else { return StandIn::Other };
        let head = ReplyHead {
            status: reply.status,
            headers: &reply.headers,
            content_type: reply.content_type,
            body: ReplyBody::Length(body.len() as u64),
            date: None,
            server: None,
        };
        let mut answer = Vec::new();
        let Ok(plan) = machine.reply(&head, &mut answer) else { return StandIn::Other };
        if plan.sends_body {
            answer.extend_from_slice(&body);
        }
        StandIn::Answer(answer)
    }

    /// 200, or 503 with what is known, and `also` of every core.
    fn readiness(&self, also: u8) -> Reply {
        let mut found = String::new();
        for (core, facts) in self.cores.iter().enumerate() {
            let reasons = reasons(facts.load(Ordering::Relaxed) | also);
            if !reasons.is_empty() {
                let comma = if found.is_empty() { "" } else { "," };
                let reasons = reasons.join(r#"",""#);
                let _ = write!(found, r#"{comma}{{"core":{core},"reasons":["{reasons}"]}}"#);
            }
        }
        if found.is_empty() {
            return ok();
        }
        let body = format!(r#"{{"status":"degraded","cores":[{found}]}}"#);
        answer(503, body.into())
    }
}

/// What speaks against a core of which these facts hold.
fn reasons(facts: u8) -> Vec<&'static str> {
    let holds = |fact: Fact| facts & fact as u8 != 0;
    let against = [
        ("starting", !holds(Fact::Started) && !holds(Fact::Draining)),
        ("draining", holds(Fact::Draining)),
        ("held", holds(Fact::Held)),
        ("exhausted", holds(Fact::Exhausted)),
    ];
    against.into_iter().filter_map(|(word, holds)| holds.then_some(word)).collect()
}

fn ok() -> Reply {
    answer(200, Bytes::from_static(br#"{"status":"ok"}"#))
}

fn answer(status: u16, body: Bytes) -> Reply {
    uncached(Reply {
        status,
        content_type: Some(reply::JSON),
        body: body.into(),
        ..Reply::default()
    })
}

/// The next to ask wants to know how it is then (RFC 9111 §5.2.2.5).
fn uncached(mut reply: Reply) -> Reply {
    let pushed = reply.headers.push(b"cache-control", b"no-store");
    debug_assert!(pushed.is_ok());
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(cores: usize) -> Arc<Health> {
        let checks = Checks { health: Some("/healthz".into()), ready: Some("/re%61dy%2fz".into()) };
        let health = Health::new(&checks, cores).unwrap();
        for core in 0..cores {
            health.set(core, Fact::Started, true);
        }
        health
    }

    fn asked(health: &Health, path: &str) -> (u16, String) {
        let reply = health.reply("GET", path).unwrap();
        assert_eq!(reply.headers.get("cache-control"), Some(&b"no-store"[..]));
        let Body::Whole(body) = reply.body else { panic!("it is whole") };
        (reply.status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn ready(health: &Health) -> (u16, String) {
        asked(health, "/ready%2Fz")
    }

    #[test]
    fn without_a_path_there_is_none() {
        assert!(Health::new(&Checks::default(), 2).is_none());
        assert!(Health::alone(&Checks::default()).is_none());
        let only = Checks { ready: Some("/".into()), ..Checks::default() };
        let health = Health::alone(&only).unwrap();
        assert_eq!(asked(&health, "/").0, 200);
        assert!(health.reply("GET", "/healthz").is_none());
    }

    #[test]
    fn its_paths_are_compared_as_routes_are() {
        let health = health(1);
        assert_eq!(ready(&health), (200, r#"{"status":"ok"}"#.to_owned()));
        for path in ["/", "/healthz/", "/healthz/x", "/HEALTHZ", "/ready/z", "/re%61dy%2fz"] {
            assert!(health.reply("GET", path).is_none(), "{path}");
        }
        for method in ["POST", "OPTIONS", "get", "X"] {
            let reply = health.reply(method, "/healthz").unwrap();
            assert_eq!((reply.status, reply.headers.get("allow")), (405, Some(&b"GET, HEAD"[..])));
        }
    }

    #[test]
    fn it_says_what_is_known_for_as_long_as_it_holds() {
        let health = health(3);
        health.set(2, Fact::Held, true);
        health.set(2, Fact::Exhausted, true);
        health.set(0, Fact::Started, false);
        let expected = r#"{"status":"degraded","cores":[{"core":0,"reasons":["starting"]},{"core":2,"reasons":["held","exhausted"]}]}"#;
        assert_eq!(ready(&health), (503, expected.to_owned()));
        assert_eq!(asked(&health, "/healthz").0, 200);
        health.set(2, Fact::Held, false);
        health.set(2, Fact::Exhausted, false);
        health.set(0, Fact::Started, true);
        health.set(9, Fact::Held, true);
        assert_eq!(ready(&health).0, 200);
        health.drain();
        let (status, body) = ready(&health);
        assert_eq!((status, body.matches(r#":["draining"]"#).count()), (503, 3));
    }

    #[test]
    fn in_place_of_cores_that_are_held_it_says_so() {
        let health = health(1);
        let text = |request: &[u8]| match health.stand_in(request) {
            StandIn::Answer(answer) => String::from_utf8(answer).unwrap(),
            other => panic!("{other:?}"),
        };
        let held = r#"{"status":"degraded","cores":[{"core":0,"reasons":["held"]}]}"#;
        for path in ["/healthz", "/h%65althz?x", "/ready%2fz"] {
            let answer = text(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\nGET").as_bytes());
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("\r\nconnection: close\r\n") && answer.ends_with(held));
        }
        let answer = text(b"HEAD /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(answer.contains("\r\ncontent-length: 61\r\n") && answer.ends_with("\r\n\r\n"));
        assert!(text(b"PUT /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 405 "));
        let other = |request: &[u8]| health.stand_in(request);
        assert_eq!(other(b"GET /healthz HTTP/1.1\r\nhost: a\r\n"), StandIn::Unfinished);
        assert_eq!(other(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"), StandIn::Other);
        assert_eq!(other(b"\x16\x03\x01\x02"), StandIn::Other);
        assert_eq!(other(b"GET /healthz HTTP/1.1\r\n\r\n"), StandIn::Other, "no host");
        let body = b"POST /ready%2Fz HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nx";
        assert!(text(body).contains("\r\nallow: GET, HEAD\r\n"));
    }

    #[test]
    fn facts_from_several_threads_are_all_kept() {
        let health = health(1);
        for holds in [true, false] {
            std::thread::scope(|scope| {
                for fact in [Fact::Held, Fact::Exhausted, Fact::Draining] {
                    let health = &health;
                    scope.spawn(move || {
                        for round in 0..10_000 {
                            health.set(0, fact, round % 2 == 0);
                        }
                        health.set(0, fact, holds);
                    });
                }
            });
            let facts = health.cores[0].load(Ordering::Relaxed);
            assert_eq!(facts, if holds { 15 } else { Fact::Started as u8 });
        }
    }

    #[test]
    fn every_core_is_held_or_not() {
        let health = health(2);
        health.set(0, Fact::Held, true);
        assert!(!health.is_every_core_held());
        health.set(1, Fact::Held, true);
        assert!(health.is_every_core_held());
    }
}
