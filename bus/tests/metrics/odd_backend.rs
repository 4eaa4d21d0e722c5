//! What the memory bus never does and another backend may: append and go on waiting, answer fewer
//! entries than it was given, never answer at all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::layer::{Layer, LayerExt, ReceiverLayer, layered_receiver};
use bus::{
    Bus, ClockExt, Declaration, Delivery, Outgoing, PublishOutcome, Receiver, Result, Seams, SettleOutcome, Settlement,
    SubscribeOptions, Subscription,
};
use bus_memory::{MemoryBus, MemoryOptions};

use crate::rig::{Rig, orders};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oddity {
    Never,
    TooLittle,
}

#[derive(Clone, Debug)]
struct Odd(Arc<Mutex<Option<Oddity>>>);

impl Odd {
    fn get(&self) -> Option<Oddity> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, oddity: Option<Oddity>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = oddity;
    }

    async fn answer<T>(&self, mut outcomes: Vec<T>) -> Vec<T> {
        match self.get() {
            Some(Oddity::Never) => std::future::pending().await,
            Some(Oddity::TooLittle) => outcomes.clear(),
            None => {}
        }
        outcomes
    }
}

#[async_trait]
impl Layer for Odd {
    async fn publish(&self, batch: Vec<Outgoing>, next: &dyn Bus) -> Vec<PublishOutcome> {
        self.answer(next.publish(batch).await).await
    }

    async fn subscribe(
        &self,
        subscription: &Subscription,
        options: SubscribeOptions,
        next: &dyn Bus,
    ) -> Result<Arc<dyn Receiver>> {
        Ok(layered_receiver(next.subscribe(subscription, options).await?, self.clone()))
    }
}

#[async_trait]
impl ReceiverLayer for Odd {
    async fn receive(&self, max: usize, into: &mut Vec<Delivery>, next: &dyn Receiver) -> Result<()> {
        next.receive(max, into).await?;
        if self.get() == Some(Oddity::Never) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn settle(&self, batch: Vec<Settlement>, next: &dyn Receiver) -> Vec<SettleOutcome> {
        self.answer(next.settle(batch).await).await
    }
}

async fn odd_rig() -> (Rig, Odd) {
    let seams = Seams::repeatable(jiff::Timestamp::UNIX_EPOCH, 1);
    let memory: Arc<dyn Bus> = MemoryBus::new(seams.clone(), MemoryOptions::default());
    memory.declare(&[Declaration::of(orders())]).await.expect("a fresh bus takes it");
    let odd = Odd(Arc::default());
    (Rig::around(seams, memory.layer(odd.clone())), odd)
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_receive_had_appended_is_in_flight() {
    let (rig, odd) = odd_rig().await;
    rig.publish(&["a", "b"]).await;
    let receiver = rig.receiver().await;
    odd.set(Some(Oddity::Never));
    let mut into = Vec::new();
    assert!(rig.seams.clock.timeout(Duration::from_secs(1), receiver.receive(10, &mut into)).await.is_none());
    assert_eq!((into.len(), rig.in_flight()), (2, 2));
    assert_eq!(rig.value("messaging_client_consumed_messages_total"), 2);
    drop(into);
    assert_eq!(rig.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_or_answered_too_little_are_told_apart_from_success() {
    let (rig, odd) = odd_rig().await;
    rig.publish(&["a", "b", "c"]).await;
    let receiver = rig.receiver().await;
    let mut deliveries = rig.take(&receiver, 3).await;
    odd.set(Some(Oddity::Never));
    let second = Duration::from_secs(1);
    let publishing = rig.bus.publish(vec![Outgoing::new(orders(), rig.message("d"))]);
    assert!(rig.seams.clock.timeout(second, publishing).await.is_none());
    let settling = receiver.settle(deliveries.drain(..2).map(Delivery::ack).collect());
    assert!(rig.seams.clock.timeout(second, settling).await.is_none());
    odd.set(Some(Oddity::TooLittle));
    rig.bus.publish(vec![Outgoing::new(orders(), rig.message("e"))]).await;
    receiver.settle(deliveries.drain(..).map(Delivery::ack).collect()).await;
    assert_eq!(
        rig.scrape("messaging_client_sent"),
        [
            r#"messaging_client_sent_messages_total{destination="orders",outcome="accepted"} 3"#,
            r#"messaging_client_sent_messages_total{destination="orders",outcome="cancelled"} 1"#,
            r#"messaging_client_sent_messages_total{destination="orders",outcome="unknown"} 1"#,
        ]
    );
    assert_eq!(
        rig.scrape("messaging_client_settlements"),
        [
            r#"messaging_client_settlements_total{destination="orders",group="",verdict="ack",outcome="cancelled"} 2"#,
            r#"messaging_client_settlements_total{destination="orders",group="",verdict="ack",outcome="failed"} 1"#,
        ]
    );
    assert_eq!(rig.in_flight(), 0);
}
