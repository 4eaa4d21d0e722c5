//! Receiving a request body within a limit, so that whoever sent too much can still read why.

use std::error::Error;
use std::io;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};

use super::problem::Problem;

/// The longest request body that is read: 64 KiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How much of a body nobody wants is read and thrown away before the connection is given up: 8 MiB.
///
/// Closing a socket with unread bytes resets it, and the reset can overtake the answer. Most clients
/// send all of the body before they read; up to here they do get to read the 413.
pub const DRAIN_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A body as it arrives, whatever its source.
pub(super) type Body = BoxStream<'static, Result<Bytes, warp::Error>>;

/// Any body stream warp extracts, with its buffers as [`Bytes`].
pub(super) fn boxed<S, D>(stream: S) -> Body
where
    S: Stream<Item = Result<D, warp::Error>> + Send + 'static,
    D: Buf,
{
    stream.map_ok(|mut data| data.copy_to_bytes(data.remaining())).boxed()
}

/// The whole body, chunked or not.
///
/// 413 when it is longer than [`BODY_BYTES_MAX`], after draining the rest; 408 when the server's
/// timeout ended it; 400 when it broke off or its framing is wrong. All three close the connection.
pub(super) async fn receive(headers: &HeaderMap, mut body: Body) -> Result<Bytes, Problem> {
    let too_large = || Problem::payload_too_large(BODY_BYTES_MAX);
    if announced_bytes(headers).is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
        discard(headers, body).await;
        return Err(too_large());
    }
    let mut received = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| broken(&error))?;
        if received.len() + chunk.len() > BODY_BYTES_MAX {
            discard(headers, body).await;
            return Err(too_large());
        }
        received.extend_from_slice(&chunk);
    }
    Ok(received.freeze())
}

/// Reads the rest of an unwanted body and forgets it; true when the connection can go on after it.
///
/// A client that asked `Expect: 100-continue` has sent nothing yet, and reading would invite it to.
pub(super) async fn discard(headers: &HeaderMap, mut body: Body) -> bool {
    if headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return false;
    }
    let mut drained_bytes = 0;
    while let Some(chunk) = body.next().await {
        let Ok(chunk) = chunk else { return false };
        drained_bytes += chunk.len();
        if drained_bytes > DRAIN_BYTES_MAX {
            return false;
        }
    }
    true
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn broken(error: &warp::Error) -> Problem {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut) {
            return Problem::request_timeout();
        }
        cause = error.source();
    }
    Problem::bad_request("the request body broke off or is not framed as announced").closing()
}
