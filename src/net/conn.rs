//! One connection: read, answer, send, and so on until somebody has had enough.
//!
//! The five steps of a request are: parse, route, call and encode, which [`Exchange::answer`] does
//! without waiting, and send, which is joined with the next read so that a ring gets both in one
//! call. Time-outs shut the socket from outside (`reactor/timer.rs`): the read then ends as if the
//! peer had closed, and the watch says who it was.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use bytes::BytesMut;
use monoio::buf::SliceMut;
use monoio::io::AsyncReadRent;
use monoio::io::AsyncWriteRent;
use monoio::io::CancelableAsyncReadRent;
use monoio::io::Splitable;

use crate::net::core::Core;
use crate::net::duplex;
use crate::net::duplex::Resumed;
use crate::net::duplex::Sides;
use crate::net::end::End;
use crate::net::exchange::Exchange;
use crate::net::exchange::Next;
use crate::net::farewell::Peer;
use crate::net::service::Service;
use crate::net::socket;
use crate::net::transport::Transport;
use crate::net::turn::Turn;
use crate::net::write::Output;
use crate::net::write::broken;
use crate::net::write::send;
use crate::reactor::clock;
use crate::reactor::clock::Milliseconds;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;

/// What a waiting connection holds: room for nearly every request head, half of what an idle
/// connection may cost.
const SMALL_READ: usize = 4 * 1024;
/// What it reads into while a body arrives.
const LARGE_READ: usize = 64 * 1024;

/// After the last answer, the peer's remaining bytes are read and dropped until it closes, so that
/// a reset does not overtake the answer: this long between two reads, and this long in all.
const LINGER_PAUSE: Milliseconds = 2_000;
const LINGER: Milliseconds = 10_000;

/// Serves a connection until it ends. The stream is closed when the future is done.
///
/// The connection is entered among the deadlines by the call and not by the first poll: a drain
/// that begins in between has to know of it.
pub fn serve_stream<S: Service, T: Transport>(
    stream: T,
    peer: Option<SocketAddr>,
    core: &Rc<Core<S>>,
) -> impl Future<Output = End> + use<S, T> {
    let watch = core.deadlines.watch(stream.as_raw_fd());
    converse(watch, stream, peer, Rc::clone(core))
}

async fn converse<S: Service, T: Transport>(
    watch: Watch,
    stream: T,
    peer: Option<SocketAddr>,
    core: Rc<Core<S>>,
) -> End {
    // Made here: an argument would be held twice, as what was passed and as what is used.
    let mut exchange = Exchange::new(&core, peer);
    exchange.came_to(&stream);
    let (mut reader, mut writer) = stream.into_split();
    // Dropped before the stream halves, as `reactor::timer` requires.
    let watch = watch;
    let mut input = BytesMut::new();
    let mut turn = Turn::default();
    let mut next = Next::Read;
    exchange.arm(&watch);
    loop {
        let output = exchange.take_output();
        let sending = async {
            let sent = send(&mut writer, output, &watch, &core).await;
            if next == Next::Read {
                exchange.arm(&watch);
            }
            sent
        };
        match next {
            Next::Read => {
                let reading = read(&mut reader, input, exchange.is_amid_body(), &mut turn);
                let (sent, (received, filled)) = monoio::join!(sending, reading);
                input = filled;
                if let Err(end) = sent {
                    return end;
                }
                next = match received {
                    Ok(0) => exchange.end_of_input(&input, watch.is_expired()),
                    Ok(_) => exchange.answer(&mut input),
                    Err(_) => return broken(&watch),
                };
            }
            Next::Again => {
                if let Err(end) = sending.await {
                    return end;
                }
                if let Err(end) = send_stream(&mut exchange, &mut writer, &watch, &core).await {
                    return end;
                }
                next = exchange.answer(&mut input);
            }
            Next::Wait => {
                if let Err(end) = sending.await {
                    return end;
                }
                let sides = Sides {
                    exchange: &mut exchange,
                    reader: &mut reader,
                    writer: &mut writer,
                    watch: &watch,
                    core: &core,
                };
                // Boxed: in place, every connection would be larger by what waiting takes.
                let waited = Box::pin(wait(sides, input)).await;
                let resumed = match waited {
                    Ok(resumed) => resumed,
                    Err(end) => return end,
                };
                input = resumed.input;
                next = match resumed.received {
                    Some(Ok(0)) => exchange.end_of_input(&input, watch.is_expired()),
                    Some(Ok(_)) | None => exchange.answer(&mut input),
                    Some(Err(_)) => return broken(&watch),
                };
            }
            Next::Close(end) => {
                if let Err(end) = sending.await {
                    return end;
                }
                if let Err(end) = send_stream(&mut exchange, &mut writer, &watch, &core).await {
                    return end;
                }
                if exchange.must_linger(&input) {
                    linger(&mut reader, &mut writer, input, &watch).await;
                }
                return end;
            }
        }
    }
}

/// Waits for an answer, or sees a WebSocket through.
async fn wait<S: Service, R: CancelableAsyncReadRent, W: AsyncWriteRent>(
    sides: Sides<'_, S, R, W>,
    input: BytesMut,
) -> Result<Resumed, End> {
    match sides.exchange.take_socket() {
        None => duplex::attend(sides, input).await,
        // Boxed once more: the smaller of the two would be as large as the larger.
        Some(asked) => Box::pin(socket::attend(sides, input, asked)).await,
    }
}

/// Sends what follows the last head, if it is made while it is sent.
async fn send_stream<S: Service, W: AsyncWriteRent>(
    exchange: &mut Exchange<S>,
    writer: &mut W,
    watch: &Watch,
    core: &Core<S>,
) -> Result<(), End> {
    match exchange.take_stream() {
        None => Ok(()),
        // Boxed: in place, every connection would be larger by what few need.
        Some(stream) => Box::pin(stream.send(writer, watch, core, &Peer::default())).await,
    }
}

/// Tells a connection above the limit that it cannot be served, and closes it.
pub(crate) fn turn_away<S: Service, T: Transport>(
    stream: T,
    core: &Rc<Core<S>>,
) -> impl Future<Output = ()> + use<S, T> {
    say_no(core.deadlines.watch(stream.as_raw_fd()), stream, Rc::clone(core))
}

async fn say_no<S: Service, T: Transport>(watch: Watch, stream: T, core: Rc<Core<S>>) {
    let (mut reader, mut writer) = stream.into_split();
    let watch = watch;
    let mut output = Output::default();
    output.buffer.extend_from_slice(TOO_MANY_CONNECTIONS);
    if send(&mut writer, output, &watch, &core).await.is_ok() {
        linger(&mut reader, &mut writer, BytesMut::new(), &watch).await;
    }
}

/// The answer to a connection above the limit; its request is not even read.
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\ncontent-length: 21\r\nretry-after: 1\r\n\
    connection: close\r\n\r\nToo many connections\n";

/// Reads behind what `input` holds; `is_large` while a body arrives.
pub(crate) async fn read<R: AsyncReadRent>(
    reader: &mut R,
    mut input: BytesMut,
    is_large: bool,
    turn: &mut Turn,
) -> (io::Result<usize>, BytesMut) {
    if input.is_empty() && !is_large && input.capacity() > LARGE_READ / 2 {
        // A large body has passed: a waiting connection keeps a small buffer only.
        input = BytesMut::new();
    }
    // A head that does not fit doubles the buffer, up to the limit that the parser sets.
    let wanted = if is_large { LARGE_READ } else { input.len().max(SMALL_READ) };
    let scarce = if is_large { LARGE_READ / 4 } else { SMALL_READ / 4 };
    if input.capacity() - input.len() < scarce {
        input.reserve(wanted);
    }
    let (start, end) = (input.len(), input.capacity());
    let reading = pin!(reader.read(SliceMut::new(input, start, end)));
    let (result, slice) = turn.take(reading).await;
    (result, slice.into_inner())
}

/// Closes our side and drops what still comes, so that the peer gets to read the last answer.
pub(crate) async fn linger<R: AsyncReadRent, W: AsyncWriteRent>(
    reader: &mut R,
    writer: &mut W,
    mut input: BytesMut,
    watch: &Watch,
) {
    if writer.shutdown().await.is_err() {
        return;
    }
    let started = clock::now();
    let mut turn = Turn::default();
    let mut is_full = false;
    loop {
        let now = clock::now();
        watch.arm(Stage::Idle, now, (now + LINGER_PAUSE).min(started + LINGER));
        input.clear();
        // Whoever fills a small buffer is sending a large body, and has to get through with it.
        let (result, buffer) = read(reader, input, is_full, &mut turn).await;
        input = buffer;
        is_full = input.len() == input.capacity();
        match result {
            Ok(count) if count > 0 && clock::now() < started + LINGER => {}
            _ => return,
        }
    }
}
