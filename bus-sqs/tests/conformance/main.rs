//! The contract, shown on a real server: LocalStack from `tests/brokers`, standard and FIFO queues.

use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Deviation, Harness, Suite, Time};
use bus::{Bus, BusUrl, Result, Seams};
use bus_sqs::{SqsBus, SqsOptions};

/// What LocalStack 4.13.1 does otherwise than SQS.
const DEVIATIONS: &[Deviation] = &[
    Deviation { case: "a_key_keeps_its_order_over_a_dropped_delivery", reason: GROUP_SHOWS },
    Deviation { case: "a_key_keeps_its_order_when_its_holder_closes_and_another_goes_on", reason: GROUP_SHOWS },
    Deviation { case: "followers_in_hand_come_back_behind_their_head", reason: GROUP_SHOWS },
];

const GROUP_SHOWS: &str = "a FIFO group with a message in flight becomes visible as soon as another of its messages \
     is given back, so a second receiver gets the later one (localstack#12457)";

/// One kind of queue on the server.
struct Sqs {
    url: String,
    bus: OnceLock<Arc<SqsBus>>,
}

#[async_trait]
impl Harness for Sqs {
    /// SQS knows whole seconds.
    fn time(&self) -> Time {
        Time::Real { unit: Duration::from_secs(1), patience: Duration::from_millis(1_500) }
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let bus = SqsBus::open(SqsOptions::of(&BusUrl::parse(&self.url)?)?, seams.clone()).await;
        let _ = self.bus.set(Arc::clone(&bus));
        Ok(bus)
    }

    fn api_call_count(&self) -> Option<u64> {
        self.bus.get().map(|bus| bus.api_call_count())
    }

    /// Send, receive and delete together; perfect batches of ten make 0.3.
    fn api_calls_per_message_max(&self) -> f64 {
        0.35
    }

    fn deviations(&self) -> &'static [Deviation] {
        DEVIATIONS
    }
}

fn main() -> ExitCode {
    let port = std::env::var("SQS_PORT").unwrap_or_else(|_| "4566".to_owned());
    let missing = TcpStream::connect(format!("127.0.0.1:{port}"))
        .err()
        .map(|error| format!("no SQS server on port {port} ({error}); run `tests/brokers up sqs`, or tests/run"));
    let setting = move |options: &'static str| {
        let url = format!("sqs://ap-northeast-2?endpoint=http://127.0.0.1:{port}&wait=1s{options}");
        move || Sqs { url: url.clone(), bus: OnceLock::new() }
    };
    let suite = Suite::new().missing(missing).kept_in(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance"));
    suite.setting("standard", setting("")).setting("fifo", setting("&fifo=on")).main()
}
