//! librdkafka's clients and what each is told.

use rdkafka::ClientConfig;

use crate::config::{KafkaOptions, MESSAGE_BYTES_LIMIT};
use crate::holder::client_id;

/// Room for our own headers and the record's framing above a message's own size.
const FRAME_BYTES_MAX: usize = 64 * 1024;
/// Most bytes waiting for their delivery report; a publish beyond it waits. librdkafka's own limit is 1 GiB.
const PRODUCER_QUEUE_KIB: usize = 64 * 1024;
/// Most bytes read ahead of one partition inside librdkafka, below our own window.
const CONSUMER_QUEUE_KIB: usize = 16 * 1024;

/// The same of a delay topic.
const FORWARDER_QUEUE_KIB: usize = 1024;

fn base(options: &KafkaOptions) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &options.servers).set("client.id", client_id(options.holder.as_deref()));
    // A broker that was restarted is found again soon.
    config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "1000");
    config.set("socket.keepalive.enable", "true").set("socket.connection.setup.timeout.ms", "5000");
    let protocol = match (&options.credentials, options.tls) {
        (None, false) => "plaintext",
        (None, true) => "ssl",
        (Some(_), false) => "sasl_plaintext",
        (Some(_), true) => "sasl_ssl",
    };
    config.set("security.protocol", protocol);
    if let Some((user, password)) = &options.credentials {
        config.set("sasl.mechanism", "PLAIN").set("sasl.username", user).set("sasl.password", password);
    }
    config
}

pub(crate) fn producer(options: &KafkaOptions) -> ClientConfig {
    let mut config = base(options);
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("message.timeout.ms", options.delivery.as_millis().to_string())
        .set("message.max.bytes", (options.message_bytes_max + FRAME_BYTES_MAX).to_string())
        // What waits is sent together, what comes alone goes almost at once.
        .set("linger.ms", "1")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", PRODUCER_QUEUE_KIB.to_string())
        // As Java clients place keys; messages without one are spread.
        .set("partitioner", "murmur2_random");
    config
}

pub(crate) fn consumer(options: &KafkaOptions, group: &str) -> ClientConfig {
    let mut config = asking(options);
    config
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The first messages of a new group are not to be lost.
        .set("auto.offset.reset", "earliest")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", options.session.as_millis().to_string())
        .set("heartbeat.interval.ms", "500")
        .set("max.poll.interval.ms", options.poll_interval_max.as_millis().to_string())
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", CONSUMER_QUEUE_KIB.to_string())
        .set("fetch.error.backoff.ms", "100")
        // A full queue stops fetching for so long; a second of it, the default, is a standstill.
        .set("fetch.queue.backoff.ms", "10")
        // A fetch under way keeps partitions out that came to be assigned after it was sent.
        .set("fetch.wait.max.ms", "100")
        // A larger message than this still comes: it is a wish, not a limit.
        .set("fetch.message.max.bytes", "1048576");
    config
}

/// A consumer of the delay topics: what is not due yet is not read far ahead.
pub(crate) fn forwarder(options: &KafkaOptions, group: &str) -> ClientConfig {
    let mut config = consumer(options, group);
    config.set("queued.min.messages", "1000").set("queued.max.messages.kbytes", FORWARDER_QUEUE_KIB.to_string());
    config
}

/// A client that only asks: nothing comes into being by its questions.
pub(crate) fn asking(options: &KafkaOptions) -> ClientConfig {
    let mut config = base(options);
    config.set("allow.auto.create.topics", "false");
    config
}

/// A client at whose questions a server without `CreateTopics` makes topics.
pub(crate) fn creating(options: &KafkaOptions) -> ClientConfig {
    let mut config = base(options);
    config.set("allow.auto.create.topics", "true");
    config
}

/// `max.message.bytes` of delay topics: what a bus with other limits may send.
pub(crate) const DELAY_TOPIC_BYTES_MAX: usize = MESSAGE_BYTES_LIMIT + FRAME_BYTES_MAX;

/// `max.message.bytes` of topics declared here.
pub(crate) fn topic_bytes_max(options: &KafkaOptions) -> usize {
    (options.message_bytes_max + FRAME_BYTES_MAX).max(1_048_588)
}
