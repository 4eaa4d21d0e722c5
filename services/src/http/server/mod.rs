//! The socket server: an [`Edge`] on a listener, with a bound on everything a client can hold.
//!
//! warp's own server has no timeouts and no connection cap, so the loop is hyper's HTTP/1 connection
//! under ours. This is the one place bound to real sockets and real time: its timers are hyper's,
//! because a client's slowness happens on the wall clock and not on the application's.

mod connection;
mod limits;
mod timed_body;
mod timed_write;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::Timer;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::edge::Edge;

pub use limits::Limits;

/// How long accepting pauses after the machine refused a socket: it needs time, not another try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `edge` on `listener` until `stop`, then drains; returns how many connections the drain
/// deadline cut off.
///
/// On `stop` the listener closes at once, idle connections end, running requests finish and are
/// answered with `Connection: close`; what is left after `limits.drain` is dropped. No failure to
/// accept ends the loop: it is logged, and accepting goes on after a pause. Dropping the future drops
/// the listener and every connection.
pub async fn serve(listener: TcpListener, edge: Edge, limits: Limits, stop: CancellationToken) -> usize {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(ended);
                continue;
            }
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let connection = connection::run(stream, edge.clone(), limits, stop.clone());
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted; trying again shortly");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => break,
                    () = TokioTimer::new().sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    drain(connections, limits.drain).await
}

/// The next connection, once there is a slot for it: at the cap the backlog of the kernel fills, and
/// clients wait there.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok((stream, slot)),
            Err(error) if is_the_clients(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the client went away between connecting and being accepted, which costs us nothing.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

async fn drain(mut connections: JoinSet<()>, within: Duration) -> usize {
    let mut deadline = TokioTimer::new().sleep(within);
    loop {
        tokio::select! {
            biased;
            ended = connections.join_next() => match ended {
                Some(ended) => report(ended),
                None => return 0,
            },
            () = &mut deadline => break,
        }
    }
    let cut_count = connections.len();
    tracing::warn!(cut_count, "connections were cut off at the drain deadline");
    connections.shutdown().await;
    cut_count
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection's task panicked");
    }
}
