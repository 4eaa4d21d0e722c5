//! The contract, shown on librdkafka's mock cluster, which is always there, and on a real Apache
//! Kafka from `tests/brokers`, which needs Maven Central.

mod mock;
mod real;

use std::net::TcpStream;
use std::process::ExitCode;

use bus::conformance::{Deviation, Suite};

/// What no Kafka does.
const DEVIATIONS: &[Deviation] = &[Deviation {
    case: "a_drain_lets_what_started_finish_and_gives_the_rest_back_at_once_and_unburned",
    reason: "a partition belongs to one process: what was not started goes to another one when the partition does, \
             after the handlers that run have ended, and not before",
}];

/// What takes the mock cluster minutes for want of a knob.
const TOO_SLOW: &str = "the mock lets the first member of every group wait for three seconds, and this case begins some \
     hundred of them; it is shown on Apache Kafka";

/// Delays and retries through topics.
const TOPICS: &str = "&delays=topics&retries=topics";

/// What is done otherwise with them, and what every delivery goes through.
const TOUCHED: &[&str] = &["delay", "settle", "order", "pipeline", "topology"];
/// The same on a server, where every case has delay topics of its own, with 24 partitions.
const TOUCHED_MOST: &[&str] = &["delay", "order", "pipeline"];
const UNTOUCHED: &str = "with delays and retries through topics it goes the same way; it is shown without them";
const MOSTLY_UNTOUCHED: &str = "with delays and retries through topics it goes the same way; it is shown without them, and \
     settling and topology on the mock";

fn main() -> ExitCode {
    let port = std::env::var("KAFKA_PORT").unwrap_or_else(|_| "9092".to_owned());
    let suite = Suite::new()
        .setting("mock", || mock::Mock::with(""))
        .without("mock", "no_dead_letter_is_lost_wherever_its_replay_is_interrupted", TOO_SLOW)
        .setting("mock-topics", || mock::Mock::with(TOPICS))
        .only("mock-topics", TOUCHED, UNTOUCHED)
        .only("kafka-topics", TOUCHED_MOST, MOSTLY_UNTOUCHED);
    let suite = match TcpStream::connect(format!("127.0.0.1:{port}")) {
        Ok(_) => {
            let same = port.clone();
            let suite = suite.setting("kafka", move || real::Kafka::at(&port, String::new()));
            suite.setting("kafka-topics", move || {
                real::Kafka::at(&same, format!("{TOPICS}&scope={}", real::fresh_scope()))
            })
        }
        Err(error) => {
            let reason = format!("no Kafka on port {port} ({error}); run `tests/brokers up kafka`, or tests/run");
            suite.absent("kafka", &reason).absent("kafka-topics", &reason)
        }
    };
    suite.kept_in(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance")).main()
}
