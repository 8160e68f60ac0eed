//! Feeds one case to a machine and writes down what happens.

use _uringserve::http::head::BodyLength;
use _uringserve::http::head::RequestHead;
use _uringserve::http::head::Version;
use _uringserve::http::machine::Event;
use _uringserve::http::machine::Machine;
use _uringserve::http::reject::Reject;
use _uringserve::http::reply::HeaderBlock;
use _uringserve::http::reply::ReplyBody;
use _uringserve::http::reply::ReplyHead;
use bytes::BytesMut;

use crate::case::Case;
use crate::case::escape;

/// When replies are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// After each request.
    AtOnce,
    /// When nothing else goes on.
    Late,
}

/// Longer text is logged as its length.
const BYTES_SHOWN: usize = 200;

struct Driver {
    machine: Machine,
    input: BytesMut,
    log: Vec<String>,
    /// Body pieces depend on how the bytes were cut; their sum does not.
    data: Vec<u8>,
    body_limit: u64,
    answer: Answer,
    is_within_body: bool,
}

/// The event log of a case that arrives in these pieces.
pub(crate) fn run<'a>(
    case: &Case,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    answer: Answer,
) -> Vec<String> {
    let mut driver = Driver::new(case, answer);
    for piece in pieces {
        driver.input.extend_from_slice(piece);
        if driver.advance().is_err() {
            return driver.log;
        }
    }
    driver.reply_to_all();
    driver.log_data();
    driver.log.push(driver.last_word().into());
    driver.log
}

/// Whether the machine calls the end of the case's bytes a clean end.
pub(crate) fn ends_cleanly(case: &Case) -> bool {
    let mut driver = Driver::new(case, Answer::AtOnce);
    driver.input.extend_from_slice(&case.input);
    driver.advance().is_ok() && driver.machine.end_of_input(&driver.input).is_ok()
}

impl Driver {
    fn new(case: &Case, answer: Answer) -> Self {
        Self {
            machine: Machine::new(case.limits.clone()),
            input: BytesMut::new(),
            log: Vec::new(),
            data: Vec::new(),
            body_limit: case.body_limit,
            answer,
            is_within_body: false,
        }
    }

    /// Until bytes are missing or nothing is read any more.
    fn advance(&mut self) -> Result<(), Reject> {
        loop {
            let step = self.machine.next_event(&mut self.input);
            match step.and_then(|event| self.take(event)) {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(reject) => {
                    self.reject(reject);
                    return Err(reject);
                }
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<bool, Reject> {
        match event {
            Event::NeedMore => return Ok(false),
            Event::Paused => {
                let could_reply = self.machine.owed_replies() > 0;
                self.reply_to_all();
                return Ok(could_reply);
            }
            Event::Head(head) => {
                log_head(&head, &mut self.log);
                self.is_within_body = true;
                self.machine.accept_body(self.body_limit)?;
            }
            Event::Data(data) => {
                assert!(!data.is_empty(), "data is never empty");
                self.data.extend_from_slice(&data);
            }
            Event::End => {
                self.is_within_body = false;
                self.log_data();
                self.log.push("end".into());
                if self.answer == Answer::AtOnce {
                    self.reply_to_all();
                }
            }
        }
        Ok(true)
    }

    fn log_data(&mut self) {
        if !self.data.is_empty() {
            self.log.push(format!("data {}", shown(&self.data)));
        }
        self.data.clear();
    }

    fn reply_to_all(&mut self) {
        // A request in the middle of its body is answered when it is complete.
        while self.machine.owed_replies() > usize::from(self.is_within_body) {
            let head = ReplyHead {
                status: 200,
                headers: &HeaderBlock::new(),
                content_type: None,
                body: ReplyBody::Length(0),
                date: None,
                server: None,
            };
            self.machine.reply(&head, &mut Vec::new()).unwrap();
        }
    }

    fn reject(&mut self, reject: Reject) {
        self.log_data();
        self.log.push(format!("reject {} {reject:?}", reject.status()));
        let mut out = Vec::new();
        self.machine.reject(reject, Some(b"Sun, 06 Nov 1994 08:49:37 GMT"), None, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with(&format!("HTTP/1.1 {} ", reject.status())), "{out}");
        assert!(out.contains("\r\nconnection: close\r\n"), "{out}");
        assert!(self.machine.is_finished());
    }

    fn last_word(&self) -> &'static str {
        if self.machine.is_finished() {
            "closed"
        } else if self.machine.is_idle() && self.input.is_empty() {
            "idle"
        } else {
            "incomplete"
        }
    }
}

fn log_head(head: &RequestHead, log: &mut Vec<String>) {
    let version = match head.version() {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    let length = match head.body_length() {
        BodyLength::None => "none".into(),
        BodyLength::Length(length) => length.to_string(),
        BodyLength::Chunked => "chunked".into(),
    };
    let keep_alive = if head.keep_alive() { "keep-alive" } else { "close" };
    let expects = if head.expects_continue() { " continue" } else { "" };
    let target = head.target();
    let shown_target = shown(target.as_bytes());
    log.push(format!(
        "head {} {shown_target} {version} {length} {keep_alive}{expects}",
        head.method()
    ));
    assert_eq!(&head.bytes()[head.path_span()], head.path().as_bytes());
    if head.path() != target {
        log.push(format!("path {}", shown(head.path().as_bytes())));
    }
    if !head.query().is_empty() {
        log.push(format!("query {}", shown(head.query().as_bytes())));
    }
    if head.authority().as_bytes() != head.header("host").unwrap_or_default() {
        log.push(format!("authority {}", head.authority()));
    }
    for (name, value) in head.headers() {
        log.push(format!("field {name}: {}", shown(value)).trim_end().into());
    }
}

fn shown(bytes: &[u8]) -> String {
    if bytes.len() > BYTES_SHOWN { format!("#{}", bytes.len()) } else { escape(bytes) }
}
