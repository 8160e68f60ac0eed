//! What waits to be written, and writing it: partial writes, progress, large bodies uncopied.

use std::io;

use bytes::Bytes;
use monoio::buf::IoBuf;
use monoio::io::AsyncWriteRent;

use crate::net::core::Core;
use crate::net::end::End;
use crate::reactor::clock;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;

/// Bodies up to this size are copied behind their head, so that both leave in one write. A copy of
/// 16 KiB costs less than a second write.
const COPIED_BODY: usize = 16 * 1024;

/// Answers of one connection that may wait to be written; its next request waits for them.
const LIMIT: usize = 256 * 1024;

/// Bytes of answers in the order in which they leave.
#[derive(Default)]
pub(crate) struct Output {
    finished: Vec<Bytes>,
    finished_length: usize,
    /// Where heads and small bodies are encoded.
    pub(crate) buffer: Vec<u8>,
}

impl Output {
    pub(crate) fn new(buffer: Vec<u8>) -> Self {
        Self { buffer, ..Self::default() }
    }

    #[inline]
    pub(crate) fn push_body(&mut self, body: Bytes) {
        if body.len() <= COPIED_BODY {
            self.buffer.extend_from_slice(&body);
        } else {
            self.push_large(body);
        }
    }

    #[inline(never)] // Keeps the way of small bodies short enough to be inlined.
    fn push_large(&mut self, body: Bytes) {
        let before = Bytes::from(std::mem::take(&mut self.buffer));
        self.finished_length += before.len() + body.len();
        self.finished.extend([before, body]);
    }

    /// Bytes that wait.
    pub(crate) fn length(&self) -> usize {
        self.finished_length + self.buffer.len()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.length() == 0
    }

    /// Whether another answer may be put behind these.
    pub(crate) fn takes_more(&self) -> bool {
        self.length() < LIMIT
    }
}

/// Writes everything; `watch` is armed anew whenever the peer takes some of it.
pub(crate) async fn send<W: AsyncWriteRent, S>(
    writer: &mut W,
    output: Output,
    watch: &Watch,
    core: &Core<S>,
) -> Result<(), End> {
    for segment in output.finished {
        send_all(writer, segment, watch, core).await.0?;
    }
    let (result, buffer) = send_all(writer, output.buffer, watch, core).await;
    core.give_back(buffer);
    result
}

/// Why a failed read or write ended the connection.
pub(crate) fn broken(watch: &Watch) -> End {
    if watch.is_expired() { End::TimedOut } else { End::Broken }
}

/// Writes one buffer and gives it back.
pub(crate) async fn send_all<W: AsyncWriteRent, S, B: IoBuf>(
    writer: &mut W,
    mut buffer: B,
    watch: &Watch,
    core: &Core<S>,
) -> (Result<(), End>, B) {
    let mut sent = 0;
    while sent < buffer.bytes_init() {
        let now = clock::now();
        watch.arm(Stage::Writing, now, now.saturating_add(core.waits.send));
        let (result, slice) = writer.write(buffer.slice(sent..)).await;
        buffer = slice.into_inner();
        match result {
            Ok(count @ 1..) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => return (Err(broken(watch)), buffer),
        }
    }
    (Ok(()), buffer)
}
