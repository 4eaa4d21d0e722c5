//! A bus that is dropped, a receiver that was stopped, a delivery that was held for too long.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus::{Bus, ErrorKind, Receiver, ReceiverExt as _, SettleOutcome, SubscribeOptions, Token};
use futures_util::future::join_all;
use tests::brokers::{Proxy, Server};

use crate::scene::{ack, body, bus, declared, in_time, open, publish, receiver, receiver_of, take};

/// A bus behind a wire of its own, to the shared server.
async fn behind_a_wire() -> (Proxy, Arc<dyn Bus>) {
    let url = tests::brokers::url("rabbitmq");
    let (start, rest) = url.rsplit_once(':').expect("it names its port");
    let (port, vhost) = rest.split_once('/').expect("and its virtual host");
    let wire = Proxy::before(port.parse().expect("a number")).await;
    let (credentials, _) = start.rsplit_once('@').expect("with a user");
    let bus = open(&format!("{credentials}@{}/{vhost}", wire.address())).await;
    (wire, bus)
}

async fn lost(receiver: &Arc<dyn Receiver>, tokens: &[Token]) {
    let mut missing: BTreeSet<(u64, u64)> = tokens.iter().map(|token| (token.slot, token.epoch)).collect();
    in_time("losses are told", async {
        while !missing.is_empty() {
            for token in receiver.lost().await {
                missing.remove(&(token.slot, token.epoch));
            }
        }
    })
    .await;
}

pub(crate) async fn a_dropped_bus_gives_back_what_it_had_and_closes_its_connections() {
    let (wire, dropped) = behind_a_wire().await;
    let destination = declared(&dropped, "dropped").await;
    let receiver_of_it = receiver(&dropped, &destination).await;
    publish(&dropped, &destination, &["held", "waiting"]).await;
    let held = take(&receiver_of_it, 1).await;
    drop(dropped);

    let error = in_time("it ends", async {
        loop {
            if let Err(error) = receiver_of_it.receive(1, &mut Vec::new()).await {
                return error;
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    in_time("connections are closed", wire.until_unused()).await;
    let outcome = receiver_of_it.settle(held.into_iter().map(bus::Delivery::ack).collect()).await;
    assert!(matches!(outcome[..], [SettleOutcome::LeaseLost]), "{outcome:?}");
    let other = bus("").await;
    let receiver = receiver(&other, &destination).await;
    assert_eq!(ack(&receiver, take(&receiver, 2).await).await, ["held", "waiting"]);
}

/// Its consumer is cancelled then, so that nothing comes through it any more, and no error either.
pub(crate) async fn every_stopped_receiver_learns_that_its_connection_is_lost() {
    let (wire, cut) = behind_a_wire().await;
    let destination = declared(&cut, "stopped").await;
    publish(&cut, &destination, &["1", "2", "3"]).await;
    let one_each = SubscribeOptions { prefetch_count_max: 1, ..SubscribeOptions::default() };
    let mut stopped = Vec::new();
    for _ in 0..3 {
        let receiver = receiver_of(&cut, &destination, one_each).await;
        let [delivery] = take(&receiver, 1).await.try_into().expect("one");
        receiver.stop();
        stopped.push((receiver, delivery));
    }
    // What is dropped after the stop goes back: the others are still held.
    let other = bus("").await;
    let next = receiver(&other, &destination).await;
    let (first, delivery) = stopped.remove(0);
    drop(delivery);
    assert_eq!(ack(&next, take(&next, 1).await).await, ["1"]);

    wire.cut();
    for (receiver, delivery) in &stopped {
        lost(receiver, &[delivery.token()]).await;
    }
    for (receiver, delivery) in stopped {
        assert!(matches!(receiver.settle_one(delivery.ack()).await, SettleOutcome::LeaseLost));
        in_time("it closes", receiver.close()).await;
    }
    in_time("it closes", first.close()).await;
    assert_eq!(ack(&next, take(&next, 2).await).await, ["2", "3"]);
}

/// RabbitMQ closes the channel, and with it everything held on it.
pub(crate) async fn what_is_held_beyond_the_consumer_timeout_is_lost_and_comes_again_to_the_same_receiver() {
    let server = Server::rabbitmq_with(11_675, "consumer_timeout = 2000", "-rabbit channel_tick_interval 200");
    let bus = open(&format!("{}?consumer_timeout=2s", server.url())).await;
    assert_eq!(bus.capability().lease.total_max.map(|span| span.as_secs()), Some(2));
    let destination = declared(&bus, "held").await;
    publish(&bus, &destination, &["1", "2", "3"]).await;
    let one_each = SubscribeOptions { prefetch_count_max: 1, ..SubscribeOptions::default() };
    let [running, stopped] =
        [receiver_of(&bus, &destination, one_each).await, receiver_of(&bus, &destination, one_each).await];
    let held = [take(&running, 1).await.remove(0), take(&stopped, 1).await.remove(0)];
    stopped.stop();
    for (receiver, delivery) in [&running, &stopped].into_iter().zip(held) {
        lost(receiver, &[delivery.token()]).await;
        assert!(matches!(receiver.settle_one(delivery.ack()).await, SettleOutcome::LeaseLost));
    }
    // A machine that is slow enough loses them once more; in the end each is done.
    let mut done = BTreeSet::new();
    in_time("all are done", async {
        while done.len() < 3 {
            let [delivery] = take(&running, 1).await.try_into().expect("one");
            let body = body(&delivery);
            if running.settle_one(delivery.ack()).await.is_settled() {
                done.insert(body);
            }
        }
    })
    .await;
    assert_eq!(bus.state(), bus::BusState::Up);
    in_time("it closes", stopped.close()).await;
}

/// The client cancels a subscription that is dropped in the background, and takes a channel that is
/// closing by then for a failure of the connection, which everybody shares.
pub(crate) async fn receivers_that_come_and_go_leave_the_connection_to_the_others() {
    let bus = bus("").await;
    let (quiet, busy) = (declared(&bus, "quiet").await, declared(&bus, "busy").await);
    let holder = receiver(&bus, &quiet).await;
    publish(&bus, &quiet, &["held"]).await;
    let held = take(&holder, 1).await;
    publish(&bus, &busy, &["1", "2", "3", "4", "5", "6", "7", "8"]).await;
    let coming_and_going = async || {
        for _ in 0..1000 {
            let one = SubscribeOptions { prefetch_count_max: 1, ..SubscribeOptions::default() };
            let receiver = receiver_of(&bus, &busy, one).await;
            let _comes_again = take(&receiver, 1).await;
            receiver.close().await;
        }
    };
    join_all((0..8).map(|_| coming_and_going())).await;
    let outcome = holder.settle(held.into_iter().map(bus::Delivery::ack).collect()).await;
    assert!(matches!(outcome[..], [SettleOutcome::Sent]), "its connection was lost meanwhile: {outcome:?}");
}
