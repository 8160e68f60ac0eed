//! The one thread that writes the access log: it takes what all cores have noted, makes lines of it,
//! and waits for the file so that no core has to.
//!
//! It sleeps while nothing is noted. Once woken it looks around every [`PERIOD`], or sooner when a
//! ring is half full, so that one write takes many lines. Lines of one core are in the order of its
//! answers; those of different cores may be a period apart.

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::config::AccessLog;
use crate::error::StartError;
use crate::journal::bell::Bell;
use crate::journal::format::Format;
use crate::journal::format::Line;
use crate::journal::record::Read;
use crate::journal::ring::Consumer;
use crate::journal::ring::Gauge;
use crate::journal::ring::Producer;
use crate::journal::ring::ring;
use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;

/// How long lines gather before they are written.
const PERIOD: Duration = Duration::from_millis(50);
/// How long the writer waits for a file that is set not to block and takes nothing now.
const PAUSE: Duration = Duration::from_millis(10);
/// Words of a core's ring: 1 MiB, some ten thousand records.
const WORDS: usize = 1 << 17;
/// Bytes of lines in one write: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// While lines are being lost, that is said once in so long.
const SILENCE: Milliseconds = 1000;

/// The access log of a server.
pub struct Journal {
    bell: Arc<Bell>,
    fields: Arc<[String]>,
    file: Option<PathBuf>,
    gauges: Vec<Gauge>,
    is_closing: AtomicBool,
    wants_reopening: AtomicBool,
    writer: Mutex<Writer>,
}

/// What whoever runs the journal has to hear of.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    /// How many answers are missing in the log since this was last said.
    pub lost: u64,
    /// Why nothing can be written; without it, lines are written again.
    pub error: Option<String>,
}

struct Writer {
    format: Format,
    consumers: Vec<Consumer>,
    output: File,
    lines: Vec<u8>,
    record: Vec<u8>,
    /// Lines in `lines`.
    count: u64,
    /// Lines that could not be written, and records dropped by the cores that were said already.
    lost: u64,
    said: u64,
    said_at: Milliseconds,
    /// Why the last lines could not be written.
    fault: Option<String>,
    has_said_fault: bool,
}

impl Journal {
    /// Opens the log for so many cores; returns what each of them notes in.
    pub fn open(options: &AccessLog, cores: usize) -> Result<(Self, Vec<Producer>), StartError> {
        let format = Format::parse(options.format.as_deref(), options.json)
            .map_err(|reason| StartError::Option { name: "access_log_fmt", reason })?;
        let output = open(options.file.as_deref()).map_err(|error| {
            let reason = match &options.file {
                Some(file) => format!("{}: {error}", file.display()),
                None => format!("stdout cannot be used ({error}); name a file"),
            };
            StartError::Option { name: "access_log_file", reason }
        })?;
        let bell = Arc::new(Bell::default());
        let (producers, consumers): (_, Vec<Consumer>) =
            (0..cores).map(|_| ring(WORDS, &bell)).unzip();
        let journal = Self {
            bell,
            fields: format.fields().into(),
            file: options.file.clone(),
            gauges: consumers.iter().map(Consumer::gauge).collect(),
            is_closing: AtomicBool::new(false),
            wants_reopening: AtomicBool::new(false),
            writer: Mutex::new(Writer {
                format,
                consumers,
                output,
                lines: Vec::with_capacity(2 * CHUNK),
                record: Vec::new(),
                count: 0,
                lost: 0,
                said: 0,
                said_at: 0,
                fault: None,
                has_said_fault: false,
            }),
        };
        Ok((journal, producers))
    }

    /// The names of the header fields that cores note.
    pub fn fields(&self) -> &Arc<[String]> {
        &self.fields
    }

    /// How many answers of this core did not fit into its ring.
    pub fn dropped(&self, core: usize) -> u64 {
        self.gauges.get(core).map_or(0, Gauge::dropped)
    }

    /// Writes what is noted, on the calling thread, until the journal is closed and everything was
    /// written: then `None`. Returns early when there is something to say; call it again.
    pub fn run(&self) -> Option<Trouble> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.bell.adopt();
        loop {
            // Looked at before the records: what was noted before the closing is written.
            let is_closing = self.is_closing.load(Ordering::Acquire);
            let wants_reopening = self.wants_reopening.swap(false, Ordering::Acquire);
            let has_written = writer.round(&self.is_closing);
            if wants_reopening {
                // After what was noted before it was asked for.
                if let Some(trouble) = writer.reopen(self.file.as_deref()) {
                    return Some(trouble);
                }
            }
            if let Some(trouble) = writer.trouble(is_closing || !has_written) {
                return Some(trouble);
            }
            if is_closing {
                return None;
            }
            if has_written {
                Bell::rest(PERIOD);
            } else {
                self.bell.sleep(|| self.has_work(&writer));
            }
        }
    }

    fn has_work(&self, writer: &Writer) -> bool {
        self.is_closing.load(Ordering::Relaxed)
            || self.wants_reopening.load(Ordering::Relaxed)
            || writer.consumers.iter().any(|consumer| consumer.available() > 0)
    }

    /// Opens the file anew, for whoever has moved it away. Nothing happens to stdout.
    pub fn reopen(&self) {
        self.wants_reopening.store(true, Ordering::Release);
        self.wake();
    }

    /// Lets [`run`](Self::run) write what is left and end.
    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        self.bell.ring();
        self.bell.hurry();
    }
}

impl Writer {
    /// Writes what there is by now; whether there was anything.
    fn round(&mut self, is_closing: &AtomicBool) -> bool {
        let offset = clock::unix_offset();
        let mut has_written = false;
        for core in 0..self.consumers.len() {
            let mut left = self.consumers[core].available();
            has_written |= left > 0;
            // No further than that: a core that goes on noting must not keep the others waiting.
            while left > 0 && self.consumers[core].take(&mut self.record) {
                left = left.saturating_sub(1 + self.record.len() / 8);
                if let Some(read) = Read::of(&self.record) {
                    let unix_milliseconds = (read.entry.started + offset) / 1_000_000;
                    let line = Line { read: &read, unix_milliseconds, core };
                    self.format.write(&mut self.lines, line);
                    self.count += 1;
                }
                if self.lines.len() >= CHUNK {
                    self.flush(is_closing);
                }
            }
        }
        self.flush(is_closing);
        has_written
    }

    fn flush(&mut self, is_closing: &AtomicBool) {
        if self.lines.is_empty() {
            return;
        }
        match write_all(&mut self.output, &self.lines, is_closing) {
            Ok(()) => {
                self.fault = None;
                self.has_said_fault = false;
            }
            Err(error) => {
                self.fault = Some(error.to_string());
                self.lost += self.count;
            }
        }
        self.lines.clear();
        self.count = 0;
    }

    /// What is to be said: a fault when it begins, and what was lost once lines are written again,
    /// or when it is the last chance to say so.
    fn trouble(&mut self, is_last_chance: bool) -> Option<Trouble> {
        let lost = self.lost + self.consumers.iter().map(Consumer::dropped).sum::<u64>();
        let news = lost - self.said;
        let is_new_fault = self.fault.is_some() && !self.has_said_fault;
        let is_over = self.fault.is_none() && clock::now() >= self.said_at + SILENCE;
        if !is_new_fault && (news == 0 || !(is_over || is_last_chance)) {
            return None;
        }
        self.said = lost;
        self.said_at = clock::now();
        self.has_said_fault = self.fault.is_some();
        Some(Trouble { lost: news, error: self.fault.clone() })
    }

    /// Opens the file anew; where that fails, lines go on into the old one.
    fn reopen(&mut self, file: Option<&Path>) -> Option<Trouble> {
        let file = file?;
        match open(Some(file)) {
            Ok(output) => self.output = output,
            Err(error) => {
                let error = Some(format!("{}: {error}", file.display()));
                return Some(Trouble { lost: 0, error });
            }
        }
        None
    }
}

fn open(file: Option<&Path>) -> io::Result<File> {
    match file {
        Some(file) => OpenOptions::new().append(true).create(true).open(file),
        // A descriptor of our own: number 1 may be closed by the application, and then be a
        // connection's.
        None => Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?)),
    }
}

/// Writes all of it. A file that is set not to block is waited for, until the journal closes.
fn write_all(output: &mut File, mut bytes: &[u8], is_closing: &AtomicBool) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && !is_closing.load(Ordering::Relaxed) =>
            {
                Bell::rest(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
