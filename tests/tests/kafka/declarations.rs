//! Topics that exist otherwise than asked for.

use std::sync::Arc;
use std::time::Duration;

use bus::{Bus, Declaration, Destination, ErrorKind};
use bus_kafka::KafkaBus;

use super::hand::{fresh, open};

const CLOSED_MAX: Duration = Duration::from_secs(60);

fn bus(options: &str) -> Arc<KafkaBus> {
    open(&format!("{}?{options}", tests::brokers::url("kafka")))
}

pub(crate) async fn a_topic_with_other_partitions_or_retention_is_a_conflict_that_says_what_to_do() {
    let topic = Destination::new(&fresh("declared")).expect("legal");
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
