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

fn main() -> ExitCode {
    let port = std::env::var("KAFKA_PORT").unwrap_or_else(|_| "9092".to_owned());
    let suite = Suite::new().setting("mock", mock::Mock::start).without(
        "mock",
        "no_dead_letter_is_lost_wherever_its_replay_is_interrupted",
        TOO_SLOW,
    );
    let suite = match TcpStream::connect(format!("127.0.0.1:{port}")) {
        Ok(_) => suite.setting("kafka", move || real::Kafka::at(&port)),
        Err(error) => {
            let reason = format!("no Kafka on port {port} ({error}); run `tests/brokers up kafka`, or tests/run");
            suite.absent("kafka", &reason)
        }
    };
    suite.kept_in(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance")).main()
}
