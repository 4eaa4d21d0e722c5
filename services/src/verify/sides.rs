//! Asking the two sides.

use std::time::Duration;

use bus::{Clock, ClockExt};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Options;
use super::readiness::Readiness;
use super::reading::{Books, Order, Processed, Reading};
use super::report::Unanswered;
use crate::http_client::{Peer, Reply};

/// Items per page, as text for the query: the most either side gives.
const PAGE_COUNT: &str = "500";
/// Pause before asking again what could not be taken on.
const OVERLOAD_PAUSE: Duration = Duration::from_millis(500);
/// How often a request is made that a side is too busy for.
const OVERLOAD_TRIES_MAX: usize = 10;

/// Both sides, and the clock that paces the asking.
pub(super) struct Sides<'a> {
    producer: Side,
    consumer: Side,
    pub(super) clock: &'a dyn Clock,
}

struct Side {
    name: &'static str,
    peer: Peer,
}

/// Where the next page begins, on either side: a change sequence or a cursor.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    items: Vec<T>,
    #[serde(default)]
    next: Value,
    #[serde(default)]
    next_cursor: Value,
    /// Only the sync page has it; elsewhere there is more as long as there is a cursor.
    has_more: Option<bool>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(options: &Options, clock: &'a dyn Clock) -> Result<Self, Unanswered> {
        // The token opens the producer's sync routes; the consumer has no business with it.
        let side = |name, base: &crate::http_client::BaseUrl, token| match Peer::new(base.clone(), token) {
            Ok(peer) => Ok(Side { name, peer }),
            Err(error) => Err(Unanswered {
                side: name,
                url: base.to_string(),
                reason: format!("there is no HTTP client: {error}"),
                hint: "this machine cannot make HTTP requests".to_owned(),
            }),
        };
        Ok(Self {
            producer: side("producer", &options.producer, options.sync_token.clone())?,
            consumer: side("consumer", &options.consumer, None)?,
            clock,
        })
    }

    /// Whether both answer at all, and what they say about themselves.
    pub(super) async fn readiness(&self) -> Result<[(&'static str, Readiness); 2], Unanswered> {
        let mut told = [("producer", Readiness::default()), ("consumer", Readiness::default())];
        for (side, (_, readiness)) in [&self.producer, &self.consumer].into_iter().zip(&mut told) {
            let reply = side.peer.get(&["readyz"], &[]).await.map_err(|failure| side.silent(&failure))?;
            *readiness = reply.json().unwrap_or_default();
        }
        Ok(told)
    }

    /// Hands over the producer's orders in the order of their changes: one that changes meanwhile comes twice.
    pub(super) async fn orders(&self, take: impl FnMut(Order)) -> Result<(), Unanswered> {
        self.pages(&self.producer, &["api", "sync", "orders"], "after", take).await
    }

    /// Hands over the consumer's copies.
    pub(super) async fn copies(&self, take: impl FnMut(Order)) -> Result<(), Unanswered> {
        self.pages(&self.consumer, &["api", "synced-orders"], "cursor", take).await
    }

    /// Hands over the consumer's results.
    pub(super) async fn results(&self, take: impl FnMut(Processed)) -> Result<(), Unanswered> {
        self.pages(&self.consumer, &["api", "processed-orders"], "cursor", take).await
    }

    /// What the consumer's books say of an order; an order they do not know left nothing in them.
    pub(super) async fn books(&self, number: &str) -> Result<Books, Unanswered> {
        Ok(self.one(&self.consumer, &["api", "books", number]).await?.unwrap_or_default())
    }

    /// All that both sides say about one order.
    pub(super) async fn reading(&self, number: &str) -> Result<Reading, Unanswered> {
        Ok(Reading {
            order_number: number.to_owned(),
            order: self.one(&self.producer, &["api", "sync", "order", number]).await?,
            copy: self.one(&self.consumer, &["api", "synced-orders", number]).await?,
            processed: self.one(&self.consumer, &["api", "processed-orders", number]).await?,
            books: self.books(number).await?,
        })
    }

    async fn pages<T: DeserializeOwned>(
        &self,
        side: &Side,
        route: &[&str],
        from: &str,
        mut take: impl FnMut(T),
    ) -> Result<(), Unanswered> {
        let mut place: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE_COUNT)];
            query.extend(place.as_deref().map(|place| (from, place)));
            let reply = self.ask(side, route, &query).await?;
            if reply.status() == StatusCode::NOT_FOUND {
                return Err(side.odd(&reply, "there is no such route", None));
            }
            let page: Page<T> = side.read(&reply)?;
            let next = scalar(&page.next).or_else(|| scalar(&page.next_cursor));
            page.items.into_iter().for_each(&mut take);
            match next {
                Some(next) if page.has_more != Some(false) => {
                    if place.as_ref() == Some(&next) {
                        return Err(side.odd(&reply, "the next page is this page", None));
                    }
                    place = Some(next);
                }
                _ => return Ok(()),
            }
        }
    }

    async fn one<T: DeserializeOwned>(&self, side: &Side, route: &[&str]) -> Result<Option<T>, Unanswered> {
        let reply = self.ask(side, route, &[]).await?;
        if reply.status() == StatusCode::NOT_FOUND { Ok(None) } else { side.read(&reply).map(Some) }
    }

    /// The answer, 200 or 404; one of "too busy" is waited out for a while.
    async fn ask(&self, side: &Side, route: &[&str], query: &[(&str, &str)]) -> Result<Reply, Unanswered> {
        let mut tries = 1;
        loop {
            let reply = side.peer.get(route, query).await.map_err(|failure| side.silent(&failure))?;
            match reply.status() {
                StatusCode::OK | StatusCode::NOT_FOUND => return Ok(reply),
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS if tries < OVERLOAD_TRIES_MAX => {
                    tries += 1;
                    self.clock.sleep(OVERLOAD_PAUSE).await;
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    let hint = "give the token that side was started with, in ORDERS_SYNC_TOKEN or with --sync-token";
                    return Err(side.odd(&reply, &format!("it answers {}", reply.status()), Some(hint)));
                }
                status => return Err(side.odd(&reply, &format!("it answers {status}"), None)),
            }
        }
    }
}

impl Side {
    fn read<T: DeserializeOwned>(&self, reply: &Reply) -> Result<T, Unanswered> {
        reply.json().map_err(|error| self.odd(reply, &format!("the answer cannot be read: {error}"), None))
    }

    fn silent(&self, failure: &crate::http_client::Failure) -> Unanswered {
        Unanswered {
            side: self.name,
            url: failure.url().to_owned(),
            reason: failure.cause().to_owned(),
            hint: format!("start it, or say with --{}-url where it is", self.name),
        }
    }

    fn odd(&self, reply: &Reply, reason: &str, hint: Option<&str>) -> Unanswered {
        let usual = || format!("is the {} really at --{}-url {}?", self.name, self.name, self.peer.base());
        Unanswered {
            side: self.name,
            url: reply.url().to_string(),
            reason: reason.to_owned(),
            hint: hint.map_or_else(usual, ToOwned::to_owned),
        }
    }
}

/// A place in a listing, whether it is written as a text or as a number.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
