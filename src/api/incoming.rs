//! Request bodies from the wire: decompressed if they are gzip, and aborted if they arrive too slowly.
//!
//! Invariant: nothing here holds more than a piece of a body, except JSON, which has a limit per body and one for all
//! together.

use std::io;
use std::time::Duration;

use async_compression::tokio::bufread::GzipDecoder;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{HeaderMap, StatusCode};
use futures_util::stream::{BoxStream, Stream, StreamExt as _, TryStreamExt as _};
use tokio_util::io::{ReaderStream, StreamReader};

use super::broken::Broken;
use super::key_id::KeyId;
use super::problem::{Problem, UNSUPPORTED_ENCODING};
use super::room::{Place, Places};
use super::state::ApiState;
use super::tempo::{Tempo, paced};

/// A JSON body of up to this many bytes needs no place.
const SMALL: usize = 64 * 1024;
/// How much is decompressed at once.
const PIECE: usize = 64 * 1024;
/// Maximum bytes per id of a decompressed upload; exports with longer lines must be sent uncompressed.
const BYTES_AN_ID: u64 = 256;
/// And in addition.
const BYTES_BESIDE: u64 = 1024 * 1024;

pub(super) type Pieces = BoxStream<'static, io::Result<Bytes>>;

/// The pieces of an upload, unfolded.
pub(super) fn upload(request: Request, state: &ApiState) -> Result<Pieces, Problem> {
    let is_folded = is_folded(request.headers())?;
    let pieces = paced(request.into_body(), tempo(state, Some(state.intake.upload_timeout)));
    if !is_folded {
        return Ok(pieces.boxed());
    }
    let most = state.intake.max_ids.saturating_mul(BYTES_AN_ID).saturating_add(BYTES_BESIDE);
    Ok(no_longer_than(most, unfolded(pieces)).boxed())
}

/// A decompressed JSON body, and its place in memory if it needs one.
pub(super) struct Whole {
    pub(super) bytes: Bytes,
    pub(super) place: Option<Place>,
}

/// A JSON body: at most `intake.max_json` bytes, of which large ones need one of `places`; without `places` only small
/// ones are taken.
pub(super) async fn json(
    request: Request,
    state: &ApiState,
    places: Option<&Places>,
) -> Result<Whole, Problem> {
    let limit = if places.is_some() { state.intake.max_json } else { state.intake.max_json.min(SMALL) };
    let is_folded = is_folded(request.headers())?;
    let announced =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let room = match places {
        Some(places) => Some((places, KeyId::of(&request)?)),
        None => None,
    };
    let pieces = paced(request.into_body(), tempo(state, None));
    let pieces = if is_folded { unfolded(pieces).boxed() } else { pieces.boxed() };
    let gathering = gather(pieces, limit, room, state.request_timeout);
    let patience = state.connections.whole;
    tokio::time::timeout(patience, gathering)
        .await
        .unwrap_or_else(|_| Err(Problem::broken_body(&io::Error::other(Broken::TooLong(patience)))))
}

async fn gather(
    mut pieces: Pieces,
    limit: usize,
    room: Option<(&Places, KeyId)>,
    patience: Duration,
) -> Result<Whole, Problem> {
    let (mut body, mut place) = (Vec::new(), None);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::broken_body(&error))?;
        let length = body.len() + piece.len();
        if length > limit {
            return Err(too_large(limit));
        }
        if let Some((places, key)) = room.filter(|_| length > SMALL && place.is_none()) {
            place = Some(places.take(key, 1, patience).await?);
        }
        body.extend_from_slice(&piece);
    }
    Ok(Whole { bytes: body.into(), place })
}

fn too_large(limit: usize) -> Problem {
    let detail = format!(
        "a JSON body may have at most {limit} bytes; send longer lists as text/csv or application/x-ndjson"
    );
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Whether the body is gzip; any other coding is refused, as it would be taken for something else.
fn is_folded(headers: &HeaderMap) -> Result<bool, Problem> {
    let unsupported = || {
        let detail = "send the body with Content-Encoding gzip, or without one";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_ENCODING, detail)
    };
    let mut is_folded = false;
    for value in headers.get_all(CONTENT_ENCODING) {
        for coding in value.to_str().map_err(|_| unsupported())?.split(',').map(str::trim) {
            match coding.to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                // Its older name is the same coding (RFC 9110, 8.4.1.3).
                "gzip" | "x-gzip" if !is_folded => is_folded = true,
                _ => return Err(unsupported()),
            }
        }
    }
    Ok(is_folded)
}

fn tempo(state: &ApiState, whole: Option<Duration>) -> Tempo {
    Tempo { pause: state.connections.stalled, least: state.intake.min_rate, whole }
}

/// Unfolds gzip of one or more members.
fn unfolded(
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut decoder = GzipDecoder::new(StreamReader::new(pieces.boxed()));
    decoder.multiple_members(true);
    ReaderStream::with_capacity(decoder, PIECE).map_err(|error| {
        // Errors from the wire carry one of our errors; those of the decoder do not.
        let is_of_the_wire =
            error.get_ref().is_some_and(|carried| carried.is::<Broken>() || carried.is::<axum::Error>());
        if is_of_the_wire { error } else { io::Error::other(Broken::Folded(error.to_string())) }
    })
}

/// Ends with an error after this many bytes.
fn no_longer_than(
    most: u64,
    pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut left = most;
    pieces.map(move |piece| {
        let piece = piece?;
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        left = left.checked_sub(length).ok_or_else(|| io::Error::other(Broken::UnfoldsTooFar(most)))?;
        Ok(piece)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use axum::http::HeaderValue;
    use futures_util::stream;

    use super::*;

    fn folded(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// Decompresses in pieces of that size.
    async fn unfold(bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        unfolded(stream::iter(pieces))
            .try_fold(Vec::new(), |all, piece| async move { Ok([all, piece.to_vec()].concat()) })
            .await
    }

    #[tokio::test]
    async fn gzip_of_any_number_of_members_is_unfolded_however_it_is_cut() {
        let long = b"0123456789".repeat(50_000);
        let members = [folded(b"one\n"), folded(b""), folded(&long), folded(b"four\n")].concat();
        let whole = [b"one\n".as_slice(), &long, b"four\n"].concat();
        for piece in [1, 7, 64, members.len()] {
            assert_eq!(unfold(&members, piece).await.unwrap(), whole, "{piece}");
        }
        assert_eq!(unfold(&folded(b""), 5).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn gzip_that_is_cut_anywhere_or_changed_or_followed_by_something_else_is_broken() {
        let (first, second) = (folded(b"one line\nanother line\n"), folded(b"a third\n"));
        let both = [first.clone(), second.clone()].concat();
        for end in (0..both.len()).filter(|end| *end != first.len()) {
            for piece in [1, both.len()] {
                let error = unfold(&both[..end], piece).await.unwrap_err();
                assert_eq!(Problem::broken_body(&error).code, "broken_body", "{end}: {error}");
                assert!(Problem::broken_body(&error).detail.contains("not complete gzip"), "{end}: {error}");
            }
        }
        let mut changed = first.clone();
        let trailer = changed.len() - 8;
        for place in [0, 2, trailer, trailer + 4] {
            changed[place] ^= 0x80;
            assert!(unfold(&changed, 9).await.is_err(), "{place}");
            changed[place] ^= 0x80;
        }
        for rest in [b"x".as_slice(), b"\0", b"\x1f", b"plain text that is no gzip"] {
            assert!(unfold(&[&first, rest].concat(), 1000).await.is_err(), "{rest:?}");
        }
        for text in [b"".as_slice(), b"plain text", b"\x1f\x8b"] {
            assert!(unfold(text, 4).await.is_err(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn what_ends_a_body_is_told_as_such_through_every_wrapping() {
        let wire = || io::Error::other(Broken::Stalled(Duration::from_secs(7)));
        let cut = folded(b"a line\n");
        let pieces = vec![Ok(Bytes::copy_from_slice(&cut[..9])), Err(wire())];
        let error = unfolded(stream::iter(pieces)).try_for_each(|_| async { Ok(()) }).await.unwrap_err();
        assert_eq!(Problem::broken_body(&error).code, "request_timeout");
        assert_eq!(
            &*Problem::broken_body(&error).detail,
            "no byte of the body came for 7s; nothing was accepted"
        );
        let wrapped = crate::intake::IntakeError::Broken { source: Box::new(wire()) };
        assert_eq!(Problem::broken_body(&wrapped).code, "request_timeout");
        assert_eq!(Problem::broken_body(&io::Error::other("reset")).code, "broken_body");
        let long = stream::iter([3, 4, 1].map(|length| Ok(Bytes::from(vec![b'x'; length]))));
        let read: Vec<_> = no_longer_than(7, long).collect().await;
        assert!(read[0].is_ok() && read[1].is_ok(), "exactly the limit is taken");
        assert_eq!(Problem::broken_body(read[2].as_ref().unwrap_err()).code, "body_too_large");
    }

    #[test]
    fn codings_that_are_not_gzip_once_are_refused() {
        let told = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            is_folded(&headers).map_err(|problem| problem.code)
        };
        for values in [&[][..], &[""], &["identity"], &["Identity, identity"]] {
            assert_eq!(told(values), Ok(false), "{values:?}");
        }
        for values in [&["gzip"][..], &["GZIP"], &["x-gzip"], &["identity, gzip"], &["identity", "gzip"]] {
            assert_eq!(told(values), Ok(true), "{values:?}");
        }
        for values in
            [&["br"][..], &["deflate"], &["zstd"], &["gzip, gzip"], &["gzip", "gzip"], &["gzip;q=1"], &["*"]]
        {
            assert_eq!(told(values), Err(UNSUPPORTED_ENCODING), "{values:?}");
        }
    }
}
