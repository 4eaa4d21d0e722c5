//! One connection, from its first byte to its last.

use std::pin::pin;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::super::edge::Edge;
use super::limits::Limits;
use super::timed_body::TimedBody;
use super::timed_write::TimedWrite;

/// The longest request line with headers; longer is 431. It is also hyper's buffer per connection.
const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Serves requests until the client leaves, a limit ends it, or `stop` has let the last one finish.
pub(super) async fn run(stream: TcpStream, edge: Edge, limits: Limits, stop: CancellationToken) {
    // Answers are small and written at once: waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let service = service_fn(move |request: http::Request<Incoming>| {
        edge.clone().call(request.map(|body| TimedBody::new(body, limits.body_read)))
    });
    let io = TimedWrite::new(TokioIo::new(stream), limits.write_stall);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        .max_header_size(HEAD_BYTES_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        // A client may close its sending side and wait for the answer.
        .half_close(true)
        .serve_connection(io, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
