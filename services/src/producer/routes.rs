//! The producer's routes.

use std::sync::Arc;
use std::time::Duration;

use bus::Error;
use http::header::{HeaderName, LOCATION};
use http::{HeaderValue, StatusCode};
use tracing::info;

use crate::domain::{Order, OrderNumber, Status};
use crate::http::{
    Answer, Bearer, Edge, FieldError, Problem, Query, Request, Resource, Router, health, json, json_bytes, text,
};
use crate::wire::{OrderBody, SYNC_HEALTH};

use super::result_request::read_result;
use super::{ChangeRefused, Producer, Refusal, read_request};

/// Longest idempotency key, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// Page sizes of lists.
pub(crate) const LIMIT_DEFAULT: u64 = 50;
pub(crate) const LIMIT_MAX: u64 = 500;

/// Serves `producer`.
#[must_use]
pub fn edge(producer: Arc<Producer>) -> Edge {
    router(producer).into_edge()
}

/// The routes of `producer`, to which more may be added.
#[must_use]
pub fn router(producer: Arc<Producer>) -> Router<Producer> {
    let guard = producer.settings.sync_token.clone().map(Bearer::new);
    Router::new(producer)
        .resource(Resource::at("/api/orders").get(list).post(create))
        .resource(Resource::at("/api/orders/{orderNumber}").get(show))
        .resource(Resource::at("/api/orders/{orderNumber}/cancel").post(cancel))
        .resource(Resource::at("/api/sync/health").get(sync_health).guarded_by(guard.clone()))
        .resource(Resource::at("/api/sync/orders").get(changes).guarded_by(guard.clone()))
        .resource(Resource::at("/api/sync/order/{orderNumber}").get(sync_show).guarded_by(guard.clone()))
        .resource(Resource::at("/api/sync/order/{orderNumber}/result").put(put_result).guarded_by(guard))
        .resource(health::livez())
        .resource(health::readyz(|producer: Arc<Producer>| async move { producer.readiness().await }))
}

async fn create(producer: Arc<Producer>, request: Request) -> Answer {
    request.query(&[])?;
    let key = idempotency_key(&request)?;
    let order = read_request(request.json_text()?)?;
    let accepted = producer.accept(&order, key).await.map_err(|refusal| match refusal {
        Refusal::KeyReused => Problem::unprocessable(vec![FieldError::new(
            "Idempotency-Key",
            "was used with another body; use a new key",
        )]),
        Refusal::Store(error) => unavailable(&error),
    })?;
    let mut response = json_bytes(StatusCode::CREATED, accepted.body);
    let location = format!("/api/orders/{}", accepted.order_number);
    response.headers_mut().insert(LOCATION, HeaderValue::from_str(&location).map_err(Problem::internal)?);
    if accepted.replayed {
        response
            .headers_mut()
            .insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
    }
    Ok(response)
}

fn idempotency_key(request: &Request) -> Result<Option<&str>, Problem> {
    let key = request.header("idempotency-key")?;
    match key {
        Some(key) if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX => {
            Err(Problem::bad_request(format!("Idempotency-Key must have 1 to {IDEMPOTENCY_KEY_BYTES_MAX} characters")))
        }
        key => Ok(key),
    }
}

async fn show(producer: Arc<Producer>, request: Request) -> Answer {
    request.query(&[])?;
    let order = found(&producer, &request).await?;
    json(StatusCode::OK, &OrderBody::of(&order, &producer.settings.time_zone))
}

async fn sync_show(producer: Arc<Producer>, request: Request) -> Answer {
    info!(event = "sync_order_requested", order_number = request.param("orderNumber"), "sync API: order requested");
    show(producer, request).await
}

async fn list(producer: Arc<Producer>, request: Request) -> Answer {
    let query = request.query(&["status", "limit", "cursor"])?;
    let status = match query.text("status") {
        None => None,
        Some(name) => Some(Status::parse(name).ok_or_else(|| {
            let known = Status::ALL.map(Status::as_str).join(", ");
            Problem::bad_request(format!("status `{name}` is unknown; use one of {known}"))
        })?),
    };
    let page = producer.list(status, limit(&query)?, cursor(&query)?).await.map_err(|error| unavailable(&error))?;
    json(StatusCode::OK, &page)
}

async fn changes(producer: Arc<Producer>, request: Request) -> Answer {
    let query = request.query(&["after", "limit"])?;
    let after = query.number("after", 0..=u64::MAX)?.unwrap_or(0);
    let page = producer.changes(after, limit(&query)?).await.map_err(|error| unavailable(&error))?;
    json(StatusCode::OK, &page)
}

async fn cancel(producer: Arc<Producer>, request: Request) -> Answer {
    request.query(&[])?;
    let order = producer.cancel(&number(&request)?).await.map_err(|refused| {
        refusal(refused, |order| {
            format!("the order is {} already and can no longer be cancelled", order.status.as_str())
        })
    })?;
    json(StatusCode::OK, &OrderBody::of(&order, &producer.settings.time_zone))
}

async fn put_result(producer: Arc<Producer>, request: Request) -> Answer {
    request.query(&[])?;
    let number = number(&request)?;
    let result = read_result(request.json_text()?)?;
    let order = producer.apply_result(&number, &result).await.map_err(|refused| {
        refusal(refused, |order| {
            format!(
                "the order is {} at version {}, which this result does not fit",
                order.status.as_str(),
                order.version
            )
        })
    })?;
    json(StatusCode::OK, &OrderBody::of(&order, &producer.settings.time_zone))
}

async fn sync_health(_: Arc<Producer>, request: Request) -> Answer {
    request.query(&[])?;
    Ok(text(StatusCode::OK, SYNC_HEALTH))
}

async fn found(producer: &Producer, request: &Request) -> Result<Order, Problem> {
    let order = producer.order(&number(request)?).await.map_err(|error| unavailable(&error))?;
    order.ok_or_else(no_such_order)
}

/// The order number in the path; what cannot be one cannot be found.
pub(crate) fn number(request: &Request) -> Result<OrderNumber, Problem> {
    OrderNumber::parse(request.param("orderNumber")).map_err(|_| no_such_order())
}

pub(crate) fn no_such_order() -> Problem {
    Problem::not_found("there is no order of that number")
}

pub(crate) fn limit(query: &Query) -> Result<usize, Problem> {
    let limit = query.number("limit", 1..=LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Cursors are opaque to clients: sixteen hexadecimal digits of the number the next page is below.
pub(crate) fn cursor(query: &Query) -> Result<Option<u64>, Problem> {
    let Some(text) = query.text("cursor") else { return Ok(None) };
    // Digits only: `from_str_radix` also takes a leading `+`.
    let is_ours = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = if is_ours { u64::from_str_radix(text, 16).ok() } else { None };
    number
        .map(Some)
        .ok_or_else(|| Problem::bad_request("cursor is not one of ours; use `nextCursor` of the page before"))
}

pub(crate) fn unavailable(error: &Error) -> Problem {
    tracing::error!(%error, "a request could not be answered");
    Problem::overloaded(
        "the store does not answer; repeat the request, with its Idempotency-Key",
        Duration::from_secs(1),
    )
}

fn refusal(refused: ChangeRefused, conflict: impl Fn(&Order) -> String) -> Problem {
    match refused {
        ChangeRefused::NotFound => no_such_order(),
        ChangeRefused::Conflict(order) => Problem::conflict(conflict(&order)),
        ChangeRefused::Store(error) => unavailable(&error),
    }
}
