//! The cases of the contract that take the server away: on a RabbitMQ of their own, one after the other.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Harness, Need, Outages, Time, Verdict, cases, run};
use bus::registry::Backend;
use bus::{Bus, BusUrl, Result, Seams};
use bus_amqp::AmqpBackend;
use libtest_mimic::{Arguments, Completion, Trial};
use tests::brokers::{Proxy, Server, missing};
use tokio::sync::OnceCell;

/// Of the user `conformance` (tests/broker-setup): a text that is nobody's name, to be found nowhere.
const PASSWORD: &str = "guest-s3cr3t";
const PORT: u16 = 11_674;

/// One server, reached through a wire that can be cut.
struct Amqp {
    server: Arc<Server>,
    wire: OnceCell<Proxy>,
    options: &'static str,
}

impl Amqp {
    fn wire(&self) -> &Proxy {
        self.wire.get().expect("a case connects first")
    }
}

#[async_trait]
impl Harness for Amqp {
    fn time(&self) -> Time {
        Time::Real { unit: Duration::from_millis(500), patience: Duration::from_secs(1) }
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let wire = self.wire.get_or_init(|| Proxy::before(PORT)).await;
        let url = format!("amqp://conformance:{PASSWORD}@{}/%2f{}", wire.address(), self.options);
        AmqpBackend.open(&BusUrl::parse(&url)?, seams).await
    }

    fn outages(&self) -> Option<&dyn Outages> {
        Some(self)
    }

    fn secrets(&self) -> &'static [&'static str] {
        &[PASSWORD]
    }
}

#[async_trait]
impl Outages for Amqp {
    fn state_survives_kill(&self) -> bool {
        true
    }

    #[expect(clippy::disallowed_methods, reason = "the load goes on while a real server is started again")]
    async fn kill_and_restart(&self) {
        let server = Arc::clone(&self.server);
        let restart = move || {
            server.kill();
            server.start();
        };
        tokio::task::spawn_blocking(restart).await.expect("it starts again");
    }

    async fn cut(&self) {
        self.wire().cut();
    }

    #[expect(clippy::disallowed_methods, reason = "a real wire is stalled for a real while")]
    async fn stall(&self, span: Duration) {
        self.wire().stall();
        tokio::time::sleep(span).await;
        self.wire().restore();
    }
}

fn main() -> ExitCode {
    static SERVER: OnceLock<Arc<Server>> = OnceLock::new();
    let missing = missing("rabbitmq");
    let mut trials = Vec::new();
    for (setting, options) in [("quorum", ""), ("classic", "?queue=classic")] {
        for case in cases::all().filter(|case| case.needs().contains(&Need::Outages)) {
            let missing = missing.clone();
            let name = format!("[{setting}] {}: {}", case.area(), case.sentence());
            trials.push(Trial::ignorable_test(name, move || {
                if let Some(reason) = missing {
                    let is_ci = std::env::var_os("CI").is_some();
                    return if is_ci { Err(reason.into()) } else { Ok(Completion::ignored_with(reason)) };
                }
                let server = Arc::clone(SERVER.get_or_init(|| Arc::new(Server::rabbitmq(PORT))));
                match run(case, Arc::new(Amqp { server, wire: OnceCell::new(), options })) {
                    Verdict::Passed => Ok(Completion::Completed),
                    Verdict::Skipped(flag) => Ok(Completion::ignored_with(flag)),
                    Verdict::Failed(how) => Err(how.into()),
                }
            }));
        }
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let conclusion = libtest_mimic::run(&arguments, trials);
    if let Some(server) = SERVER.get() {
        // A static is not dropped.
        server.stop();
    }
    conclusion.exit_code()
}
