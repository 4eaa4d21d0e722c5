//! A producer that has failed for good.

use bus::{Bus as _, BusState, PublishOutcome};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::cluster::{Cluster, close, declare, outgoing, receiver, take};

#[tokio::test]
async fn a_producer_that_lost_its_sequence_tells_it_does_not_know_and_is_replaced() {
    let cluster = Cluster::start();
    let topic = cluster.topic("sequence", 1);
    let bus = cluster.bus("");
    declare(&bus, &topic).await;
    assert!(bus.publish(vec![outgoing(&topic, b"1")]).await[0].is_accepted());
    let disagree = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    cluster.0.request_errors(RDKafkaApiKey::Produce, &[disagree]);
    let outcome = bus.publish(vec![outgoing(&topic, b"2")]).await.remove(0);
    assert!(matches!(&outcome, PublishOutcome::Unknown(error) if error.is_retryable()), "{outcome:?}");
    for body in [b"3", b"4"] {
        let outcome = bus.publish(vec![outgoing(&topic, body)]).await.remove(0);
        assert!(outcome.is_accepted(), "{outcome:?}");
    }
    assert_eq!(bus.state(), BusState::Up);
    let received = take(&receiver(&bus, &topic).await, 3).await;
    let bodies: Vec<_> = received.iter().map(|delivery| delivery.message().body().clone()).collect();
    assert_eq!(bodies, ["1", "3", "4"], "the mock refuses what it answers with an error");
    drop(received);
    close(&bus).await;
}
