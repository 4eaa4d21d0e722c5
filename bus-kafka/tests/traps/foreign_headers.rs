//! A header whose name is no text. No client of Kafka lets one write it, so it is written byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;

use bus::dead_letter::Provenance;
use bus::{Bus as _, Delivery, ReceiverExt as _};

use crate::cluster::{Cluster, close, declare, outgoing, receiver, take};

/// A variable-length number of a record: all here are from 0 to 63.
fn short(number: usize) -> u8 {
    u8::try_from(number * 2).expect("one byte")
}

/// A record of a batch (version 2) with a body and headers, without a key.
fn record(body: &[u8], headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    // Attributes, differences of time and offset, and a key of -1 bytes.
    let mut bytes = vec![0, 0, 0, 1, short(body.len())];
    bytes.extend(body);
    bytes.push(short(headers.len()));
    for (name, value) in headers {
        for part in [name, value] {
            bytes.push(short(part.len()));
            bytes.extend(*part);
        }
    }
    bytes.insert(0, short(bytes.len()));
    bytes
}

/// Produces one record to partition 0: a request of version 3, and the head of its answer.
fn produce(server: &str, topic: &str, record: &[u8]) {
    let mut batch = vec![0; 4]; // leader epoch
    batch.push(2);
    batch.extend([0; 4]); // checksum, which the mock cluster does not look at
    batch.extend([0; 6]); // attributes, last offset
    batch.extend([0; 16]); // times
    batch.extend([0xff; 14]); // no idempotent producer
    batch.extend(1_i32.to_be_bytes());
    batch.extend(record);
    let length = |bytes: &[u8]| i32::try_from(bytes.len()).expect("short").to_be_bytes();
    let batch = [&[0; 8], &length(&batch)[..], &batch].concat();

    let mut request = vec![0, 0, 0, 3, 0, 0, 0, 7, 0xff, 0xff]; // Produce, version 3, number 7, of nobody
    request.extend([0xff, 0xff, 0xff, 0xff]); // no transaction, all replicas
    request.extend(10_000_i32.to_be_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(i16::try_from(topic.len()).expect("short").to_be_bytes());
    request.extend(topic.as_bytes());
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes());
    request.extend(length(&batch));
    request.extend(batch);

    let mut socket = TcpStream::connect(server).expect("it listens");
    socket.write_all(&[&length(&request)[..], &request].concat()).expect("taken");
    let mut head = [0; 8];
    socket.read_exact(&mut head).expect("answered");
    assert_eq!(head[4..], [0, 0, 0, 7], "the answer to this request");
}

#[tokio::test]
async fn a_header_name_that_is_no_text_is_quarantined_and_the_next_message_flows() {
    let cluster = Cluster::start();
    let bus = cluster.bus("partitions=1");
    let topic = cluster.topic("odd-headers", 1);
    declare(&bus, &topic).await;
    let odd = record(b"raw", &[(b"plain", b"1"), (b"\xff\xfe", b"2")]);
    produce(&cluster.0.bootstrap_servers(), topic.as_str(), &odd);
    assert!(bus.publish(vec![outgoing(&topic, b"next")]).await[0].is_accepted());

    let orders = receiver(&bus, &topic).await;
    let next = take(&orders, 1).await.remove(0);
    assert_eq!(&next.message().body()[..], b"next");
    assert!(orders.settle_one(next.ack()).await.is_settled());

    let graves = receiver(&bus, &topic.dead_letters().expect("legal")).await;
    let buried = take(&graves, 1).await.remove(0);
    let (body, headers) = (&buried.message().body()[..], buried.message().headers());
    assert_eq!((body, headers.text("plain")), (&b"raw"[..], Some("1")));
    let reason = Provenance::of(buried.message()).reason.expect("told");
    assert!(reason.contains("the name of a header is no UTF-8"), "{reason}");
    assert!(graves.settle(vec![Delivery::ack(buried)]).await[0].is_settled());
    close(&bus).await;
}
