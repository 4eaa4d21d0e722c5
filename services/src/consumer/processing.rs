//! An order's way through the ports, durable step by step.

use bus::pipeline::Failure;
use bus::{Error, ErrorKind, Result};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracing::info;

use crate::domain::{FailureReason, Money, OrderNumber, Outcome, Status};
use crate::store::{Batch, Table, Written, decode, encode};
use crate::wire::IncomingOrder;

use super::Consumer;
use super::cause::Cause;
use super::ports::Answer;

/// How far an order has come. Names as they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Progress {
    /// Taken up.
    Started,
    /// The units are ours.
    StockReserved,
    /// The total is charged.
    Paid,
    /// It is on its way.
    Shipped,
}

/// What the producer has said to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Acknowledgement {
    /// Nothing yet.
    Awaited,
    /// It was applied.
    Applied,
    /// It was refused, since the order had been cancelled: everything is undone.
    Undone,
    /// There is no such order: it came from a foreign producer.
    Foreign,
    /// The producer has another final result: people must look.
    Contradicted,
}

/// What is known of an order in processing; with an outcome, the guard that it is processed once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ProcessedRow {
    pub(super) order_number: OrderNumber,
    pub(super) customer_name: String,
    pub(super) product_name: String,
    pub(super) quantity: u32,
    pub(super) price: Money,
    pub(super) total_amount: Money,
    /// The version of the order that is processed.
    pub(super) version: u64,
    pub(super) progress: Progress,
    /// Decided to fail: what was done is being undone.
    pub(super) failing: Option<FailureReason>,
    /// The outcome; CANCELLED when the order was called off.
    pub(super) status: Option<Status>,
    pub(super) processed_at: Option<Timestamp>,
    /// The id of the event that tells of the outcome.
    pub(super) event_id: Option<String>,
    pub(super) acknowledgement: Acknowledgement,
}

/// A row with the bytes it was read from, which guard its next write.
pub(super) struct Guarded {
    pub(super) row: ProcessedRow,
    pub(super) stored: Option<Bytes>,
}

impl ProcessedRow {
    fn started(order: &IncomingOrder) -> Self {
        Self {
            order_number: order.order_number.clone(),
            customer_name: order.customer_name.clone(),
            product_name: order.product_name.clone(),
            quantity: order.quantity,
            price: order.price,
            total_amount: order.price.times(order.quantity),
            version: order.version.unwrap_or(1),
            progress: Progress::Started,
            failing: None,
            status: None,
            processed_at: None,
            event_id: None,
            acknowledgement: Acknowledgement::Awaited,
        }
    }
}

/// A store or port that does not answer is not the order's fault; one that refuses this order is.
pub(super) fn failed(what: &str) -> impl Fn(Error) -> Failure + '_ {
    move |error| {
        if error.is_retryable() || error.kind() == ErrorKind::Closed {
            Failure::Unavailable(format!("{what}: {error}"))
        } else {
            Failure::Retry(format!("{what}: {error}"))
        }
    }
}

impl Consumer {
    pub(super) async fn processed(&self, number: &OrderNumber) -> Result<Option<Guarded>> {
        let Some(stored) = self.store().get(&Table::Processed.key(number.as_str())).await? else { return Ok(None) };
        Ok(Some(Guarded { row: decode(&stored)?, stored: Some(stored) }))
    }

    /// Takes an order up, or up again.
    pub(super) async fn take_up(&self, order: &IncomingOrder) -> Result<Guarded> {
        match self.processed(&order.order_number).await? {
            Some(known) => Ok(known),
            None => Ok(Guarded { row: ProcessedRow::started(order), stored: None }),
        }
    }

    /// The write of a row on condition that nobody else has written it.
    pub(super) fn guarded_write(before: &Guarded, after: &ProcessedRow) -> (Batch, Bytes) {
        let (key, bytes) = (Table::Processed.key(after.order_number.as_str()), encode(after));
        let mut batch = Batch::new().expect(key.clone(), before.stored.clone()).put(key, bytes.clone());
        if before.stored.is_none() {
            batch = batch.append(Table::ProcessedBySequence, after.order_number.as_str().to_owned());
        }
        (batch, bytes)
    }

    /// Makes a step durable. `None` when somebody else has gone on with this order meanwhile.
    async fn advance(&self, before: &Guarded, after: ProcessedRow) -> Result<Option<Guarded>> {
        let (batch, bytes) = Self::guarded_write(before, &after);
        Ok(match self.store().apply(batch).await? {
            Written::Applied(_) => Some(Guarded { row: after, stored: Some(bytes) }),
            Written::Rejected(_) => None,
        })
    }

    /// Brings an order without outcome through the ports, and answers the row to commit with its
    /// outcome. `None` when somebody else has gone on with it: read again.
    pub(super) async fn process(&self, mut at: Guarded, cause: &Cause) -> Result<Option<(Guarded, Outcome)>, Failure> {
        let number = at.row.order_number.clone();
        while at.row.failing.is_none() && at.row.progress < Progress::Shipped {
            let (answer, next) = self.step(&at.row, cause).await?;
            let after = match (answer, next) {
                (Answer::Done, Progress::Shipped) => ProcessedRow { progress: next, ..at.row.clone() },
                (Answer::Done, next) => {
                    let after = ProcessedRow { progress: next, ..at.row.clone() };
                    let Some(advanced) = self.advance(&at, after).await.map_err(failed("store"))? else {
                        return Ok(None);
                    };
                    at = advanced;
                    continue;
                }
                (Answer::Declined, next) => {
                    let reason = if next == Progress::StockReserved {
                        FailureReason::OutOfStock
                    } else {
                        FailureReason::PaymentDeclined
                    };
                    // Durable before anything is undone: the decision must not change half-way.
                    let after = ProcessedRow { failing: Some(reason), ..at.row.clone() };
                    let Some(advanced) = self.advance(&at, after).await.map_err(failed("store"))? else {
                        return Ok(None);
                    };
                    at = advanced;
                    continue;
                }
                // Undone by somebody else: the order was called off or has failed.
                (Answer::Closed, _) => return Ok(None),
            };
            // The last step is durable together with the outcome.
            at.row = after;
        }
        match at.row.failing {
            None => Ok(Some((at, Outcome::Completed))),
            Some(reason) => {
                self.undo(&number).await?;
                Ok(Some((at, Outcome::Failed(reason))))
            }
        }
    }

    /// The next port call, and where the order is when it is done.
    async fn step(&self, row: &ProcessedRow, cause: &Cause) -> Result<(Answer, Progress), Failure> {
        let number = &row.order_number;
        let (answer, next) = match row.progress {
            Progress::Started => {
                let answer = self.ports.stock.reserve(number, &row.product_name, row.quantity).await;
                (answer.map_err(failed("stock"))?, Progress::StockReserved)
            }
            Progress::StockReserved => {
                let answer = self.ports.payment.charge(number, row.total_amount).await;
                (answer.map_err(failed("payment"))?, Progress::Paid)
            }
            Progress::Paid | Progress::Shipped => {
                (self.ports.shipping.ship(number).await.map_err(failed("shipping"))?, Progress::Shipped)
            }
        };
        if answer == Answer::Done {
            let Cause { message_id, attempt } = cause;
            match next {
                Progress::Started => {}
                Progress::StockReserved => {
                    info!(event = "stock_checked", order_number = %number, message_id, attempt, "stock checked");
                }
                Progress::Paid => {
                    info!(event = "payment_done", order_number = %number, message_id, attempt, "payment done");
                }
                Progress::Shipped => {
                    info!(event = "shipping_ready", order_number = %number, message_id, attempt, "shipping ready");
                }
            }
        }
        Ok((answer, next))
    }

    /// Undoes whatever was done for an order and closes its steps; repeating it changes nothing.
    pub(super) async fn undo(&self, number: &OrderNumber) -> Result<(), Failure> {
        self.ports.shipping.call_back(number).await.map_err(failed("shipping"))?;
        self.ports.payment.refund(number).await.map_err(failed("payment"))?;
        self.ports.stock.release(number).await.map_err(failed("stock"))?;
        Ok(())
    }
}
