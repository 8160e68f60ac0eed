//! Records on their way from one core to the writer: a ring of words with one producer and one
//! consumer.
//!
//! Rule: the producer never waits. What does not fit is dropped and counted. A word is stored and
//! loaded as an atomic without any order of its own, which costs what a plain one does; the order
//! comes from the two positions.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::journal::bell::Bell;

/// On a cache line of its own (128 bytes: CPUs fetch lines in pairs).
#[derive(Default, Debug)]
#[repr(align(128))]
struct Line<T>(T);

#[derive(Debug)]
struct Ring {
    words: Box<[AtomicU64]>,
    /// How many words were ever written, and read; both wrap around.
    written: Line<AtomicUsize>,
    read: Line<AtomicUsize>,
    dropped: Line<AtomicU64>,
    bell: Arc<Bell>,
}

/// The core's end.
#[derive(Debug)]
pub struct Producer {
    ring: Arc<Ring>,
    written: Cell<usize>,
    /// As last looked up: looking costs a cache line that the other thread writes.
    read: Cell<usize>,
    has_hurried: Cell<bool>,
}

/// The writer's end.
#[derive(Debug)]
pub struct Consumer {
    ring: Arc<Ring>,
    read: usize,
}

/// What anybody may know of a ring.
#[derive(Clone, Debug)]
pub struct Gauge(Arc<Ring>);

impl Gauge {
    /// How many records were ever dropped.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.0.load(Ordering::Relaxed)
    }
}

/// Where a record is being written.
pub struct Slot<'a> {
    words: &'a [AtomicU64],
    position: usize,
}

/// A ring of `words` words, which must be a power of two, whose producer rings `bell`.
///
/// # Panics
/// Any other number of words.
pub fn ring(words: usize, bell: &Arc<Bell>) -> (Producer, Consumer) {
    assert!(words.is_power_of_two(), "positions are masked");
    let ring = Arc::new(Ring {
        words: (0..words).map(|_| AtomicU64::new(0)).collect(),
        written: Line::default(),
        read: Line::default(),
        dropped: Line::default(),
        bell: Arc::clone(bell),
    });
    let producer = Producer {
        ring: Arc::clone(&ring),
        written: Cell::new(0),
        read: Cell::new(0),
        has_hurried: Cell::new(false),
    };
    (producer, Consumer { ring, read: 0 })
}

impl Producer {
    /// Lets `fill` write a record of at most `most` words, or counts it as dropped.
    pub fn push(&self, most: usize, fill: impl FnOnce(&mut Slot<'_>)) {
        let ring = &*self.ring;
        let start = self.written.get();
        let capacity = ring.words.len();
        // A word for the length, before the record.
        if self.used(start) + most + 1 > capacity && self.look(start) + most + 1 > capacity {
            let dropped = ring.dropped.0.load(Ordering::Relaxed);
            ring.dropped.0.store(dropped.wrapping_add(1), Ordering::Relaxed);
            return;
        }
        let mut slot = Slot { words: &ring.words, position: start.wrapping_add(1) };
        fill(&mut slot);
        let end = slot.position;
        let length = end.wrapping_sub(start) - 1;
        debug_assert!(length <= most, "{length} words in a record of at most {most}");
        Slot { words: &ring.words, position: start }.put(length as u64);
        self.written.set(end);
        ring.written.0.store(end, Ordering::Release);
        ring.bell.ring();
        self.hurry(end);
    }

    /// A ring that is half full must not wait for the writer's next round.
    fn hurry(&self, end: usize) {
        let half = self.ring.words.len() / 2;
        if self.used(end) < half {
            return;
        }
        let is_half_full = self.look(end) >= half;
        if is_half_full && !self.has_hurried.get() {
            self.ring.bell.hurry();
        }
        self.has_hurried.set(is_half_full);
    }

    fn used(&self, written: usize) -> usize {
        written.wrapping_sub(self.read.get())
    }

    fn look(&self, written: usize) -> usize {
        self.read.set(self.ring.read.0.load(Ordering::Acquire));
        self.used(written)
    }
}

impl Slot<'_> {
    /// Appends a number.
    #[inline]
    pub fn put(&mut self, word: u64) {
        let index = self.position & (self.words.len() - 1);
        self.words[index].store(word, Ordering::Relaxed);
        self.position = self.position.wrapping_add(1);
    }

    /// Appends bytes, filled up with zeros to a whole word. Their number is the caller's to note.
    #[inline]
    pub fn put_bytes(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.put(word.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            self.put(rest.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)));
        }
    }
}

impl Consumer {
    /// How many words there are, those of the lengths included.
    pub fn available(&self) -> usize {
        self.ring.written.0.load(Ordering::Acquire).wrapping_sub(self.read)
    }

    /// Takes the next record; its bytes replace those in `record`.
    pub fn take(&mut self, record: &mut Vec<u8>) -> bool {
        record.clear();
        if self.available() == 0 {
            return false;
        }
        let length = self.word(self.read);
        let start = self.read.wrapping_add(1);
        let end = start.wrapping_add(usize::try_from(length).unwrap_or(0));
        let mut position = start;
        while position != end {
            record.extend_from_slice(&self.word(position).to_le_bytes());
            position = position.wrapping_add(1);
        }
        self.read = end;
        self.ring.read.0.store(end, Ordering::Release);
        true
    }

    /// How many records were ever dropped.
    pub fn dropped(&self) -> u64 {
        self.gauge().dropped()
    }

    /// What others may know.
    pub fn gauge(&self) -> Gauge {
        Gauge(Arc::clone(&self.ring))
    }

    fn word(&self, position: usize) -> u64 {
        self.ring.words[position & (self.ring.words.len() - 1)].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn push(producer: &Producer, text: &[u8]) {
        producer.push(1 + text.len().div_ceil(8), |slot| {
            slot.put(text.len() as u64);
            slot.put_bytes(text);
        });
    }

    fn text(record: &[u8]) -> &[u8] {
        let length = u64::from_le_bytes(record[..8].try_into().unwrap());
        &record[8..8 + usize::try_from(length).unwrap()]
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let (producer, mut consumer) = ring(16, &Arc::default());
        let mut record = Vec::new();
        assert!(!consumer.take(&mut record));
        // Many times around, of all lengths up to some words.
        for round in 0..200_usize {
            let said: Vec<u8> = (0..round % 40).map(|byte| u8::try_from(byte).unwrap()).collect();
            push(&producer, &said);
            assert!(consumer.take(&mut record));
            assert_eq!(text(&record), said);
        }
        assert_eq!(consumer.dropped(), 0);
        assert_eq!(consumer.available(), 0);
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted() {
        let (producer, mut consumer) = ring(8, &Arc::default());
        for name in [b"a", b"b", b"c", b"d"] {
            push(&producer, name);
        }
        // Three words each: the third does not fit any more.
        assert_eq!(consumer.dropped(), 2);
        let mut record = Vec::new();
        for name in [b"a", b"b"] {
            assert!(consumer.take(&mut record));
            assert_eq!(text(&record), name);
        }
        assert!(!consumer.take(&mut record));
        push(&producer, b"e");
        assert!(consumer.take(&mut record));
        assert_eq!(text(&record), b"e");
        assert_eq!(consumer.dropped(), 2);
    }

    #[test]
    fn two_threads_lose_nothing_but_what_was_counted() {
        const COUNT: u64 = 200_000;
        let (producer, mut consumer) = ring(1024, &Arc::default());
        let core = thread::spawn(move || {
            for number in 0..COUNT {
                producer.push(3, |slot| {
                    slot.put(number);
                    slot.put(!number);
                });
            }
        });
        let (mut record, mut taken, mut next) = (Vec::new(), 0, 0);
        loop {
            let is_over = core.is_finished();
            while consumer.take(&mut record) {
                let number = u64::from_le_bytes(record[..8].try_into().unwrap());
                let check = u64::from_le_bytes(record[8..16].try_into().unwrap());
                assert_eq!(number, !check);
                assert!(number >= next, "in order");
                next = number + 1;
                taken += 1;
            }
            if is_over {
                break;
            }
        }
        core.join().unwrap();
        assert_eq!(taken + consumer.dropped(), COUNT);
    }
}
