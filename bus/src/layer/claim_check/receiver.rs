//! The receiving side: bodies are claimed before their deliveries are handed out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tracing::{error, warn};

use super::{CLAIM, CLAIM_BYTES, ClaimStore, STORE_CALL_COUNT_MAX};
use crate::layer::ReceiverLayer;
use crate::{Delivery, Error, ErrorKind, Message, MessageId, Receiver, Result, Settlement, Token};

/// Deliveries on their way from the bus to the consumer.
///
/// They are kept here and not in the call's future: a consumer that drops each call before the store
/// has answered comes to its deliveries nevertheless.
pub(super) struct Claiming {
    store: Arc<dyn ClaimStore>,
    arrived: Mutex<VecDeque<Arrived>>,
}

struct Arrived {
    delivery: Delivery,
    claim: Claim,
}

enum Claim {
    /// The message is whole.
    Settled,
    /// Its body is in the store.
    Open { key: String, body_bytes: Option<usize> },
    /// Its body is not to be had: why.
    Void(String),
}

impl Claiming {
    pub(super) fn new(store: Arc<dyn ClaimStore>) -> Self {
        Self { store, arrived: Mutex::default() }
    }

    fn with<R>(&self, work: impl FnOnce(&mut VecDeque<Arrived>) -> R) -> R {
        work(&mut self.arrived.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Claims every open body.
    async fn claim_all(&self) -> Result<()> {
        let open: Vec<BoxFuture<'_, (Token, Result<Option<Bytes>>)>> = self.with(|arrived| {
            let claims = arrived.iter().filter_map(|one| match &one.claim {
                Claim::Open { key, .. } => Some(Box::pin(self.claim(one.delivery.token(), key.clone())) as _),
                Claim::Settled | Claim::Void(_) => None,
            });
            claims.collect()
        });
        let mut answers = futures_util::stream::iter(open).buffer_unordered(STORE_CALL_COUNT_MAX);
        while let Some((token, answer)) = answers.next().await {
            let answer = match answer {
                Err(error) if error.kind() != ErrorKind::Invalid => return Err(error),
                answer => answer,
            };
            self.with(|arrived| {
                if let Some(one) = arrived.iter_mut().find(|one| one.delivery.token() == token) {
                    one.close(answer);
                }
            });
        }
        Ok(())
    }

    async fn claim(&self, token: Token, key: String) -> (Token, Result<Option<Bytes>>) {
        (token, self.store.get(&key).await)
    }

    /// Sends deliveries whose claims are void to the dead letters.
    async fn bury(&self, next: &dyn Receiver) {
        let void: Vec<(MessageId, Settlement)> = self.with(|arrived| {
            let (void, whole): (VecDeque<Arrived>, _) = std::mem::take(arrived).into_iter().partition(Arrived::is_void);
            *arrived = whole;
            void.into_iter().filter_map(Arrived::into_reject).collect()
        });
        if void.is_empty() {
            return;
        }
        let (message_ids, rejects): (Vec<_>, Vec<_>) = void.into_iter().unzip();
        for (message_id, outcome) in message_ids.iter().zip(next.settle(rejects).await) {
            if outcome.is_settled() {
                warn!(%message_id, "a body could not be claimed: the message went to the dead letters");
            } else {
                error!(%message_id, ?outcome, "a body could not be claimed, and the message comes again: dead letters did not take it");
            }
        }
    }
}

#[async_trait]
impl ReceiverLayer for Claiming {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        loop {
            if self.with(|arrived| arrived.is_empty()) {
                let mut fresh = Vec::new();
                let received = next.receive(max, &mut fresh).await;
                if fresh.is_empty() {
                    return received;
                }
                self.with(|arrived| arrived.extend(fresh.into_iter().map(Arrived::new)));
            }
            if let Err(cause) = self.claim_all().await {
                let arrived = self.with(std::mem::take);
                next.release(arrived.into_iter().map(|one| one.delivery.split().1).collect()).await;
                return Err(
                    Error::new(ErrorKind::Unavailable, "receive", "the claim store does not answer").caused_by(cause)
                );
            }
            self.bury(next).await;
            let count = self.with(|arrived| {
                let count = max.min(arrived.len());
                into.extend(arrived.drain(..count).map(|one| one.delivery));
                count
            });
            if count > 0 || max == 0 {
                return Ok(());
            }
        }
    }

    async fn lost(&self, next: &dyn Receiver) -> Vec<Token> {
        let lost = next.lost().await;
        // Of those not handed out yet nobody knows.
        self.with(|arrived| arrived.retain(|one| !lost.contains(&one.delivery.token())));
        lost
    }

    fn stop(&self, next: &dyn Receiver) {
        next.stop();
        // Dropped, they go back.
        drop(self.with(std::mem::take));
    }

    async fn close(&self, next: &dyn Receiver) {
        let arrived = self.with(std::mem::take);
        next.release(arrived.into_iter().map(|one| one.delivery.split().1).collect()).await;
        next.close().await;
    }
}

impl Arrived {
    fn new(delivery: Delivery) -> Self {
        let claim = claim_of(delivery.message());
        Self { delivery, claim }
    }

    fn is_void(&self) -> bool {
        matches!(self.claim, Claim::Void(_))
    }

    /// To the dead letters, for want of its body.
    fn into_reject(self) -> Option<(MessageId, Settlement)> {
        let Claim::Void(reason) = self.claim else { return None };
        Some((self.delivery.message().id().clone(), self.delivery.reject(reason)))
    }

    /// Takes the store's answer to an open claim.
    fn close(&mut self, answer: Result<Option<Bytes>>) {
        let Claim::Open { key, body_bytes } = &self.claim else { return };
        self.claim = match answer {
            Ok(Some(body)) if *body_bytes == Some(body.len()) => {
                let message = self.delivery.message_mut();
                message.set_body(body);
                message.headers_mut().remove(CLAIM);
                message.headers_mut().remove(CLAIM_BYTES);
                Claim::Settled
            }
            Ok(Some(body)) => {
                let expected = body_bytes.map_or("an unknown number of".to_owned(), |bytes| bytes.to_string());
                Claim::Void(format!("claim check {key}: the body has {} bytes instead of {expected}", body.len()))
            }
            Ok(None) => Claim::Void(format!("claim check {key}: the store has no such body")),
            Err(error) => Claim::Void(format!("claim check {key}: {error}")),
        };
    }
}

fn claim_of(message: &Message) -> Claim {
    let headers = message.headers();
    match (headers.get(CLAIM), headers.text(CLAIM)) {
        (None, _) => Claim::Settled,
        (Some(_), None) => Claim::Void(format!("the header {CLAIM} is no text")),
        (Some(_), Some(key)) => {
            let body_bytes = headers.text(CLAIM_BYTES).and_then(|bytes| bytes.parse().ok());
            Claim::Open { key: key.to_owned(), body_bytes }
        }
    }
}
