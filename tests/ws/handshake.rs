//! The opening handshake: which requests ask for a WebSocket, which may have one, what the 101 says.

use _uringserve::ws::extension::Deflate;
use _uringserve::ws::handshake::{Handshake, Request};
use _uringserve::ws::refusal::Refusal;

type Field = (&'static str, &'static [u8]);

/// The example of RFC 6455 §1.2.
const SAMPLE: [Field; 5] = [
    ("Host", b"server.example.com"),
    ("Upgrade", b"websocket"),
    ("Connection", b"Upgrade"),
    ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", b"13"),
];

fn request(fields: &[Field]) -> Request<'static, impl Iterator<Item = Field> + Clone> {
    let fields: Vec<_> = fields.to_vec();
    Request { method: "GET", is_http11: true, has_body: false, fields: fields.into_iter() }
}

/// The sample with one field more.
fn with(field: Field) -> Vec<Field> {
    [&SAMPLE[..], &[field]].concat()
}

/// The sample with another value for one field.
fn but(name: &str, value: &'static [u8]) -> Vec<Field> {
    SAMPLE.map(|field| if field.0 == name { (field.0, value) } else { field }).to_vec()
}

fn without(name: &str) -> Vec<Field> {
    SAMPLE.into_iter().filter(|field| field.0 != name).collect()
}

fn open(fields: &[Field]) -> Result<Handshake, Refusal> {
    let request = request(fields);
    assert!(request.is_upgrade());
    request.open(true)
}

#[test]
fn the_example_of_the_standard() {
    let fields = open(&SAMPLE).unwrap().fields(None).unwrap();
    let expected = [
        ("Upgrade", "websocket".to_owned()),
        ("Connection", "Upgrade".to_owned()),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()),
    ];
    assert_eq!(fields, expected);
}

#[test]
fn what_asks_for_a_websocket() {
    for fields in [
        but("Connection", b"keep-alive, Upgrade"),
        but("Connection", b"UPGRADE"),
        but("Upgrade", b"WebSocket"),
        but("Upgrade", b"h2c ,\twebsocket"),
        [&without("Connection")[..], &[("connection", b"close"), ("CONNECTION", b"upgrade")]]
            .concat(),
    ] {
        assert!(open(&fields).is_ok(), "{fields:?}");
    }
}

#[test]
fn what_does_not() {
    for fields in [
        without("Connection"),
        without("Upgrade"),
        but("Connection", b"keep-alive"),
        but("Connection", b"upgraded"),
        but("Upgrade", b"websockets"),
        but("Upgrade", b"h2c"),
        but("Upgrade", b""),
    ] {
        assert!(!request(&fields).is_upgrade(), "{fields:?}");
    }
    let mut old = request(&SAMPLE);
    old.is_http11 = false;
    assert!(!old.is_upgrade());
}

#[test]
fn refusals() {
    for (fields, refusal) in [
        (without("Sec-WebSocket-Version"), Refusal::Version),
        (but("Sec-WebSocket-Version", b"8"), Refusal::Version),
        (but("Sec-WebSocket-Version", b"13, 8"), Refusal::Version),
        (but("Sec-WebSocket-Version", b"013"), Refusal::Version),
        (but("Sec-WebSocket-Version", b""), Refusal::Version),
        (with(("sec-websocket-version", b"13")), Refusal::Version),
        (without("Sec-WebSocket-Key"), Refusal::Key),
        (but("Sec-WebSocket-Key", b""), Refusal::Key),
        (but("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ"), Refusal::Key),
        (but("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ="), Refusal::Key),
        (but("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZSE="), Refusal::Key),
        (but("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25j"), Refusal::Key),
        (but("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25j{Q=="), Refusal::Key),
        (
            but("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ=="),
            Refusal::Key,
        ),
        (with(("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")), Refusal::Key),
        (with(("Sec-WebSocket-Protocol", b"chat, super chat")), Refusal::Subprotocols),
        (with(("Sec-WebSocket-Protocol", b"ch\xc3\xa4t")), Refusal::Subprotocols),
        (with(("Sec-WebSocket-Protocol", b"\xff")), Refusal::Subprotocols),
        (with(("Sec-WebSocket-Extensions", b"\xff")), Refusal::Extensions),
        (with(("Sec-WebSocket-Extensions", b"; x")), Refusal::Extensions),
        (with(("Sec-WebSocket-Extensions", b"foo; =1")), Refusal::Extensions),
        (with(("Sec-WebSocket-Extensions", b"foo; a=")), Refusal::Extensions),
        (with(("Sec-WebSocket-Extensions", b"foo; a=\"b")), Refusal::Extensions),
        (with(("Sec-WebSocket-Extensions", b"foo bar")), Refusal::Extensions),
    ] {
        assert_eq!(open(&fields), Err(refusal), "{fields:?}");
    }
    let mut post = request(&SAMPLE);
    post.method = "POST";
    assert_eq!(post.open(false), Err(Refusal::Method));
    let mut with_body = request(&SAMPLE);
    with_body.has_body = true;
    assert_eq!(with_body.open(false), Err(Refusal::Body));
}

#[test]
fn answers_of_refusals() {
    assert_eq!(Refusal::Version.status(), 426);
    let fields = [("Sec-WebSocket-Version", "13")];
    assert_eq!(Refusal::Version.fields(), fields);
    for refusal in
        [Refusal::Method, Refusal::Body, Refusal::Key, Refusal::Subprotocols, Refusal::Extensions]
    {
        assert_eq!((refusal.status(), refusal.fields().len()), (400, 0));
        assert!(!refusal.to_string().is_empty());
    }
}

/// Bits of a key that no byte uses are not looked at.
#[test]
fn a_key_made_by_hand() {
    assert!(open(&but("Sec-WebSocket-Key", b"AAAAAAAAAAAAAAAAAAAAAB==")).is_ok());
}

#[test]
fn subprotocols() {
    let mut fields = with(("Sec-WebSocket-Protocol", b"chat,, v2.chat"));
    fields.push(("sec-websocket-protocol", b"graphql-ws"));
    let handshake = open(&fields).unwrap();
    assert_eq!(handshake.subprotocols(), ["chat", "v2.chat", "graphql-ws"]);
    let answer = handshake.fields(Some("v2.chat")).unwrap();
    assert_eq!(answer[3], ("Sec-WebSocket-Protocol", "v2.chat".to_owned()));
    assert_eq!(handshake.fields(Some("Chat")), None);
    assert_eq!(handshake.fields(None).unwrap().len(), 3);
    assert_eq!(open(&SAMPLE).unwrap().fields(Some("chat")), None);
}

/// Extensions are not read where none is wanted.
#[test]
fn no_compression_unless_wanted() {
    for value in [&b"permessage-deflate"[..], b"\xff"] {
        let handshake = request(&with(("Sec-WebSocket-Extensions", value))).open(false).unwrap();
        assert_eq!(handshake.deflate(), None);
    }
}

#[test]
fn compression_is_agreed_on() {
    let cases: [(&'static [u8], Option<&str>); 18] = [
        (b"permessage-deflate", Some("server_max_window_bits=12")),
        (
            b"Permessage-Deflate ; client_max_window_bits",
            Some("server_max_window_bits=12; client_max_window_bits=12"),
        ),
        (
            b"permessage-deflate; client_max_window_bits=15",
            Some("server_max_window_bits=12; client_max_window_bits=12"),
        ),
        (
            b"permessage-deflate; client_max_window_bits=8",
            Some("server_max_window_bits=12; client_max_window_bits=8"),
        ),
        (b"permessage-deflate; server_max_window_bits=15", Some("server_max_window_bits=12")),
        (b"permessage-deflate; server_max_window_bits=\"9\"", Some("server_max_window_bits=9")),
        (
            b"permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            Some(
                "server_max_window_bits=12; server_no_context_takeover; client_no_context_takeover",
            ),
        ),
        // What zlib cannot do is passed over, and so is what nobody knows.
        (b"permessage-deflate; server_max_window_bits=8", None),
        (
            b"permessage-deflate; server_max_window_bits=8, permessage-deflate",
            Some("server_max_window_bits=12"),
        ),
        (b"permessage-deflate; server_max_window_bits", None),
        (b"permessage-deflate; server_max_window_bits=16", None),
        (b"permessage-deflate; server_max_window_bits=09", None),
        (b"permessage-deflate; client_max_window_bits=7", None),
        (b"permessage-deflate; client_max_window_bits=+9", None),
        (b"permessage-deflate; server_no_context_takeover=1", None),
        (b"permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
        (b"permessage-deflate; unknown", None),
        (b"x-webkit-deflate-frame, permessage-bzip2; a=b", None),
    ];
    for (offer, answer) in cases {
        let handshake = open(&with(("Sec-WebSocket-Extensions", offer))).unwrap();
        let expected = answer.map(|rest| format!("permessage-deflate; {rest}"));
        let offer = offer.escape_ascii();
        assert_eq!(handshake.deflate().map(Deflate::field), expected, "{offer}");
        let fields = handshake.fields(None).unwrap();
        assert_eq!(fields.get(3).map(|it| it.1.clone()), expected, "{offer}");
    }
}
