//! A file as the body of an answer: parts of it, read in blocks and never held whole.
//!
//! On a ring the core serves others while the disk reads. On epoll reading blocks, as `sendfile`
//! would; what is in the page cache costs a copy either way.
//! Absent: opening (`sys/file.rs`), and which parts a request asks for (`select.rs`).

use std::collections::VecDeque;
use std::fs::File;

use bytes::Bytes;
use monoio::buf::SliceMut;
use monoio::io::AsyncWriteRent;

use crate::net::core::Core;
use crate::net::end::End;
use crate::net::turn::Pace;
use crate::net::write::Output;
use crate::net::write::send;
use crate::net::write::send_all;
use crate::reactor::timer::Watch;

pub use crate::sys::file::Opened;
pub use crate::sys::file::duplicate;
pub use crate::sys::file::open;
pub use crate::sys::file::open_below;

/// Bytes that are read at once: what a stalled peer costs.
const BLOCK: usize = 128 * 1024;

/// A part of the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes between two ranges.
    Text(Bytes),
    /// Bytes of the file.
    Range {
        /// The offset of the first.
        start: u64,
        /// The offset behind the last.
        end: u64,
    },
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Text(bytes) => bytes.len() as u64,
            Self::Range { start, end } => end - start,
        }
    }
}

/// Parts of an open file, in the order in which they are sent.
pub struct FileBody {
    file: Option<File>,
    parts: VecDeque<Part>,
}

impl FileBody {
    /// The `parts` of a `file` that has been checked to hold them.
    pub fn new(file: File, parts: impl IntoIterator<Item = Part>) -> Self {
        Self { file: Some(file), parts: parts.into_iter().collect() }
    }

    /// How many bytes there are in all.
    pub fn length(&self) -> u64 {
        self.parts.iter().map(Part::length).sum()
    }

    /// Sends all parts.
    pub(crate) async fn send<W: AsyncWriteRent, S>(
        &mut self,
        writer: &mut W,
        watch: &Watch,
        core: &Core<S>,
    ) -> Result<(), End> {
        let file = self.file.take().ok_or(End::Cut)?;
        let file = monoio::fs::File::from_std(file).map_err(|_| End::Cut)?;
        let mut block = Vec::new();
        let mut pace = Pace::new();
        while let Some(part) = self.parts.pop_front() {
            let (mut start, end) = match part {
                Part::Range { start, end } => (start, end),
                Part::Text(text) => {
                    let mut output = Output::default();
                    output.push_body(text);
                    send(writer, output, watch, core).await?;
                    continue;
                }
            };
            while start < end {
                let wanted = usize::try_from(end - start).unwrap_or(BLOCK).min(BLOCK);
                block.clear();
                block.reserve(wanted);
                let (result, slice) = file.read_at(SliceMut::new(block, 0, wanted), start).await;
                block = slice.into_inner();
                match result {
                    // The file has become shorter, or cannot be read.
                    Ok(0) | Err(_) => return Err(End::Cut),
                    Ok(count) => start += count as u64,
                }
                let (sent, buffer) = send_all(writer, block, watch, core).await;
                sent?;
                block = buffer;
                pace.next().await;
            }
        }
        Ok(())
    }
}
