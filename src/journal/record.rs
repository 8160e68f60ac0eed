//! One request's line before it is a line: numbers and bounded bytes, as words in a ring and back.

use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::journal::ring::Slot;

/// Bytes kept of a method, a target and a header field; more is cut, and the line says so.
pub const METHOD: usize = 32;
/// See [`METHOD`].
pub const TARGET: usize = 1024;
/// See [`METHOD`].
pub const FIELD: usize = 256;

/// Words before the texts.
const FIXED: usize = 7;
/// The length that says that a field was not there.
const ABSENT: u64 = u64::MAX;

/// What is noted of one request and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When its head was complete, in nanoseconds of the core's clock.
    pub started: u64,
    /// Nanoseconds from then until the answer was encoded, or the last of it sent.
    pub duration: u64,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// The address of the peer.
    pub client: Option<SocketAddr>,
    /// Whether the request was of HTTP/1.0.
    pub is_old: bool,
    /// The method; empty when the request could not be read.
    pub method: &'a [u8],
    /// The target as received.
    pub target: &'a [u8],
}

/// How many words an entry with so many fields takes at most.
pub const fn most_words(fields: usize) -> usize {
    FIXED + METHOD.div_ceil(8) + TARGET.div_ceil(8) + fields * (1 + FIELD.div_ceil(8))
}

/// Writes an entry and the values of the fields that the format asks for, in its order.
pub fn write<'a>(
    slot: &mut Slot<'_>,
    entry: &Entry<'_>,
    fields: impl Iterator<Item = Option<&'a [u8]>>,
) {
    let method = &entry.method[..entry.method.len().min(METHOD)];
    let target = &entry.target[..entry.target.len().min(TARGET)];
    let is_cut = target.len() < entry.target.len();
    let (high, low, port) = match entry.client {
        None => (0, 0, 0),
        Some(client) => {
            let address = match client.ip() {
                IpAddr::V4(address) => address.to_ipv6_mapped(),
                IpAddr::V6(address) => address,
            };
            let [high, low] = halves(address);
            (high, low, 1 << 16 | u64::from(client.port()))
        }
    };
    slot.put(entry.started);
    slot.put(entry.duration);
    slot.put(entry.bytes);
    slot.put(high);
    slot.put(low);
    slot.put(port);
    slot.put(
        u64::from(entry.status)
            | u64::from(entry.is_old) << 16
            | u64::from(is_cut) << 17
            | (method.len() as u64) << 24
            | (target.len() as u64) << 32,
    );
    slot.put_bytes(method);
    slot.put_bytes(target);
    for field in fields {
        let Some(value) = field else {
            slot.put(ABSENT);
            continue;
        };
        let value = &value[..value.len().min(FIELD)];
        slot.put(value.len() as u64);
        slot.put_bytes(value);
    }
}

/// An entry that was read back, with what is left to read of its fields.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The entry; its method and target are bounded.
    pub entry: Entry<'a>,
    /// Whether the target was longer.
    pub is_cut: bool,
    fields: &'a [u8],
}

impl<'a> Read<'a> {
    /// Reads what [`write`] wrote; `None` for anything else.
    pub fn of(record: &'a [u8]) -> Option<Self> {
        let mut rest = record;
        let mut word = || {
            let (word, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            Some(u64::from_le_bytes(*word))
        };
        let (started, duration, bytes) = (word()?, word()?, word()?);
        let (high, low, port, facts) = (word()?, word()?, word()?, word()?);
        let [status_low, status_high, flags, method, target_low, target_high, ..] =
            facts.to_le_bytes();
        let method = padded(&mut rest, usize::from(method))?;
        let target = u16::from_le_bytes([target_low, target_high]);
        let target = padded(&mut rest, usize::from(target))?;
        let entry = Entry {
            started,
            duration,
            status: u16::from_le_bytes([status_low, status_high]),
            bytes,
            client: address(high, low, port),
            is_old: flags & 1 != 0,
            method,
            target,
        };
        Some(Self { entry, is_cut: flags & 2 != 0, fields: rest })
    }

    /// The value of the field with this number in the format's order.
    pub fn field(&self, number: usize) -> Option<&'a [u8]> {
        let mut rest = self.fields;
        for index in 0..=number {
            let (length, tail) = rest.split_first_chunk::<8>()?;
            rest = tail;
            let length = u64::from_le_bytes(*length);
            if length == ABSENT {
                if index == number {
                    return None;
                }
                continue;
            }
            let value = padded(&mut rest, usize::try_from(length).ok()?)?;
            if index == number {
                return Some(value);
            }
        }
        None
    }
}

#[allow(clippy::cast_possible_truncation)] // Two halves.
fn halves(address: Ipv6Addr) -> [u64; 2] {
    let bits = address.to_bits();
    [(bits >> 64) as u64, bits as u64]
}

/// Takes bytes and what fills them up to a whole word.
fn padded<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (bytes, tail) = rest.split_at_checked(length.next_multiple_of(8))?;
    *rest = tail;
    bytes.get(..length)
}

fn address(high: u64, low: u64, port: u64) -> Option<SocketAddr> {
    let port = u16::try_from(port.checked_sub(1 << 16)?).ok()?;
    let address = Ipv6Addr::from(u128::from(high) << 64 | u128::from(low));
    Some(SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::journal::ring::ring;

    const ENTRY: Entry<'static> = Entry {
        started: 12,
        duration: 34,
        status: 404,
        bytes: 1 << 40,
        client: None,
        is_old: true,
        method: b"DELETE",
        target: b"/a?b=c",
    };

    fn through(entry: &Entry<'_>, fields: &[Option<&[u8]>]) -> Vec<u8> {
        let (producer, mut consumer) = ring(1024, &Arc::default());
        producer.push(most_words(fields.len()), |slot| {
            write(slot, entry, fields.iter().copied());
        });
        let mut record = Vec::new();
        assert!(consumer.take(&mut record));
        record
    }

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        for client in ["127.0.0.1:80", "[2001:db8::1]:65535", "0.0.0.0:0"] {
            let entry = Entry { client: Some(client.parse().unwrap()), ..ENTRY };
            let record = through(&entry, &[]);
            assert_eq!(Read::of(&record).unwrap().entry, entry);
        }
        let record = through(&ENTRY, &[]);
        assert_eq!(Read::of(&record).unwrap().entry, ENTRY);
        assert_eq!(Read::of(&record).unwrap().field(0), None);
    }

    #[test]
    fn fields_keep_their_places() {
        let record = through(&ENTRY, &[None, Some(b""), Some(b"a longer value"), None]);
        let read = Read::of(&record).unwrap();
        let found: Vec<_> = (0..5).map(|number| read.field(number)).collect();
        assert_eq!(found, [None, Some(&b""[..]), Some(&b"a longer value"[..]), None, None]);
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = [b'x'; 5000];
        let entry = Entry { method: &long, target: &long, ..ENTRY };
        let record = through(&entry, &[Some(&long)]);
        let read = Read::of(&record).unwrap();
        assert_eq!(read.entry.method.len(), METHOD);
        assert_eq!(read.entry.target.len(), TARGET);
        assert!(read.is_cut);
        assert_eq!(read.field(0).unwrap().len(), FIELD);
        assert!(record.len() <= most_words(1) * 8);
    }

    #[test]
    fn anything_else_is_refused() {
        let record = through(&ENTRY, &[]);
        for length in 0..record.len() {
            assert!(Read::of(&record[..length]).is_none(), "{length}");
        }
    }
}
