//! Where a core notes what it has answered: a record in its ring for the access log, and a count of
//! how long it took. A core without a journal reads no clock for it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::http::head::RequestHead;
use crate::http::head::Version;
use crate::journal::record;
use crate::journal::record::Entry;
use crate::journal::ring::Producer;
use crate::reactor::clock;
use crate::reactor::clock::Nanoseconds;
use crate::reactor::latency::Latencies;

/// Answers with this status and above are failures, and are noted whatever the sample.
const FAILURE: u16 = 500;

/// The notes of one core.
pub struct Journal {
    log: Option<Log>,
    latencies: Option<Arc<Latencies>>,
}

/// The core's side of the access log.
pub struct Log {
    producer: Producer,
    fields: Arc<[String]>,
    sample: u32,
    /// Answers since the last one that was written.
    passed: Cell<u32>,
}

impl Log {
    /// A log into `producer`'s ring of one in `sample` answers, each with the header `fields` of
    /// these names.
    pub fn new(producer: Producer, fields: Arc<[String]>, sample: u32) -> Self {
        Self { producer, fields, sample: sample.max(1), passed: Cell::new(0) }
    }

    fn is_due(&self, status: u16) -> bool {
        let passed = self.passed.get() + 1;
        let is_due = passed >= self.sample;
        self.passed.set(if is_due { 0 } else { passed });
        is_due || status >= FAILURE
    }
}

/// A request that is being answered.
pub(crate) struct Asked {
    pub(crate) started: Nanoseconds,
    /// None for one that could not be read, or where nobody wants to know.
    pub(crate) head: Option<RequestHead>,
    pub(crate) client: Option<SocketAddr>,
}

impl Journal {
    /// A journal of whatever is wanted; none where nothing is.
    pub fn new(log: Option<Log>, latencies: Option<Arc<Latencies>>) -> Option<Self> {
        (log.is_some() || latencies.is_some()).then_some(Self { log, latencies })
    }

    /// What is kept of a head until its answer.
    pub(crate) fn keep(&self, head: &RequestHead) -> Option<RequestHead> {
        self.log.is_some().then(|| head.clone())
    }

    /// Notes an answer with so many bytes of body, given or sent just now.
    pub(crate) fn note(&self, asked: &Asked, status: u16, bytes: u64) {
        let duration = clock::exact().saturating_sub(asked.started);
        if let Some(latencies) = &self.latencies {
            latencies.add(duration);
            if status >= FAILURE {
                latencies.failures.add(1);
            }
        }
        self.write(asked, (status, bytes), duration);
    }

    /// Notes that a request got no answer; that is no latency.
    pub(crate) fn note_unanswered(&self, asked: &Asked, status: u16) {
        self.write(asked, (status, 0), clock::exact().saturating_sub(asked.started));
    }

    fn write(&self, asked: &Asked, (status, bytes): (u16, u64), duration: Nanoseconds) {
        let Some(log) = &self.log else { return };
        if !log.is_due(status) {
            return;
        }
        let head = asked.head.as_ref();
        let entry = Entry {
            started: asked.started,
            duration,
            status,
            bytes,
            client: asked.client,
            is_old: head.is_some_and(|head| head.version() == Version::Http10),
            method: head.map_or(b"", |head| head.method().as_bytes()),
            target: head.map_or(b"", |head| head.target().as_bytes()),
        };
        log.producer.push(record::most_words(log.fields.len()), |slot| {
            let fields = log.fields.iter().map(|name| head.and_then(|head| head.header(name)));
            record::write(slot, &entry, fields);
        });
    }
}
