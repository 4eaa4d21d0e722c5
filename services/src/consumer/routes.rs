//! The consumer's routes.

use std::sync::Arc;

use bus::Result as BusResult;
use futures_util::future::try_join_all;
use http::StatusCode;
use serde::Serialize;

use crate::domain::{FailureReason, Money, OrderNumber, Status};
use crate::http::{Answer, Bearer, Edge, Problem, Request, Resource, Router, health, json};
use crate::producer::{cursor, limit, no_such_order, number, unavailable};
use crate::store::{Direction, Table};
use crate::wire::{OrderBody, Page, http_time};

use super::Consumer;
use super::copies::CopyRow;
use super::processing::{Acknowledgement, ProcessedRow, Progress};

/// Pages of changes in one request to reconcile; its answer says whether there is more.
const RECONCILED_PAGES_MAX: usize = 5;

/// What processing an order came to, as shown.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessedBody {
    order_number: OrderNumber,
    /// The outcome; null while it is being processed.
    status: Option<Status>,
    failure_reason: Option<FailureReason>,
    version: u64,
    step: Progress,
    message_id: Option<String>,
    customer_name: String,
    product_name: String,
    quantity: u32,
    price: Money,
    total_amount: Money,
    processed_at: Option<String>,
    result_acknowledged: bool,
    foreign: bool,
}

/// A copied order, as shown: the producer's body and when it was fetched.
#[derive(Serialize)]
struct SyncedBody {
    #[serde(flatten)]
    order: OrderBody,
    #[serde(rename = "syncedAt")]
    synced_at: String,
}

/// Serves `consumer`.
#[must_use]
pub fn edge(consumer: Arc<Consumer>) -> Edge {
    router(consumer).into_edge()
}

/// The routes of `consumer`, to which more may be added.
#[must_use]
pub fn router(consumer: Arc<Consumer>) -> Router<Consumer> {
    let guard = consumer.settings.sync_token.clone().map(Bearer::new);
    Router::new(consumer)
        .resource(Resource::at("/api/processed-orders").get(list_processed))
        .resource(Resource::at("/api/processed-orders/{orderNumber}").get(show_processed))
        .resource(Resource::at("/api/synced-orders").get(list_synced))
        .resource(Resource::at("/api/synced-orders/{orderNumber}").get(show_synced))
        .resource(Resource::at("/api/books").get(show_books))
        .resource(Resource::at("/api/books/{orderNumber}").get(show_books_of_order))
        .resource(Resource::at("/api/sync/reconcile").post(reconcile).guarded_by(guard))
        .resource(health::livez())
        .resource(health::readyz(|consumer: Arc<Consumer>| async move { consumer.readiness().await }))
}

async fn list_processed(consumer: Arc<Consumer>, request: Request) -> Answer {
    let page = list(&consumer, &request, Table::ProcessedBySequence, |consumer, number| async move {
        let known = consumer.processed(&number).await?;
        Ok(known.map(|known| processed_body(&consumer, known.row)))
    });
    json(StatusCode::OK, &page.await?)
}

async fn list_synced(consumer: Arc<Consumer>, request: Request) -> Answer {
    let page = list(&consumer, &request, Table::CopiesBySequence, |consumer, number| async move {
        let copy = consumer.copy(&number).await?;
        Ok(copy.map(|copy| synced_body(&consumer, &copy.row)))
    });
    json(StatusCode::OK, &page.await?)
}

/// A page of a table of order numbers, newest first, each shown by `show`.
async fn list<T, F>(
    consumer: &Arc<Consumer>,
    request: &Request,
    table: Table,
    show: impl Fn(Arc<Consumer>, OrderNumber) -> F,
) -> Result<Page<T>, Problem>
where
    F: Future<Output = BusResult<Option<T>>>,
{
    let query = request.query(&["limit", "cursor"])?;
    let (limit, before) = (limit(&query)?, cursor(&query)?);
    let mut range = table.all();
    if let Some(before) = before {
        range = range.before(&table.number(before));
    }
    let scanned = consumer.store().scan(&range, Direction::Backward, limit + 1).await;
    let mut entries = scanned.map_err(|error| unavailable(&error))?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().and_then(|(key, _)| key.last_number());
    let numbers = entries.iter().filter_map(|(_, name)| OrderNumber::parse(&String::from_utf8_lossy(name)).ok());
    let shown = try_join_all(numbers.map(|number| show(Arc::clone(consumer), number))).await;
    let items = shown.map_err(|error| unavailable(&error))?.into_iter().flatten().collect();
    Ok(Page { items, next_cursor: last.filter(|_| more).map(|number| format!("{number:016x}")) })
}

async fn show_processed(consumer: Arc<Consumer>, request: Request) -> Answer {
    request.query(&[])?;
    let known = consumer.processed(&number(&request)?).await.map_err(|error| unavailable(&error))?;
    json(StatusCode::OK, &processed_body(&consumer, known.ok_or_else(no_such_order)?.row))
}

async fn show_synced(consumer: Arc<Consumer>, request: Request) -> Answer {
    request.query(&[])?;
    let copy = consumer.copy(&number(&request)?).await.map_err(|error| unavailable(&error))?;
    json(StatusCode::OK, &synced_body(&consumer, &copy.ok_or_else(no_such_order)?.row))
}

async fn show_books(consumer: Arc<Consumer>, request: Request) -> Answer {
    request.query(&[])?;
    json(StatusCode::OK, &consumer.ports.books.books().await.map_err(|error| unavailable(&error))?)
}

async fn show_books_of_order(consumer: Arc<Consumer>, request: Request) -> Answer {
    request.query(&[])?;
    let number = number(&request)?;
    json(StatusCode::OK, &consumer.ports.books.of_order(&number).await.map_err(|error| unavailable(&error))?)
}

async fn reconcile(consumer: Arc<Consumer>, request: Request) -> Answer {
    request.query(&[])?;
    let done = consumer.reconcile_part(RECONCILED_PAGES_MAX).await.map_err(|failure| {
        Problem::overloaded(format!("not reconciled: {failure}"), std::time::Duration::from_secs(1))
    })?;
    json(StatusCode::OK, &done)
}

fn processed_body(consumer: &Consumer, row: ProcessedRow) -> ProcessedBody {
    ProcessedBody {
        status: row.status,
        failure_reason: row.failing.filter(|_| row.status == Some(Status::Failed)),
        version: row.version,
        step: row.progress,
        message_id: row.event_id,
        processed_at: row.processed_at.map(|at| http_time(at, &consumer.settings.time_zone)),
        result_acknowledged: row.acknowledgement != Acknowledgement::Awaited,
        foreign: row.acknowledgement == Acknowledgement::Foreign,
        order_number: row.order_number,
        customer_name: row.customer_name,
        product_name: row.product_name,
        quantity: row.quantity,
        price: row.price,
        total_amount: row.total_amount,
    }
}

fn synced_body(consumer: &Consumer, row: &CopyRow) -> SyncedBody {
    let zone = &consumer.settings.time_zone;
    SyncedBody { order: OrderBody::of(&row.order, zone), synced_at: http_time(row.synced_at, zone) }
}
