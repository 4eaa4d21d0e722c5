//! What a URL may say, and what it is told otherwise.

use super::*;

fn options(url: &str) -> Result<KafkaOptions> {
    KafkaOptions::of(&BusUrl::parse(url).expect("a URL"))
}

#[test]
fn a_url_sets_every_option() {
    let url = "kafka://me:hunter2@127.0.0.1:9092,[::1]:9093?partitions=8&retention=7d&replication=3&admin=off&window=100\
               &drain=500ms&holder=store-1&session=6s&poll=1m&timeout=5s&message_bytes_max=1000&delays=topics&retries=topics\
               &scope=team-1";
    let expected = KafkaOptions {
        servers: "127.0.0.1:9092,[::1]:9093".to_owned(),
        credentials: Some(("me".to_owned(), "hunter2".to_owned())),
        tls: false,
        partition_count: Some(8),
        retention: Some(Duration::from_secs(7 * 86_400)),
        replica_count: Some(3),
        admin: false,
        window_count_max: 100,
        drain: Duration::from_millis(500),
        holder: Some("store-1".to_owned()),
        session: Duration::from_secs(6),
        poll_interval_max: Duration::from_secs(60),
        delivery: Duration::from_secs(5),
        message_bytes_max: 1_000,
        delay_topics: true,
        retry_topics: true,
        scope: Some("team-1".to_owned()),
    };
    let found = options(url).expect("legal");
    assert_eq!(found, expected);
    assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
}

#[test]
fn a_bad_url_says_what_to_write() {
    for (url, hint) in [
        ("kafka://", "no list of brokers"),
        ("kafka://127.0.0.1", "no list of brokers"),
        ("kafka://127.0.0.1:9092,", "no list of brokers"),
        ("kafka://127.0.0.1:9092/topic", "has no path"),
        ("kafka://me@127.0.0.1:9092", "a user and a password"),
        ("kafka://me:secret@broker:9092", "allow_plaintext=on"),
        ("kafka://127.0.0.1:9092,broker:9092", "allow_plaintext=on"),
        ("kafka://127.0.0.1:9092?partitions=0", "from 1 to 1000"),
        ("kafka://127.0.0.1:9092?session=1s", "from 6s"),
        ("kafka://127.0.0.1:9092?holder=a.b", "1 to 64 of the characters"),
        ("kafka://127.0.0.1:9092?session=1m&poll=30s", "at least as long"),
        ("kafka://127.0.0.1:9092?delays=on", "`off` or `topics`"),
        ("kafka://127.0.0.1:9092?retries=topics", "add delays=topics"),
        ("kafka://127.0.0.1:9092?partition=3", "did you mean `partitions`?"),
    ] {
        let error = options(url).expect_err(url).to_string();
        assert!(error.contains(hint), "{url}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn tls_is_there_or_says_what_to_build() {
    let found = options("kafka://me:secret@broker:9093?tls=on");
    if cfg!(feature = "tls") {
        assert!(found.expect("encrypted").tls);
        return;
    }
    let error = found.expect_err("this build has none");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("feature `tls` of bus-kafka"), "{error}");
}
