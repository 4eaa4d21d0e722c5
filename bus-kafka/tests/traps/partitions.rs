//! Partitions that are not as many as somebody believes.

use bus::{Bus as _, Declaration, ErrorKind, Message, MessageKey, Outgoing, ReceiverExt as _, Seams};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::cluster::{Cluster, close, declare, outgoing, receiver, take};
use crate::log;

#[tokio::test]
async fn other_partitions_than_asked_for_are_a_conflict_that_says_what_changing_them_breaks() {
    let cluster = Cluster::start();
    let topic = cluster.topic("three", 3);
    let bus = cluster.bus("partitions=2");
    let error = bus.declare(&[Declaration::of(topic.clone())]).await.expect_err("it has three");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    for part in ["has 3 partitions and 2 were asked for", "breaks their order", "three"] {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    close(&bus).await;
    let bus = cluster.bus("");
    declare(&bus, &topic).await;
    close(&bus).await;
}

/// Commits as a member does that has seen so many partitions.
fn commit_with(cluster: &Cluster, group: &str, metadata: &str) {
    let consumer: BaseConsumer = cluster.config().set("group.id", group).create().expect("a client");
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(group, 0);
    element.set_offset(Offset::Offset(0)).expect("legal");
    element.set_metadata(metadata);
    consumer.commit(&list, CommitMode::Sync).expect("committed");
}

#[tokio::test]
async fn partitions_added_since_the_last_commit_are_told_with_what_that_breaks() {
    log::listen();
    let cluster = Cluster::start();
    for (name, metadata, is_told) in [("grown", "p1", true), ("as-before", "p2", false), ("never-seen", "", false)] {
        let topic = cluster.topic(name, 2);
        commit_with(&cluster, name, metadata);
        let bus = cluster.bus("");
        declare(&bus, &topic).await;
        assert!(bus.publish(vec![outgoing(&topic, b"{}")]).await[0].is_accepted());
        // What comes comes after the assignment, and so after the comparison.
        drop(take(&receiver(&bus, &topic).await, 1).await);
        close(&bus).await;
        let told: Vec<_> =
            log::lines_of("number of partitions was changed").into_iter().filter(|line| line.contains(name)).collect();
        assert_eq!(told.len(), usize::from(is_told), "{name}: {told:?}");
        assert!(told.iter().all(|line| line.contains("WARN") && line.contains("handled out of order")), "{told:?}");
    }
}

/// What a member commits is what the next one compares with.
#[tokio::test]
async fn a_commit_names_the_number_of_partitions() {
    let cluster = Cluster::start();
    let topic = cluster.topic("counted", 3);
    let bus = cluster.bus("");
    declare(&bus, &topic).await;
    let message = Message::new(Seams::system().message_id("tests"), &b"{}"[..]);
    let keyed = message.with_key(MessageKey::new("k").expect("legal"));
    assert!(bus.publish(vec![Outgoing::new(topic.clone(), keyed)]).await[0].is_accepted());
    let orders = receiver(&bus, &topic).await;
    let delivery = take(&orders, 1).await.remove(0);
    assert!(orders.settle_one(delivery.ack()).await.is_settled());
    close(&bus).await;
    let asking: BaseConsumer = cluster.config().set("group.id", "counted").create().expect("a client");
    let mut all = TopicPartitionList::new();
    all.add_partition_range("counted", 0, 2);
    let committed = asking.committed_offsets(all, crate::cluster::PATIENCE).expect("answered");
    let metadata: Vec<String> = committed.elements().iter().map(|element| element.metadata().to_owned()).collect();
    assert!(metadata.iter().any(|metadata| metadata == "p3"), "{metadata:?}");
}
