//! What an application holds of a session: calls that travel the line.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::{
    Delivery, Error, ErrorKind, ExtendOutcome, Receiver, Result, SettleOutcome, Settlement, Token, Unsettled, Verdict,
};

use super::session::Session;

/// Pause before another look for a subscription that is not there.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(100);

fn broken(operation: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, operation, "the connection to broker.example broke before the answer")
}

/// What an application holds; dropped, it ends the session.
pub(super) struct Handle(pub(super) Arc<Session>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[async_trait]
impl Receiver for Handle {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>) -> Result<()> {
        let (session, clock) = (&self.0, &self.0.line.seams.clock);
        session.line.count_call();
        loop {
            let changed = session.changed.notified();
            if session.is_stopped() {
                return Err(Error::new(ErrorKind::Closed, "receive", "this receiver was stopped"));
            }
            let opens_at = session.line.shut_until();
            let remote = if opens_at.is_some() { None } else { session.remote().await };
            let Some((number, remote)) = remote else {
                let opens_at = opens_at.unwrap_or_else(|| clock.now() + LOOK_AGAIN_AFTER);
                tokio::select! {
                    biased;
                    () = changed => {}
                    () = clock.sleep_until(opens_at) => {}
                }
                continue;
            };
            let (before, mut found) = (into.len(), Vec::new());
            tokio::select! {
                biased;
                () = changed => {}
                answer = remote.receive(max, &mut found) => {
                    session.take_in(number, found, into);
                    if answer.is_ok() && (into.len() > before || max == 0) {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn settle(&self, batch: Vec<Settlement>) -> Vec<SettleOutcome> {
        let session = &self.0;
        let current = session.current();
        let mut outcomes: Vec<SettleOutcome> = batch.iter().map(|_| SettleOutcome::LeaseLost).collect();
        let (mut places, mut sent) = (Vec::new(), Vec::new());
        for (place, settlement) in batch.into_iter().enumerate() {
            let (token, verdict) = settlement.into_parts();
            if let Some(unsettled) = session.take_out(token) {
                places.push(place);
                sent.push(match verdict {
                    Verdict::Ack => unsettled.ack(),
                    Verdict::Nack { after } => unsettled.nack(after),
                    Verdict::Reject { reason } => unsettled.reject(reason),
                });
            }
        }
        let Some((number, remote)) = current.filter(|_| !sent.is_empty()) else { return outcomes };
        match session.line.ask(number, remote.settle(sent)).await {
            Ok(answers) => places.into_iter().zip(answers).for_each(|(place, answer)| outcomes[place] = answer),
            Err(_) => places.into_iter().for_each(|place| outcomes[place] = SettleOutcome::Failed(broken("settle"))),
        }
        outcomes
    }

    async fn extend(&self, tokens: &[Token], by: Duration) -> Vec<ExtendOutcome> {
        let session = &self.0;
        let mut outcomes: Vec<ExtendOutcome> = tokens.iter().map(|_| ExtendOutcome::LeaseLost).collect();
        let known = tokens.iter().enumerate().filter_map(|(place, token)| Some((place, session.remote_token(*token)?)));
        let (places, remote_tokens): (Vec<usize>, Vec<Token>) = known.unzip();
        let Some((number, remote)) = session.current().filter(|_| !places.is_empty()) else { return outcomes };
        match session.line.ask(number, remote.extend(&remote_tokens, by)).await {
            Ok(answers) => places.into_iter().zip(answers).for_each(|(place, answer)| outcomes[place] = answer),
            Err(_) => places.into_iter().for_each(|place| outcomes[place] = ExtendOutcome::Failed(broken("extend"))),
        }
        outcomes
    }

    async fn release(&self, unstarted: Vec<Unsettled>) {
        let session = &self.0;
        let current = session.current();
        let taken = unstarted.into_iter().filter_map(|one| session.take_out(one.discharge()));
        let taken: Vec<Unsettled> = taken.collect();
        if let Some((number, remote)) = current.filter(|_| !taken.is_empty()) {
            // What did not arrive is back as well: the broker takes back what a broken connection had.
            let _ = session.line.ask(number, remote.release(taken)).await;
        }
    }

    async fn lost(&self) -> Vec<Token> {
        let session = &self.0;
        loop {
            let changed = session.changed.notified();
            let lost = session.take_lost();
            if !lost.is_empty() {
                return lost;
            }
            let Some((_, remote)) = session.current() else {
                changed.await;
                continue;
            };
            tokio::select! {
                biased;
                () = changed => {}
                remote_tokens = remote.lost() => session.lose(&remote_tokens),
            }
        }
    }

    fn stop(&self) {
        self.0.stop();
    }

    async fn close(&self) {
        self.0.end();
    }
}
