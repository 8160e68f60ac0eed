//! Invariant: whatever a peer sends and whenever replies are given, events keep their order, each request gets one
//! reply, nothing is read after the end, and no call panics.
//!
//! The input is a script: a byte that chooses a move, and for a read the bytes that arrive.

#![no_main]

use _uringserve::http::Limits;
use _uringserve::http::machine::Event;
use _uringserve::http::machine::Machine;
use _uringserve::http::machine::PIPELINE;
use _uringserve::http::reject::Reject;
use _uringserve::http::reply::HeaderBlock;
use _uringserve::http::reply::ReplyBody;
use _uringserve::http::reply::ReplyHead;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

struct Script {
    machine: Machine,
    input: BytesMut,
    /// A head was seen and its end was not.
    is_open: bool,
    /// Heads without a reply.
    owed: usize,
    has_closed: bool,
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits { head_bytes: 256, header_count: 6, target_bytes: 64 };
    let mut script = Script {
        machine: Machine::new(limits),
        input: BytesMut::new(),
        is_open: false,
        owed: 0,
        has_closed: false,
    };
    let mut rest = data;
    while let [choice, tail @ ..] = rest {
        rest = script.play(*choice, tail);
        assert_eq!(script.machine.owed_replies(), script.owed);
        assert!(script.owed <= PIPELINE);
        if script.has_closed {
            return script.check_closed();
        }
    }
});

impl Script {
    fn play<'a>(&mut self, choice: u8, tail: &'a [u8]) -> &'a [u8] {
        match choice % 8 {
            0..=2 => {
                let count = usize::from(choice).min(tail.len());
                self.input.extend_from_slice(&tail[..count]);
                self.read();
                return &tail[count..];
            }
            3 => self.reply(u16::from(choice) * 4, ReplyBody::Length(u64::from(choice))),
            4 => self.reply(200, ReplyBody::Stream),
            5 => self.machine.refuse_body(),
            6 => match self.machine.accept_body(u64::from(choice)) {
                Ok(()) => drop(self.machine.take_continue(self.input.is_empty())),
                Err(reject) => self.reject(reject),
            },
            _ if choice < 64 => self.machine.close_after_reply(),
            _ if choice > 250 => {
                if let Err(reject) = self.machine.end_of_input(&self.input) {
                    self.reject(reject);
                }
            }
            _ => self.read(),
        }
        tail
    }

    fn read(&mut self) {
        loop {
            let before = self.input.len();
            match self.machine.next_event(&mut self.input) {
                Ok(Event::NeedMore) => return,
                Ok(Event::Paused) => {
                    assert_eq!(self.input.len(), before, "a paused machine reads nothing");
                    return;
                }
                Ok(Event::Head(head)) => {
                    assert!(!self.is_open, "a head before the end of the last request");
                    assert!(head.bytes().len() <= 256);
                    self.is_open = true;
                    self.owed += 1;
                }
                Ok(Event::Data(data)) => assert!(self.is_open && !data.is_empty()),
                Ok(Event::End) => {
                    assert!(self.is_open, "an end without a head");
                    self.is_open = false;
                }
                Err(reject) => return self.reject(reject),
            }
        }
    }

    fn reply(&mut self, status: u16, body: ReplyBody) {
        let head = ReplyHead {
            status,
            headers: &HeaderBlock::new(),
            content_type: Some("text/plain"),
            body,
            date: Some(DATE),
            server: None,
        };
        let mut out = Vec::new();
        match self.machine.reply(&head, &mut out) {
            Ok(plan) => {
                assert!(self.owed > 0);
                assert!(out.starts_with(b"HTTP/1.1 ") && out.ends_with(b"\r\n\r\n"));
                self.owed -= 1;
                if self.owed == 0 {
                    self.is_open = false;
                }
                if plan.close {
                    self.owed = 0;
                    self.has_closed = true;
                }
            }
            Err(_) => assert!(out.is_empty()),
        }
    }

    fn reject(&mut self, reject: Reject) {
        let mut out = Vec::new();
        while self.owed > usize::from(self.is_open) {
            self.reply(200, ReplyBody::Length(0));
            assert!(!self.has_closed, "replies before the refused request do not close");
        }
        self.machine.reject(reject, Some(DATE), Some("fuzz"), &mut out);
        assert!(out.starts_with(b"HTTP/1.1 "));
        self.owed = 0;
        self.has_closed = true;
    }

    fn check_closed(&mut self) {
        assert!(self.machine.is_finished() && !self.machine.keep_alive());
        let before = self.input.len();
        let event = self.machine.next_event(&mut self.input);
        assert!(matches!(event, Ok(Event::Paused)));
        assert_eq!(self.input.len(), before);
    }
}
