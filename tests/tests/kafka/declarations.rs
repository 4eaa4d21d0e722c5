//! Topics that exist otherwise than asked for.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, BusUrl, Declaration, Destination, ErrorKind, Seams};
use bus_kafka::{KafkaBus, KafkaOptions};

const CLOSED_MAX: Duration = Duration::from_secs(60);

fn bus(options: &str) -> Arc<KafkaBus> {
    let url = BusUrl::parse(&format!("{}?{options}", tests::brokers::url("kafka"))).expect("a URL");
    KafkaBus::open(KafkaOptions::of(&url).expect("legal"), Seams::system()).expect("clients")
}

pub(crate) async fn a_topic_with_other_partitions_or_retention_is_a_conflict_that_says_what_to_do() {
    let unique = Seams::system().entropy.bits("tests", "declarations") as u64;
    let topic = Destination::new(&format!("declared-{unique:x}")).expect("legal");
    let declaration = Declaration::of(topic.clone());
    for (options, conflict) in [
        ("partitions=3&retention=7d", None),
        ("partitions=3&retention=7d", None),
        ("", None),
        ("partitions=4", Some("has 3 partitions and 4 were asked for")),
        ("retention=1d", Some("keeps messages for 604800000 ms and 86400000 ms were asked for; alter retention.ms")),
    ] {
        let bus = bus(options);
        let answer = bus.declare(std::slice::from_ref(&declaration)).await;
        match conflict {
            None => answer.expect(options),
            Some(hint) => {
                let error = answer.expect_err(options);
                assert_eq!(error.kind(), ErrorKind::Conflict, "{options}: {error}");
                let text = error.to_string();
                assert!(text.contains(hint) && text.contains(topic.as_str()), "{options}: {text}");
            }
        }
        bus.close(CLOSED_MAX).await.expect("closed");
    }
}
