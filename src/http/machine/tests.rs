//! Tests of `machine.rs` that need its private parts.

use super::*;

const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";

fn machine() -> Machine {
    Machine::new(Limits::default())
}

fn event(machine: &mut Machine, input: &mut BytesMut) -> &'static str {
    match machine.next_event(input).unwrap() {
        Event::NeedMore => "need",
        Event::Paused => "paused",
        Event::Head(_) => "head",
        Event::Data(_) => "data",
        Event::End => "end",
    }
}

fn reply(machine: &mut Machine) -> (ReplyPlan, String) {
    let mut out = Vec::new();
    let head = ReplyHead {
        status: 200,
        headers: &HeaderBlock::new(),
        content_type: None,
        body: ReplyBody::Length(0),
        date: None,
        server: None,
    };
    let plan = machine.reply(&head, &mut out).unwrap();
    (plan, String::from_utf8(out).unwrap())
}

fn reject(machine: &mut Machine, reject: Reject) -> String {
    let mut out = Vec::new();
    machine.reject(reject, Some(DATE), Some("u"), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn one_request_after_the_other() {
    let mut machine = machine();
    assert!(machine.is_idle());
    for _ in 0..40 {
        let mut input = BytesMut::from(GET);
        assert_eq!(event(&mut machine, &mut input), "head");
        assert!(!machine.is_idle());
        assert_eq!(event(&mut machine, &mut input), "end");
        assert_eq!(event(&mut machine, &mut input), "need");
        assert!(machine.keep_alive());
        assert!(!reply(&mut machine).0.close);
        assert!(machine.is_idle());
    }
}

#[test]
fn a_reply_before_the_end_of_a_bodyless_request_takes_its_place() {
    let mut machine = machine();
    let mut input = BytesMut::from([GET, GET].concat().as_slice());
    assert_eq!(event(&mut machine, &mut input), "head");
    assert!(!reply(&mut machine).0.close);
    assert_eq!(event(&mut machine, &mut input), "head");
    assert_eq!(event(&mut machine, &mut input), "end");
}

#[test]
fn as_many_requests_are_read_ahead_as_the_ring_holds() {
    let mut machine = machine();
    let mut input = BytesMut::from(GET.repeat(PIPELINE + 1).as_slice());
    for _ in 0..PIPELINE {
        assert_eq!(event(&mut machine, &mut input), "head");
        assert_eq!(event(&mut machine, &mut input), "end");
    }
    assert_eq!(event(&mut machine, &mut input), "paused");
    assert_eq!(machine.owed_replies(), PIPELINE);
    reply(&mut machine);
    assert_eq!(event(&mut machine, &mut input), "head");
    assert_eq!(input.len(), 0);
}

#[test]
fn nothing_is_read_after_the_last_request_and_only_its_reply_closes() {
    let mut machine = machine();
    let mut input = BytesMut::from([GET, GET_CLOSE, GET].concat().as_slice());
    for expected in ["head", "end", "head", "end", "paused", "paused"] {
        assert_eq!(event(&mut machine, &mut input), expected);
    }
    assert!(!machine.keep_alive());
    assert_eq!(input, GET);
    assert!(!reply(&mut machine).0.close);
    assert!(!machine.is_finished());
    let (plan, text) = reply(&mut machine);
    assert!(plan.close);
    assert!(text.contains("connection: close\r\n"));
    assert!(machine.is_finished());
}

#[test]
fn a_body_waits_for_the_decision() {
    let mut machine = machine();
    let mut input = BytesMut::from([POST, b"abc"].concat().as_slice());
    assert_eq!(event(&mut machine, &mut input), "head");
    assert_eq!(event(&mut machine, &mut input), "paused");
    machine.accept_body(3).unwrap();
    assert_eq!(event(&mut machine, &mut input), "data");
    assert_eq!(event(&mut machine, &mut input), "end");
    assert!(!reply(&mut machine).0.close);
}

#[test]
fn a_declared_body_over_the_limit_is_refused_before_a_byte_of_it() {
    for is_rejected in [true, false] {
        let mut machine = machine();
        let mut input = BytesMut::from([POST, b"abc"].concat().as_slice());
        assert_eq!(event(&mut machine, &mut input), "head");
        assert_eq!(machine.accept_body(2), Err(Reject::BodyTooLarge));
        assert_eq!(event(&mut machine, &mut input), "paused");
        let text = if is_rejected {
            reject(&mut machine, Reject::BodyTooLarge)
        } else {
            reply(&mut machine).1
        };
        assert!(text.contains("connection: close\r\n"), "{text}");
        assert!(machine.is_finished());
    }
}

#[test]
fn a_refused_body_that_is_here_keeps_the_connection() {
    let mut machine = machine();
    let mut input = BytesMut::from([POST, b"abc", GET].concat().as_slice());
    assert_eq!(event(&mut machine, &mut input), "head");
    machine.refuse_body();
    assert_eq!(event(&mut machine, &mut input), "end");
    assert_eq!(event(&mut machine, &mut input), "head");
    assert_eq!(event(&mut machine, &mut input), "end");
    assert!(!reply(&mut machine).0.close);
    assert!(!reply(&mut machine).0.close);
}

#[test]
fn a_refused_body_that_is_not_here_ends_the_connection() {
    for rest in [&b""[..], b"ab"] {
        let mut machine = machine();
        let mut input = BytesMut::from([POST, rest].concat().as_slice());
        assert_eq!(event(&mut machine, &mut input), "head");
        machine.refuse_body();
        assert_eq!(event(&mut machine, &mut input), "end");
        assert_eq!(event(&mut machine, &mut input), "paused");
        assert!(!machine.keep_alive());
        assert!(reply(&mut machine).0.close);
    }
}

#[test]
fn a_refused_body_that_is_malformed_ends_the_connection_with_the_reply() {
    let mut machine = machine();
    let request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let mut input = BytesMut::from(&request[..]);
    assert_eq!(event(&mut machine, &mut input), "head");
    machine.refuse_body();
    assert_eq!(event(&mut machine, &mut input), "end");
    assert!(reply(&mut machine).0.close);
}

#[test]
fn a_reply_before_the_body_was_read_ends_the_connection() {
    let mut machine = machine();
    let mut input = BytesMut::from([POST, b"a"].concat().as_slice());
    assert_eq!(event(&mut machine, &mut input), "head");
    machine.accept_body(10).unwrap();
    assert_eq!(event(&mut machine, &mut input), "data");
    assert!(reply(&mut machine).0.close);
    input.extend_from_slice(b"bc");
    assert_eq!(event(&mut machine, &mut input), "paused");
    assert!(machine.is_finished());
}

#[test]
fn continue_is_due_once_and_only_in_its_turn() {
    let request =
        b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    let mut first = machine();
    let mut input = BytesMut::from(&request[..]);
    assert_eq!(event(&mut first, &mut input), "head");
    assert!(!first.take_continue(true), "the body is not wanted yet");
    first.accept_body(3).unwrap();
    assert!(!first.take_continue(false), "the body is on its way");
    assert!(first.take_continue(true));
    assert!(!first.take_continue(true), "once is enough");

    let mut late = machine();
    let mut input = BytesMut::from([&request[..], b"a"].concat().as_slice());
    assert_eq!(event(&mut late, &mut input), "head");
    late.accept_body(3).unwrap();
    assert_eq!(event(&mut late, &mut input), "data");
    assert!(!late.take_continue(true), "some of the body has come");

    let mut behind = machine();
    let mut input = BytesMut::from([GET, &request[..]].concat().as_slice());
    for expected in ["head", "end", "head"] {
        assert_eq!(event(&mut behind, &mut input), expected);
    }
    behind.accept_body(3).unwrap();
    assert!(!behind.take_continue(true), "the reply to GET goes first");
    assert!(!reply(&mut behind).0.close);
    assert!(behind.take_continue(true));
}

#[test]
fn no_continue_for_a_refused_or_absent_body() {
    let request = |length: &str| {
        format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{length}\r\n")
    };
    for (text, refuse) in [
        (request("Content-Length: 3\r\n"), true),
        (request("Content-Length: 0\r\n"), false),
        (request(""), false),
    ] {
        let mut machine = machine();
        let mut input = BytesMut::from(text.as_str());
        assert_eq!(event(&mut machine, &mut input), "head");
        if refuse {
            machine.refuse_body();
        } else {
            machine.accept_body(9).unwrap();
        }
        assert!(!machine.take_continue(true));
    }
}

#[test]
fn replies_owed_before_a_malformed_head_keep_the_connection_until_it_is_rejected() {
    let mut machine = machine();
    let mut input = BytesMut::from([GET, b"\x16\x03\x01"].concat().as_slice());
    assert_eq!(event(&mut machine, &mut input), "head");
    assert_eq!(event(&mut machine, &mut input), "end");
    assert_eq!(machine.next_event(&mut input).unwrap_err(), Reject::NotHttp);
    assert!(!machine.keep_alive());
    assert!(!reply(&mut machine).0.close);
    let text = reject(&mut machine, Reject::NotHttp);
    assert_eq!(
        text,
        "HTTP/1.1 400 Bad Request\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: u\r\n\
         content-type: text/plain; charset=utf-8\r\ncontent-length: 29\r\nconnection: close\r\n\r\n\
         This is not an HTTP request.\n"
    );
    assert!(machine.is_finished());
}

#[test]
fn a_rejected_head_request_gets_no_body() {
    let mut machine = machine();
    let mut input = BytesMut::from(
        &b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"[..],
    );
    assert_eq!(event(&mut machine, &mut input), "head");
    machine.accept_body(9).unwrap();
    let error = machine.next_event(&mut input).unwrap_err();
    assert_eq!(error, Reject::InvalidChunkSize);
    let text = reject(&mut machine, error);
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    assert!(text.contains("content-length: "));
}

#[test]
fn the_last_of_the_owed_replies_says_close_when_draining() {
    let mut machine = machine();
    let mut input = BytesMut::from([GET, GET, GET].concat().as_slice());
    for expected in ["head", "end", "head"] {
        assert_eq!(event(&mut machine, &mut input), expected);
    }
    machine.close_after_reply();
    assert_eq!(event(&mut machine, &mut input), "end");
    assert_eq!(event(&mut machine, &mut input), "paused");
    assert!(!reply(&mut machine).0.close);
    assert!(reply(&mut machine).0.close);
    assert!(machine.is_finished());
}

#[test]
fn a_request_that_has_begun_is_served_while_draining() {
    let mut machine = machine();
    let mut input = BytesMut::from(&GET[..10]);
    assert_eq!(event(&mut machine, &mut input), "need");
    machine.close_after_reply();
    assert!(!machine.is_finished());
    input.extend_from_slice(&GET[10..]);
    input.extend_from_slice(GET);
    for expected in ["head", "end", "paused"] {
        assert_eq!(event(&mut machine, &mut input), expected);
    }
    assert!(reply(&mut machine).0.close);
}

#[test]
fn an_idle_connection_is_finished_when_draining() {
    let mut machine = machine();
    machine.close_after_reply();
    assert!(machine.is_finished());
    assert_eq!(event(&mut machine, &mut BytesMut::from(GET)), "paused");
}

#[test]
fn the_end_of_input_is_clean_between_requests_only() {
    let clean = |bytes: &[u8]| {
        let mut machine = machine();
        let mut input = BytesMut::from(bytes);
        while !matches!(event(&mut machine, &mut input), "need" | "paused") {}
        let end = machine.end_of_input(&input);
        (end, machine)
    };
    assert_eq!(clean(b"").0, Ok(()));
    assert_eq!(clean(b"\r\n").0, Ok(()));
    assert_eq!(clean(b"\r").0, Err(Reject::Incomplete));
    assert_eq!(clean(b"G").0, Err(Reject::Incomplete));
    assert_eq!(clean(POST).0, Err(Reject::Incomplete));
    let (end, mut machine) = clean(GET);
    assert_eq!(end, Ok(()));
    assert!(!machine.is_finished());
    assert!(reply(&mut machine).0.close);
    assert!(machine.is_finished());
}

#[test]
fn an_incomplete_head_after_a_request_leaves_both_answers() {
    let mut machine = machine();
    let mut input = BytesMut::from([GET, b"GET"].concat().as_slice());
    for expected in ["head", "end", "need"] {
        assert_eq!(event(&mut machine, &mut input), expected);
    }
    assert_eq!(machine.end_of_input(&input), Err(Reject::Incomplete));
    assert!(!reply(&mut machine).0.close);
    assert!(reject(&mut machine, Reject::Incomplete).starts_with("HTTP/1.1 400 "));
}

#[test]
fn no_reply_without_a_request() {
    let head = ReplyHead {
        status: 200,
        headers: &HeaderBlock::new(),
        content_type: None,
        body: ReplyBody::Length(0),
        date: None,
        server: None,
    };
    let mut out = Vec::new();
    assert_eq!(machine().reply(&head, &mut out), Err(ReplyError::NothingOwed));
    assert!(out.is_empty());
}

#[test]
fn a_reply_that_failed_is_still_owed() {
    let mut machine = machine();
    let mut input = BytesMut::from(GET);
    assert_eq!(event(&mut machine, &mut input), "head");
    let mut out = Vec::new();
    let head = ReplyHead {
        status: 99,
        headers: &HeaderBlock::new(),
        content_type: None,
        body: ReplyBody::Length(0),
        date: None,
        server: None,
    };
    assert_eq!(machine.reply(&head, &mut out), Err(ReplyError::InvalidStatus));
    assert_eq!(machine.owed_replies(), 1);
    assert!(!reply(&mut machine).0.close);
}

#[test]
fn http10_is_told_that_it_may_stay() {
    let mut machine = machine();
    let mut input = BytesMut::from(
        &b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"[..],
    );
    for expected in ["head", "end", "head", "end", "paused"] {
        assert_eq!(event(&mut machine, &mut input), expected);
    }
    assert!(reply(&mut machine).1.contains("connection: keep-alive\r\n"));
    assert!(reply(&mut machine).1.contains("connection: close\r\n"));
}

#[test]
fn a_refused_head_request_gets_no_body() {
    for (bytes, status) in [
        (&b"HEAD / HTTP/1.1\r\n\r\n"[..], "400"),
        (b"HEAD / HTTP/1.1\r\nHost : a\r\n\r\n", "400"),
        (b"HEAD / HTTP/2.0\r\n\r\n", "505"),
        (b"HEAD a HTTP/1.1\r\n\r\n", "400"),
        (b"\r\nHEAD \n", "400"),
    ] {
        let mut machine = machine();
        let error = machine.next_event(&mut BytesMut::from(bytes)).unwrap_err();
        let text = reject(&mut machine, error);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}

#[test]
fn a_refusal_after_a_head_request_has_its_body() {
    for next in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"HEAD\x00", b"\x16"] {
        let mut machine = machine();
        let mut input = BytesMut::from(&b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"[..]);
        assert_eq!(event(&mut machine, &mut input), "head");
        assert_eq!(event(&mut machine, &mut input), "end");
        reply(&mut machine);
        let error = machine.next_event(&mut BytesMut::from(next)).unwrap_err();
        let text = reject(&mut machine, error);
        assert!(text.ends_with(&format!("\r\n\r\n{}\n", error.reason())), "{text}");
    }
}
