//! `orders verify`: do producer and consumer tell the same story about every order?
//!
//! Both sides are only asked over HTTP, as any client could. The first pass pages through both and
//! keeps the producer's orders alone in memory; whatever does not agree at once is *in doubt*, read
//! again order by order until it agrees or the settle time is over, and only then named: while orders
//! flow, a difference is mostly a message on its way.
//!
//! In reading order: the JSON that is read ([`reading`]) with its exact numbers ([`exact`]), the rules
//! ([`compare`], [`books`]: pure), the asking ([`sides`]), the two passes ([`survey`], [`settle`]) and
//! what comes out ([`report`]).

pub mod books;
pub mod compare;
pub mod exact;
mod readiness;
pub mod reading;
pub mod report;
mod settle;
mod sides;
mod survey;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bus::Clock;
use secrecy::SecretString;

pub use report::{Difference, Report, Unanswered};

use crate::http_client::BaseUrl;
use sides::Sides;

/// Most requests that are under way at the same time.
const REQUESTS_MAX: usize = 16;

/// What to compare, and how patiently.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the producer is reached.
    pub producer: BaseUrl,
    /// Where the consumer is reached.
    pub consumer: BaseUrl,
    /// The token of the producer's sync routes, if it asks for one.
    pub sync_token: Option<SecretString>,
    /// How long a difference is read again before it is named. Each is read again at least once.
    pub settle: Duration,
    /// Called now and then with the orders compared so far and all orders.
    pub progress: Option<fn(usize, usize)>,
}

/// Compares all orders of both sides. The report is complete or says who did not answer.
///
/// Dropping the future ends the comparison; it changes nothing on either side.
pub async fn run(options: &Options, clock: &dyn Clock) -> Report {
    match compare_all(options, clock).await {
        Ok(report) => report,
        Err(unanswered) => Report { unanswered: Some(unanswered), ..Report::default() },
    }
}

async fn compare_all(options: &Options, clock: &dyn Clock) -> Result<Report, Unanswered> {
    let sides = Sides::new(options, clock)?;
    sides.readiness().await?;
    let survey = survey::run(&sides, options.progress).await?;
    let mut report = settle::run(&sides, survey, options.settle).await?;
    // Last, because a row may have been parked just now.
    for (side, readiness) in sides.readiness().await? {
        readiness.tell(side, &mut report);
    }
    Ok(report)
}
