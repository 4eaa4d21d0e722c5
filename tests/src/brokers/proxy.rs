//! A TCP proxy that can be cut.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Passes bytes between clients and a server, until told otherwise. Ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    stop: CancellationToken,
    _tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Wire {
    is_stalled: std::sync::atomic::AtomicBool,
    is_refusing: std::sync::atomic::AtomicBool,
    open_count: std::sync::atomic::AtomicUsize,
    changed: Notify,
    cut: Notify,
}

use std::sync::atomic::Ordering::SeqCst;

impl Proxy {
    /// A proxy on loopback before the server at `port`.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
        let address = listener.local_addr().expect("bound");
        let (wire, stop) = (Arc::new(Wire::default()), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, port, Arc::clone(&wire), stop.clone()));
        Self { address, wire, stop, _tasks: tasks }
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection; new ones are accepted.
    pub fn cut(&self) {
        self.wire.cut.notify_waiters();
    }

    /// Breaks every connection and accepts none until [`restore`](Self::restore).
    pub fn refuse(&self) {
        self.wire.is_refusing.store(true, SeqCst);
        self.cut();
    }

    /// Lets nothing through until [`restore`](Self::restore), without breaking a connection.
    pub fn stall(&self) {
        self.wire.is_stalled.store(true, SeqCst);
    }

    /// Returns when no connection is open: all were closed by one of both sides.
    pub async fn until_unused(&self) {
        loop {
            let changed = self.wire.changed.notified();
            if self.wire.open_count.load(SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }

    /// Everything passes again.
    pub fn restore(&self) {
        self.wire.is_stalled.store(false, SeqCst);
        self.wire.is_refusing.store(false, SeqCst);
        self.wire.changed.notify_waiters();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(listener: TcpListener, port: u16, wire: Arc<Wire>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let client = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = client else { continue };
        if wire.is_refusing.load(SeqCst) {
            continue;
        }
        while connections.try_join_next().is_some() {}
        wire.open_count.fetch_add(1, SeqCst);
        let wire = Arc::clone(&wire);
        connections.spawn(async move {
            Box::pin(connect(client, port, &wire)).await;
            wire.open_count.fetch_sub(1, SeqCst);
            wire.changed.notify_waiters();
        });
    }
}

async fn connect(client: TcpStream, port: u16, wire: &Wire) {
    let cut = wire.cut.notified();
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let passing = async {
        tokio::join!(pass(from_client, to_server, wire), pass(from_server, to_client, wire));
    };
    tokio::select! {
        biased;
        () = cut => {}
        () = passing => {}
    }
}

async fn pass(from: tokio::net::tcp::OwnedReadHalf, mut to: tokio::net::tcp::OwnedWriteHalf, wire: &Wire) {
    let mut buffer = [0; 16 * 1024];
    loop {
        if from.readable().await.is_err() {
            return;
        }
        loop {
            let changed = wire.changed.notified();
            if !wire.is_stalled.load(SeqCst) {
                break;
            }
            changed.await;
        }
        match from.try_read(&mut buffer) {
            Ok(0) => {
                // The other direction may go on.
                let _ = to.shutdown().await;
                return;
            }
            Ok(count) => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
