//! The producer's sync routes, as a client sees them.

use std::sync::Arc;

use async_trait::async_trait;
use bus::TraceContext;
use bus::pipeline::Failure;
use bus::trace_context::{TRACEPARENT, TRACESTATE};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use jiff::tz::TimeZone;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use crate::domain::{Order, OrderNumber};
use crate::http::TRACESTATE_BYTES_MAX;
use crate::wire::{OrderBody, ResultBody, SYNC_HEALTH, SyncPage};

use super::{Changes, ProducerApi, PutAnswer, Transport};

/// Speaks to the producer over a [`Transport`].
#[derive(Debug)]
pub struct HttpProducerApi {
    transport: Arc<dyn Transport>,
    sync_token: Option<SecretString>,
    time_zone: TimeZone,
}

impl HttpProducerApi {
    /// Sends `sync_token`, where there is one, with every request.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, sync_token: Option<SecretString>) -> Self {
        Self { transport, sync_token, time_zone: TimeZone::UTC }
    }

    /// Takes times without a zone, as the recorded producer writes them, to be in `time_zone`.
    #[must_use]
    pub fn in_zone(mut self, time_zone: TimeZone) -> Self {
        self.time_zone = time_zone;
        self
    }

    fn read_order(&self, body: OrderBody) -> Result<Order, Failure> {
        let unreadable = || Failure::Retry("producer: an order with times that cannot be read".to_owned());
        body.into_order(&self.time_zone).ok_or_else(unreadable)
    }

    async fn call(&self, method: Method, path: String, body: Bytes) -> Result<(StatusCode, Bytes), Failure> {
        let mut request = http::Request::builder().method(method).uri(path);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.sync_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()));
        }
        // What the producer does for us, and what it tells of it, stays in the trace of the message at hand.
        if let Some(context) = TraceContext::current() {
            request = request.header(TRACEPARENT, context.traceparent());
            // A foreign producer may have put anything there, and no request is to fail for it.
            let state = context.state().filter(|state| state.len() <= TRACESTATE_BYTES_MAX);
            if let Some(Ok(state)) = state.map(|state| HeaderValue::from_bytes(state)) {
                request = request.header(TRACESTATE, state);
            }
        }
        let request = request.body(body).map_err(|error| Failure::Retry(format!("no request can be made: {error}")))?;
        let response =
            self.transport.send(request).await.map_err(|why| Failure::Unavailable(format!("producer: {why}")))?;
        let (status, body) = (response.status(), response.into_body());
        let again = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(Failure::Unavailable(format!("producer: {status}; both sides need the same sync-token")));
        }
        if again || status == StatusCode::REQUEST_TIMEOUT {
            return Err(Failure::Unavailable(format!("producer: {status}")));
        }
        Ok((status, body))
    }
}

fn order_path(number: &OrderNumber) -> String {
    format!("/api/sync/order/{}", utf8_percent_encode(number.as_str(), NON_ALPHANUMERIC))
}

fn read<T: DeserializeOwned>(status: StatusCode, body: &Bytes) -> Result<T, Failure> {
    if status != StatusCode::OK {
        return Err(unexpected(status, body));
    }
    serde_json::from_slice(body)
        .map_err(|error| Failure::Retry(format!("producer: an answer that cannot be read: {error}")))
}

fn unexpected(status: StatusCode, body: &Bytes) -> Failure {
    let shown: String = String::from_utf8_lossy(body).chars().take(200).collect();
    Failure::Retry(format!("producer: unexpected {status}: {shown}"))
}

#[async_trait]
impl ProducerApi for HttpProducerApi {
    async fn health(&self) -> Result<(), Failure> {
        match self.call(Method::GET, "/api/sync/health".to_owned(), Bytes::new()).await? {
            (StatusCode::OK, body) if body == SYNC_HEALTH => Ok(()),
            (StatusCode::OK, _) => Err(Failure::Unavailable("producer: somebody else answers at its URL".to_owned())),
            (status, _) => Err(Failure::Unavailable(format!("producer: its health route answers {status}"))),
        }
    }

    async fn order(&self, number: &OrderNumber) -> Result<Option<Order>, Failure> {
        match self.call(Method::GET, order_path(number), Bytes::new()).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, body) => self.read_order(read(status, &body)?).map(Some),
        }
    }

    async fn changes(&self, after: u64, limit: usize) -> Result<Changes, Failure> {
        let path = format!("/api/sync/orders?after={after}&limit={limit}");
        let (status, body) = self.call(Method::GET, path, Bytes::new()).await?;
        let page: SyncPage = read(status, &body)?;
        let items = page.items.into_iter().map(|body| self.read_order(body)).collect::<Result<_, _>>()?;
        Ok(Changes { items, next: page.next, has_more: page.has_more })
    }

    async fn put_result(&self, number: &OrderNumber, result: &ResultBody) -> Result<PutAnswer, Failure> {
        let body = crate::store::encode(result);
        match self.call(Method::PUT, format!("{}/result", order_path(number)), body).await? {
            (StatusCode::OK, _) => Ok(PutAnswer::Applied),
            (StatusCode::NOT_FOUND, _) => Ok(PutAnswer::NotFound),
            (StatusCode::CONFLICT, _) => Ok(PutAnswer::Conflict),
            (status, body) => Err(unexpected(status, &body)),
        }
    }
}
