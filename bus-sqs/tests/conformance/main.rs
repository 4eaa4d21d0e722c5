//! The contract, shown on a real server: LocalStack from `tests/brokers`, standard and FIFO queues.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Deviation, Harness, Suite, Time};
use bus::{Bus, BusUrl, Result, Seams};
use bus_sqs::{SqsBus, SqsOptions};

/// One kind of queue on the server.
struct Sqs {
    url: String,
    deviations: &'static [Deviation],
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

    fn deviations(&self) -> &'static [Deviation] {
        self.deviations
    }
}

fn main() -> ExitCode {
    let endpoint = std::env::var("SQS_TEST_ENDPOINT").unwrap_or_else(|_| "http://127.0.0.1:4566".to_owned());
    let url = move |options: &str| format!("sqs://ap-northeast-2?endpoint={endpoint}&wait=1s{options}");
    let standard = url("");
    let fifo = url("&fifo=on");
    Suite::new()
        .setting("standard", move || Sqs { url: standard.clone(), deviations: &[], bus: OnceLock::new() })
        .setting("fifo", move || Sqs { url: fifo.clone(), deviations: &[], bus: OnceLock::new() })
        .main()
}
