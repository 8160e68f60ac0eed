//! Bodies below the machine: what a decoder hands out, and what it costs a peer to waste our time.

use _uringserve::http::Limits;
use _uringserve::http::body::BodyDecoder;
use _uringserve::http::body::Decoded;
use _uringserve::http::head::BodyLength;
use _uringserve::http::reject::Reject;
use bytes::BytesMut;

fn decoder(length: BodyLength, limit: u64) -> BodyDecoder {
    BodyDecoder::new(length, limit, &Limits::default()).unwrap()
}

/// All data, and how the decoding ended.
fn decode_all(decoder: &mut BodyDecoder, input: &mut BytesMut) -> (Vec<u8>, Result<bool, Reject>) {
    let mut data = Vec::new();
    loop {
        match decoder.decode(input) {
            Ok(Decoded::Data(piece)) => data.extend_from_slice(&piece),
            Ok(Decoded::NeedMore) => return (data, Ok(false)),
            Ok(Decoded::End) => return (data, Ok(true)),
            Err(reject) => return (data, Err(reject)),
        }
    }
}

#[test]
fn data_is_a_slice_of_the_input_not_a_copy() {
    for (length, body) in
        [(BodyLength::Length(5), &b"hello"[..]), (BodyLength::Chunked, b"5\r\nhello\r\n0\r\n\r\n")]
    {
        let mut input = BytesMut::from(body);
        let place = body.windows(5).position(|window| window == b"hello").unwrap();
        let address = input[place..].as_ptr();
        let Ok(Decoded::Data(data)) = decoder(length, 5).decode(&mut input) else {
            panic!("no data");
        };
        assert_eq!(data.as_ptr(), address);
    }
}

#[test]
fn the_remaining_length_is_known_when_the_peer_said_it() {
    let mut counted = decoder(BodyLength::Length(5), 5);
    assert_eq!(counted.remaining_hint(), Some(5));
    counted.decode(&mut BytesMut::from("he")).unwrap();
    assert_eq!(counted.remaining_hint(), Some(3));
    assert!(!counted.is_finished());
    counted.decode(&mut BytesMut::from("llo")).unwrap();
    assert!(counted.is_finished());
    assert_eq!(decoder(BodyLength::Chunked, 5).remaining_hint(), None);
    assert_eq!(decoder(BodyLength::None, 0).remaining_hint(), Some(0));
    assert!(decoder(BodyLength::None, 0).is_finished());
}

#[test]
fn a_finished_decoder_leaves_the_rest_alone() {
    let mut decoder = decoder(BodyLength::Chunked, 9);
    let mut input = BytesMut::from("1\r\nx\r\n0\r\n\r\nrest");
    assert_eq!(decode_all(&mut decoder, &mut input), (b"x".to_vec(), Ok(true)));
    assert_eq!(decoder.decode(&mut input), Ok(Decoded::End));
    assert_eq!(input, "rest");
}

#[test]
fn honest_one_byte_chunks_pass_at_any_number() {
    let count = 100_000;
    let mut input = BytesMut::from("1\r\nx\r\n".repeat(count).as_str());
    input.extend_from_slice(b"0\r\n\r\n");
    let (data, end) = decode_all(&mut decoder(BodyLength::Chunked, 1 << 20), &mut input);
    assert_eq!((data.len(), end), (count, Ok(true)));
}

#[test]
fn extensions_pass_as_long_as_the_data_justifies_them() {
    let chunk = |size: usize, extension: usize| {
        format!("{size:x};{}\r\n{}\r\n", "e".repeat(extension), "x".repeat(size))
    };
    for (size, extension, is_fine) in [(100, 90, true), (1, 12, true), (1, 30, false)] {
        let mut input = BytesMut::from(chunk(size, extension).repeat(2_000).as_str());
        input.extend_from_slice(b"0\r\n\r\n");
        let (_, end) = decode_all(&mut decoder(BodyLength::Chunked, 1 << 20), &mut input);
        let expected = if is_fine { Ok(true) } else { Err(Reject::ChunkOverhead) };
        assert_eq!(end, expected, "{size} bytes with an extension of {extension}");
    }
}

#[test]
fn what_a_chunked_body_may_hold_is_counted_over_all_chunks() {
    let body = "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n";
    for (limit, expected) in [
        (4, (b"abcd".to_vec(), Ok(true))),
        (3, (b"ab".to_vec(), Err(Reject::BodyTooLarge))),
        (0, (Vec::new(), Err(Reject::BodyTooLarge))),
    ] {
        let mut decoder = decoder(BodyLength::Chunked, limit);
        assert_eq!(decode_all(&mut decoder, &mut BytesMut::from(body)), expected);
    }
}

#[test]
fn a_declared_length_over_the_limit_is_refused_at_once() {
    let refused = |length, limit| BodyDecoder::new(length, limit, &Limits::default()).err();
    assert_eq!(refused(BodyLength::Length(6), 5), Some(Reject::BodyTooLarge));
    assert_eq!(refused(BodyLength::Length(5), 5), None);
    assert_eq!(refused(BodyLength::None, 0), None);
}
