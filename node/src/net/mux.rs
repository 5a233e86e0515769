//! Yamux with bounds: how many streams a peer may hold open, and how much one connection may make this node keep.
//!
//! libp2p's own wrapper cannot set the bounds of yamux 0.13 (it would fall back to 0.12, whose queue of answers to
//! pings has no bound). A peer that opens too many streams loses the connection, and the error says why.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::iter;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use futures::{AsyncRead, AsyncWrite, ready};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use yamux::{Connection, ConnectionError, Mode};

use super::conduct::{MAX_PEER_STREAMS, MAX_STREAMS};

/// What yamux promises every stream unasked, bytes.
const CREDIT: usize = 256 * 1024;
/// What streams that are read fast may have beyond it, all of one connection together, bytes.
const EXTRA: usize = 16 * 1024 * 1024;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum MuxError {
    /// The peer holds too many streams open.
    #[error("the peer opened more than {MAX_PEER_STREAMS} streams")]
    TooManyStreams,
    /// Yamux, or the connection below it.
    #[error(transparent)]
    Yamux(#[from] ConnectionError),
}

/// The upgrade of an authenticated connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounded;

impl Bounded {
    fn on<C: AsyncRead + AsyncWrite + Unpin>(connection: C, mode: Mode) -> Muxer<C> {
        let mut config = yamux::Config::default();
        // The order matters: each setter checks the other's value.
        config.set_max_num_streams(MAX_STREAMS);
        config.set_max_connection_receive_window(Some(MAX_STREAMS * CREDIT + EXTRA));
        config.set_read_after_close(false);
        Muxer {
            connection: Connection::new(connection, config, mode),
            live: Arc::new(AtomicUsize::new(0)),
            arrived: VecDeque::new(),
            waker: None,
        }
    }
}

impl UpgradeInfo for Bounded {
    type Info = &'static str;
    type InfoIter = iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<C> for Bounded {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_inbound(self, connection: C, _: Self::Info) -> Self::Future {
        ready(Ok(Self::on(connection, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<C> for Bounded {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<Result<Muxer<C>, io::Error>>;

    fn upgrade_outbound(self, connection: C, _: Self::Info) -> Self::Future {
        ready(Ok(Self::on(connection, Mode::Client)))
    }
}

/// One connection's streams.
pub(super) struct Muxer<C> {
    connection: Connection<C>,
    /// Streams that the peer opened and that are not dropped yet.
    live: Arc<AtomicUsize>,
    /// Streams that arrived while nobody asked; at most [`MAX_PEER_STREAMS`].
    arrived: VecDeque<Substream>,
    waker: Option<Waker>,
}

/// A stream; the peer's are counted until they are dropped.
pub(super) struct Substream {
    stream: yamux::Stream,
    counted: Option<Arc<AtomicUsize>>,
}

impl Drop for Substream {
    fn drop(&mut self) {
        if let Some(live) = &self.counted {
            live.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Muxer<C> {
    fn next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Substream, MuxError>> {
        let stream = ready!(self.connection.poll_next_inbound(cx))
            .ok_or(MuxError::Yamux(ConnectionError::Closed))??;
        let before = self.live.fetch_add(1, Ordering::Relaxed);
        let stream = Substream {
            stream,
            counted: Some(self.live.clone()),
        };
        if before >= MAX_PEER_STREAMS {
            return Poll::Ready(Err(MuxError::TooManyStreams));
        }
        Poll::Ready(Ok(stream))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<C> {
    type Substream = Substream;
    type Error = MuxError;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Substream, MuxError>> {
        if let Some(stream) = self.arrived.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.next(cx);
        if next.is_pending() {
            self.waker = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Substream, MuxError>> {
        let stream = ready!(self.connection.poll_new_outbound(cx))?;
        Poll::Ready(Ok(Substream {
            stream,
            counted: None,
        }))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), MuxError>> {
        Poll::Ready(Ok(ready!(self.connection.poll_close(cx))?))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, MuxError>> {
        let stream = ready!(self.next(cx))?;
        // `next` refuses more than may be held, so this queue is bounded by the same number.
        self.arrived.push_back(stream);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncRead for Substream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Substream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// Whether a connection ended because its peer opened too many streams.
pub(super) fn too_many_streams(error: &io::Error) -> bool {
    let found = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<MuxError>());
    matches!(found, Some(MuxError::TooManyStreams))
}
