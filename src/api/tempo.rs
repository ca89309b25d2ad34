//! How fast a body has to arrive: without long pauses, at a minimum rate, and an upload within its timeout.
//!
//! Only time spent waiting for the sender counts for the rate, not time spent on our own disk.

use std::io;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use super::broken::Broken;

/// The required speed of a sender.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tempo {
    /// The maximum pause, and the time over which the rate is measured.
    pub(super) pause: Duration,
    /// Minimum bytes per second.
    pub(super) least: u64,
    /// Timeout for the whole body; `None` if it is limited elsewhere.
    pub(super) whole: Option<Duration>,
}

/// The pieces of a body; ends with an error once they come too slowly.
pub(super) fn paced(body: Body, tempo: Tempo) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let incoming = Incoming {
        pieces: body.into_data_stream(),
        tempo,
        ends: tempo.whole.map(|whole| (Instant::now() + whole, whole)),
        waited: Duration::ZERO,
        came: 0,
    };
    stream::try_unfold(incoming, |mut incoming| async {
        let piece = incoming.next().await?;
        Ok(piece.map(|piece| (piece, incoming)))
    })
}

struct Incoming {
    pieces: BodyDataStream,
    tempo: Tempo,
    /// When it must have come to its end, and how long that was.
    ends: Option<(Instant, Duration)>,
    /// Time spent waiting for the sender since the last check of the rate.
    waited: Duration,
    /// Bytes received since.
    came: u64,
}

impl Incoming {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let begun = Instant::now();
        let (mut since, stalls) = (begun, begun + self.tempo.pause);
        loop {
            let looks = since + self.tempo.pause.saturating_sub(self.waited);
            let until = self.ends.map_or(looks, |(ends, _)| looks.min(ends)).min(stalls);
            let piece = timeout_at(until, self.pieces.next()).await;
            let now = Instant::now();
            if let Some((_, whole)) = self.ends.filter(|(ends, _)| now >= *ends) {
                return Err(io::Error::other(Broken::UploadTooLong(whole)));
            }
            self.waited += now.duration_since(since);
            since = now;
            match piece {
                Ok(Some(piece)) => {
                    let piece = piece.map_err(io::Error::other)?;
                    self.came = self.came.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                    return Ok(Some(piece));
                }
                Ok(None) => return Ok(None),
                Err(_) if now >= stalls => return Err(io::Error::other(Broken::Stalled(self.tempo.pause))),
                Err(_) => self.look()?,
            }
        }
    }

    /// Checks whether enough arrived in the time that was waited, and starts a new measurement.
    fn look(&mut self) -> io::Result<()> {
        let (least, pause) = (self.tempo.least, self.tempo.pause);
        if u128::from(self.came) * 1000 < u128::from(least) * pause.as_millis() {
            return Err(io::Error::other(Broken::TooSlow { least, pause }));
        }
        (self.waited, self.came) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEMPO: Tempo =
        Tempo { pause: Duration::from_secs(1), least: 1000, whole: Some(Duration::from_secs(2)) };

    /// The result for an endless body of this many bytes per interval; and after how long.
    async fn sent(bytes: usize, every: Duration, tempo: Tempo) -> (String, Duration) {
        let begun = Instant::now();
        let pieces = stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            Some((io::Result::Ok(Bytes::from(vec![b'x'; bytes])), ()))
        });
        let mut pieces = std::pin::pin!(paced(Body::from_stream(pieces), tempo));
        loop {
            if let Err(error) = pieces.next().await.expect("it has no end") {
                return (error.to_string(), begun.elapsed());
            }
        }
    }

    #[tokio::test]
    async fn a_body_ends_in_an_error_where_it_pauses_drips_or_takes_too_long() {
        let (long, short) = (Duration::from_mins(1), Duration::from_millis(50));
        let table = [
            (5000, long, TEMPO, "no byte of the body came for 1s", 1),
            (1, short, TEMPO, "slower than 1000 bytes a second for 1s (intake.min_rate)", 1),
            (5000, short, TEMPO, "the upload took longer than 2s (intake.upload_timeout)", 2),
            (1, short, Tempo { least: 0, ..TEMPO }, "the upload took longer than 2s", 2),
        ];
        for (bytes, every, tempo, told, least) in table {
            let (error, took) = sent(bytes, every, tempo).await;
            assert!(error.contains(told), "{bytes} every {every:?}: {error}");
            assert!(took >= Duration::from_secs(least), "{bytes} every {every:?}: {took:?}");
        }
    }

    #[tokio::test]
    async fn what_is_done_between_two_pieces_is_not_held_against_the_sender() {
        let tempo = Tempo { pause: Duration::from_millis(50), whole: None, ..TEMPO };
        let sizes = stream::iter([1, 1, 1]).map(|size| io::Result::Ok(Bytes::from(vec![b'x'; size])));
        let mut pieces = std::pin::pin!(paced(Body::from_stream(sizes), tempo));
        while let Some(piece) = pieces.next().await {
            assert_eq!(piece.unwrap().len(), 1);
            tokio::time::sleep(tempo.pause * 2).await;
        }
    }
}
