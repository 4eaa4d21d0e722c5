//! One side as the other one sees it.

use bytes::Bytes;
use http::Method;
use reqwest::RequestBuilder;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use super::base_url::BaseUrl;
use super::failure::Failure;
use super::reply::Reply;

/// A base URL, the token its guarded routes ask for, and the connections to it.
///
/// Clones share the connections. `Debug` does not print the token.
#[derive(Clone, Debug)]
pub struct Peer {
    client: reqwest::Client,
    base: BaseUrl,
    token: Option<SecretString>,
}

impl Peer {
    /// A peer at `base`; `token` is sent as `Authorization: Bearer` with every request.
    ///
    /// # Errors
    /// As [`client`](super::client).
    pub fn new(base: BaseUrl, token: Option<SecretString>) -> reqwest::Result<Self> {
        Ok(Self { client: super::client()?, base, token })
    }

    /// Where its routes begin.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// Asks for `segments` below the base. Any status is an answer. Dropping the future ends the request.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer within the limits.
    pub async fn get(&self, segments: &[&str], query: &[(&str, &str)]) -> Result<Reply, Failure> {
        let url = self.base.route(segments, query);
        self.send(self.client.request(Method::GET, url.clone()), url).await
    }

    /// Puts `body` as JSON. Any status is an answer. Dropping the future leaves open whether it took effect.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer within the limits.
    pub async fn put<B>(&self, segments: &[&str], body: &B) -> Result<Reply, Failure>
    where
        B: Serialize + Sync + ?Sized,
    {
        let url = self.base.route(segments, &[]);
        self.send(self.client.request(Method::PUT, url.clone()).json(body), url).await
    }

    /// Sends a request whose URI is a path below the base. Any status is an answer.
    ///
    /// # Errors
    /// [`Failure`] when there is no whole answer within the limits; it may have taken effect.
    pub async fn pass_on(&self, request: http::Request<Bytes>) -> Result<Reply, Failure> {
        let (parts, body) = request.into_parts();
        let url = self.base.at(&parts.uri);
        self.send(self.client.request(parts.method, url.clone()).headers(parts.headers).body(body), url).await
    }

    async fn send(&self, request: RequestBuilder, url: Url) -> Result<Reply, Failure> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        };
        let response = request.send().await.map_err(|error| Failure::of(&url, &error))?;
        Reply::read(response, url).await
    }
}
