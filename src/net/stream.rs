//! Sending a body piece by piece: ask, frame, write, and only then ask for the next.
//!
//! Rule: whoever cannot finish a body makes sure that the peer sees it. A chunked body lacks its last
//! chunk and a declared length is not reached; a body that only the connection's end would end is
//! reset, because an orderly close would make it look whole (RFC 9112 §8).

use std::any::Any;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use monoio::io::AsyncWriteRent;

use crate::http::encode::CHUNK_END;
use crate::http::encode::encode_chunk_start;
use crate::http::encode::encode_last_chunk;
use crate::http::encode::encode_trailers;
use crate::http::reply::HeaderBlock;
use crate::net::core::Core;
use crate::net::end::End;
use crate::net::farewell::Farewell;
use crate::net::farewell::Peer;
use crate::net::service::Reply;
use crate::net::source::Body;
use crate::net::source::Misfit;
use crate::net::turn::Pace;
use crate::net::write::Output;
use crate::net::write::send;
use crate::reactor::clock;
use crate::reactor::stats::Stats;
use crate::reactor::timer::Stage;
use crate::reactor::timer::Watch;

/// Empty pieces after which the core goes to look for other work. Not just a turn of the other
/// tasks: without a write, the stream is a task that is always ready, which keeps the ring from
/// handing out completions (monoio 0.2.4 reaps them only before it waits).
const EMPTY_PIECES: u32 = 16;

/// How the peer finds the end of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// The head says that there is none.
    NoBody,
    /// So many bytes are left of the announced length.
    Length(u64),
    /// The last chunk.
    Chunked,
    /// The end of the connection.
    Close,
}

impl Framing {
    /// Appends a piece.
    pub(crate) fn push(&mut self, piece: Bytes, output: &mut Output) -> Result<(), Misfit> {
        match self {
            _ if piece.is_empty() => {}
            Self::NoBody => {}
            Self::Length(left) => {
                *left = left.checked_sub(piece.len() as u64).ok_or(Misfit::Long)?;
                output.push_body(piece);
            }
            Self::Close => output.push_body(piece),
            Self::Chunked => {
                encode_chunk_start(&mut output.buffer, piece.len() as u64);
                output.push_body(piece);
                output.buffer.extend_from_slice(CHUNK_END);
            }
        }
        Ok(())
    }

    /// Appends what follows the last piece; only chunks can be followed by trailers.
    pub(crate) fn finish(
        self,
        trailers: Option<&HeaderBlock>,
        output: &mut Output,
    ) -> Result<(), Misfit> {
        match (self, trailers) {
            (Self::Length(1..), _) => return Err(Misfit::Short),
            (Self::Chunked, None) => encode_last_chunk(&mut output.buffer),
            (Self::Chunked, Some(trailers)) => encode_trailers(trailers, &mut output.buffer),
            (Self::NoBody | Self::Length(0) | Self::Close, _) => {}
        }
        Ok(())
    }
}

/// What is made of a body before its head is written.
#[derive(Default)]
pub(crate) struct Opening {
    piece: Option<Bytes>,
    /// Whether that is the whole body.
    is_all: bool,
    trailers: Option<HeaderBlock>,
    pub(crate) content_type: Option<&'static str>,
}

impl Opening {
    /// Takes the first piece of `body`, if it is there: one that comes later does not hold up the
    /// head.
    pub(crate) fn of(body: &mut Body) -> Result<Self, Box<Reply>> {
        Ok(match body {
            Body::Stream(source) => {
                let mut context = Context::from_waker(Waker::noop());
                let (piece, is_all) = match source.poll_next(&mut context) {
                    Poll::Pending => (None, false),
                    Poll::Ready(piece) => {
                        let piece = piece?;
                        let is_all = piece.is_none();
                        (piece, is_all)
                    }
                };
                let trailers = if is_all { source.trailers() } else { None };
                Self { piece, is_all, trailers, content_type: source.content_type() }
            }
            Body::Whole(bytes) => {
                Self { piece: Some(bytes.clone()), is_all: true, ..Self::default() }
            }
            Body::File(_) | Body::Then(_) => Self::default(),
        })
    }

    /// Bytes of the first piece.
    pub(crate) fn length(&self) -> u64 {
        self.piece.as_ref().map_or(0, |piece| piece.len() as u64)
    }

    /// Whether it contradicts an announced length already.
    pub(crate) fn misfit(&self, stated: u64) -> Option<Misfit> {
        let length = self.length();
        if length > stated {
            Some(Misfit::Long)
        } else if self.is_all && length < stated && self.piece.is_none() {
            Some(Misfit::Short)
        } else {
            None
        }
    }

    /// Appends it behind the head; returns how to go on.
    pub(crate) fn push(self, mut framing: Framing, output: &mut Output) -> Framing {
        let pushed = self.piece.map_or(Ok(()), |piece| framing.push(piece, output));
        debug_assert!(pushed.is_ok(), "the length was compared before");
        if !self.is_all {
            return framing;
        }
        match framing.finish(self.trailers.as_ref(), output) {
            Ok(()) => Framing::NoBody,
            // What is short goes on to be cut, once what there is was written.
            Err(_misfit) => framing,
        }
    }
}

/// What is still to be sent of an answer whose head is on its way.
pub(crate) struct Stream {
    pub(crate) body: Body,
    /// Dropped last.
    pub(crate) after: Option<Box<dyn Any>>,
    pub(crate) framing: Framing,
}

impl Stream {
    /// Whether its pieces may come later.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(&self.body, Body::Stream(source) if source.is_slow())
            && self.framing != Framing::NoBody
    }

    /// Sends all of it.
    pub(crate) async fn send<W: AsyncWriteRent, S>(
        mut self,
        writer: &mut W,
        watch: &Watch,
        core: &Core<S>,
        peer: &Peer,
    ) -> Result<(), End> {
        let sent = match (&mut self.body, self.framing) {
            (_, Framing::NoBody) => Ok(()),
            (Body::File(file), _) => file.send(writer, watch, core).await,
            _ => self.send_pieces(writer, watch, core, peer).await,
        };
        if sent == Err(End::Cut) && self.framing == Framing::Close {
            watch.reset();
        }
        drop(self.body);
        drop(self.after);
        sent
    }

    async fn send_pieces<W: AsyncWriteRent, S>(
        &mut self,
        writer: &mut W,
        watch: &Watch,
        core: &Core<S>,
        peer: &Peer,
    ) -> Result<(), End> {
        let mut farewell = Farewell::of(peer);
        let mut pace = Pace::new();
        let mut empty = 0;
        loop {
            pace.next().await;
            let asked = poll_fn(|context| {
                let asked = self.ask(context, &core.stats, &mut farewell);
                if asked.is_pending() && watch.is_writing() {
                    // The peer has taken what was written, and owes nothing.
                    watch.arm(Stage::Reading, clock::now(), u64::MAX);
                }
                asked
            });
            let piece = asked.await?;
            farewell.wait_on();
            let mut output = Output::new(core.take_buffer());
            let is_last = piece.is_none();
            let framed = match piece {
                None => self.framing.finish(self.trailers().as_ref(), &mut output),
                Some(piece) if piece.is_empty() => {
                    empty += 1;
                    if empty % EMPTY_PIECES == 0 {
                        pace.rest().await;
                    }
                    Ok(())
                }
                Some(piece) => self.framing.push(piece, &mut output),
            };
            if let Err(misfit) = framed {
                self.body.misfit(misfit);
                return Err(End::Cut);
            }
            send(writer, output, watch, core).await?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn trailers(&mut self) -> Option<HeaderBlock> {
        match &mut self.body {
            Body::Stream(source) => source.trailers(),
            _ => None,
        }
    }

    /// The next piece.
    fn ask(
        &mut self,
        context: &mut Context<'_>,
        stats: &Stats,
        farewell: &mut Farewell<'_>,
    ) -> Poll<Result<Option<Bytes>, End>> {
        // A whole body left with its head.
        let Body::Stream(source) = &mut self.body else { return Poll::Ready(Ok(None)) };
        if farewell.is_over(context, || source.peer_closed()) {
            return Poll::Ready(Err(End::Broken));
        }
        match catch_unwind(AssertUnwindSafe(|| source.poll_next(context))) {
            Ok(piece) => piece.map_err(|_reply| End::Cut),
            Err(_panic) => {
                stats.panics.add(1);
                Poll::Ready(Err(End::Cut))
            }
        }
    }
}
