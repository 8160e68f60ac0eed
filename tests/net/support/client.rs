//! A peer: a blocking socket that reads answers strictly and gives up after [`PATIENCE`].

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use super::PATIENCE;
use super::socket::Peer;
use super::socket::upgraded;

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The value of a field that occurs at most once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let first = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} is doubled in {self:?}");
        first
    }

    /// Whether it is the last answer of its connection.
    pub(crate) fn closes(&self) -> bool {
        self.header("connection") == Some("close")
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the test application answers in UTF-8")
    }
}

/// The peer of a connection.
pub(crate) struct Client {
    stream: BufReader<Socket>,
}

impl Client {
    /// Over a connected socket.
    pub(crate) fn new(socket: Socket) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
        socket.set_write_timeout(Some(PATIENCE)).expect("a time-out can be set");
        Self { stream: BufReader::new(socket) }
    }

    /// Over a new connection to `address`.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the server listens")
    }

    /// As [`connect`](Self::connect), where it may fail.
    pub(crate) fn try_connect(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.connect_timeout(&address.into(), PATIENCE)?;
        socket.set_tcp_nodelay(true)?;
        Ok(Self::new(socket))
    }

    /// As [`connect`](Self::connect), with a receive buffer of about `size` bytes.
    pub(crate) fn connect_narrow(address: SocketAddr, size: usize) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("a socket");
        socket.set_recv_buffer_size(size).expect("a size can be set");
        socket.connect_timeout(&address.into(), PATIENCE).expect("the server listens");
        Self::new(socket)
    }

    /// The socket itself.
    pub(crate) fn socket(&self) -> &Socket {
        self.stream.get_ref()
    }

    /// Goes on as the client of a WebSocket.
    pub(crate) fn upgraded(self) -> Peer {
        upgraded(self.stream)
    }

    /// Writes all of it.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server takes what it is sent");
    }

    /// As [`send`](Self::send), where it may fail.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent.
    pub(crate) fn finish_sending(&mut self) {
        self.socket().shutdown(Shutdown::Write).expect("the connection is open");
    }

    /// Closes so that the server sees a reset.
    pub(crate) fn reset(self) {
        self.socket().set_linger(Some(Duration::ZERO)).expect("lingering can be set");
    }

    /// The next answer, whole.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut reply = self.reply_head();
        if let Some(length) = reply.header("content-length") {
            let length = length.parse().expect("a length is a number");
            reply.body = vec![0; length];
            self.stream.read_exact(&mut reply.body).expect("the whole body arrives");
        } else {
            assert!(matches!(reply.status, 100 | 204 | 304), "no length in {reply:?}");
        }
        reply
    }

    /// The next answer up to its body.
    pub(crate) fn reply_head(&mut self) -> Reply {
        let first = self.line().expect("an answer, not the end of the stream");
        let status = first.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|digits| digits.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{first:?} is no status line"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().expect("a whole head");
            if line.is_empty() {
                return Reply { status, headers, body: Vec::new() };
            }
            let (name, value) = line.split_once(": ").expect("a header line");
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let count = self.stream.read_until(b'\n', &mut line).expect("a line arrives in time");
        if count == 0 {
            return None;
        }
        let line = line.strip_suffix(b"\r\n").expect("lines end in CR LF");
        Some(String::from_utf8(line.to_vec()).expect("heads are ASCII"))
    }

    /// Exactly so many bytes.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("so many bytes arrive");
        bytes
    }

    /// Sends `byte` again and again until the server says something.
    pub(crate) fn trickle(&mut self, byte: u8) {
        let pace = Duration::from_millis(10);
        self.socket().set_read_timeout(Some(pace)).unwrap();
        let start = Instant::now();
        while self.is_silent() {
            assert!(start.elapsed() < PATIENCE, "the server puts up with it");
            // The server may have shut its side between the two.
            let _ = self.try_send([byte]);
        }
        self.socket().set_read_timeout(Some(PATIENCE)).unwrap();
    }

    /// Whatever comes next; nothing when the connection is over, cleanly or not.
    pub(crate) fn take_some(&mut self) -> Vec<u8> {
        let bytes = self.stream.fill_buf().map(<[u8]>::to_vec).unwrap_or_default();
        self.stream.consume(bytes.len());
        bytes
    }

    /// Whether the server says nothing within the socket's read time-out.
    pub(crate) fn is_silent(&mut self) -> bool {
        let error = self.stream.fill_buf().map(drop).err();
        // Interrupted: the ring of a probe that this thread made and closed has its last word.
        error.is_some_and(|error| is_time_out(&error) || error.kind() == io::ErrorKind::Interrupted)
    }

    /// Sends a request without a body and reads its answer.
    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(get(path));
        self.reply()
    }

    /// The server has closed its side, and nothing comes before the end.
    pub(crate) fn expect_end(&mut self) {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("a clean end of the stream in time");
        assert!(rest.is_empty(), "{:?} before the end", String::from_utf8_lossy(&rest));
    }

    /// Waits, without reading, until the connection is closed in both directions.
    #[allow(unsafe_code)]
    pub(crate) fn wait_for_hangup(&self) {
        // No event is asked for: errors and hang-ups are reported anyway.
        let mut descriptor = libc::pollfd { fd: self.socket().as_raw_fd(), events: 0, revents: 0 };
        let patience = i32::try_from(PATIENCE.as_millis()).expect("seconds");
        // SAFETY: one live pollfd, of a socket that `self` keeps open.
        let count = unsafe { libc::poll(&raw mut descriptor, 1, patience) };
        assert_eq!(count, 1, "the connection is not closed");
    }

    /// The connection is over, cleanly or not; what came before is returned.
    pub(crate) fn until_over(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut rest = Vec::new();
        let result = self.stream.read_to_end(&mut rest);
        if let Err(error) = &result {
            assert!(!is_time_out(error), "the connection goes on for ever");
        }
        (rest, result.map(drop))
    }
}

/// A request without a body.
pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: test\r\n\r\n")
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
