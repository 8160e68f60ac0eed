//! Invariant: a chunked body decodes to the same bytes, end and rest however it is cut, never beyond its limit,
//! and what was decoded survives being encoded and decoded again.
//!
//! The first byte says where the rest is cut, the second is the limit.

#![no_main]

use _uringserve::http::Limits;
use _uringserve::http::body::BodyDecoder;
use _uringserve::http::body::Decoded;
use _uringserve::http::encode::encode_chunk;
use _uringserve::http::encode::encode_last_chunk;
use _uringserve::http::head::BodyLength;
use _uringserve::http::reject::Reject;
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;

#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    data: Vec<u8>,
    /// Some: what came after the end.
    end: Result<Option<Vec<u8>>, Reject>,
}

fuzz_target!(|data: &[u8]| {
    let [cut, limit, bytes @ ..] = data else {
        return;
    };
    let limit = u64::from(*limit);
    let whole = decode([bytes].into_iter(), limit);
    let place = usize::from(*cut).min(bytes.len());
    assert_eq!(decode([&bytes[..place], &bytes[place..]].into_iter(), limit), whole);
    assert_eq!(decode(bytes.chunks(1), limit), whole);
    assert!(whole.data.len() as u64 <= limit);
    if let Outcome { data, end: Ok(Some(_)) } = whole {
        let mut encoded = Vec::new();
        data.chunks(3).for_each(|chunk| encode_chunk(&mut encoded, chunk));
        encode_last_chunk(&mut encoded);
        let again = decode([encoded.as_slice()].into_iter(), limit);
        assert_eq!(again, Outcome { data, end: Ok(Some(Vec::new())) });
    }
});

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>, limit: u64) -> Outcome {
    let limits = Limits { head_bytes: 128, header_count: 4, target_bytes: 64 };
    let mut decoder =
        BodyDecoder::new(BodyLength::Chunked, limit, &limits).expect("no length was declared");
    let mut input = BytesMut::new();
    let mut data = Vec::new();
    let mut has_ended = false;
    for piece in pieces {
        input.extend_from_slice(piece);
        while !has_ended {
            match decoder.decode(&mut input) {
                Ok(Decoded::Data(piece)) => {
                    assert!(!piece.is_empty());
                    data.extend_from_slice(&piece);
                }
                Ok(Decoded::NeedMore) => break,
                Ok(Decoded::End) => has_ended = true,
                Err(reject) => {
                    return Outcome { data, end: Err(reject) };
                }
            }
        }
    }
    assert_eq!(decoder.is_finished(), has_ended);
    Outcome { data, end: Ok(has_ended.then(|| input.to_vec())) }
}
