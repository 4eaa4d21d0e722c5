//! Ports are taken first: a busy one is the most common reason not to start.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::failure::Failure;

/// Binds `address`, which `flag` has set.
pub(super) async fn bind(address: SocketAddr, flag: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let refused = |error: std::io::Error| {
        let failure = Failure::runtime(format!("cannot listen on {address} ({flag}): {error}"));
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.hint(format!("port {} is busy: stop who has it, or choose another with {flag}", address.port()))
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("ports below 1024 need privileges; choose a higher one")
            }
            _ => failure.hint(format!("give {flag} an address of this machine")),
        }
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let bound = listener.local_addr().map_err(refused)?;
    Ok((listener, bound))
}
