//! How a request reaches the producer: through a socket, or within the process.

use async_trait::async_trait;
use bytes::Bytes;

use crate::http::{Edge, in_process};
use crate::http_client::Peer;

/// Sends one request and returns the whole answer.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends `request`, whose URI is a path.
    ///
    /// # Errors
    /// Why there was no answer, for people. The request may have had its effect.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String>;
}

/// Calls the producer's routes in the same process, without sockets.
#[derive(Clone, Debug)]
pub struct InProcess(pub Edge);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        Ok(in_process::call(&self.0, request).await)
    }
}

/// Reaches the producer over the network.
#[derive(Clone, Debug)]
pub struct Socket(pub Peer);

#[async_trait]
impl Transport for Socket {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let reply = self.0.pass_on(request).await.map_err(|failure| failure.to_string())?;
        let mut response = http::Response::new(Bytes::copy_from_slice(reply.body()));
        *response.status_mut() = reply.status();
        Ok(response)
    }
}
