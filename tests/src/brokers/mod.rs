//! Real brokers: where they are, what to do without them, and how to cut them off.
//!
//! `tests/brokers` installs and starts them; `tests/run` calls it. A test target that needs one has
//! `harness = false` and hands its tests to [`main`]: without the broker they are reported as skipped
//! with the reason, and where `CI` is set they fail, unless the broker cannot be had everywhere.

mod foreign;
mod proxy;

use std::path::Path;
use std::pin::Pin;
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Trial};

pub use foreign::foreign;
pub use proxy::Proxy;

/// Brokers that are fetched from where not every machine gets to: Kafka's jars are on Maven Central.
const NOT_EVERYWHERE: &[&str] = &["kafka"];

/// What a broker's tool exits with that did not reach the server (`EX_UNAVAILABLE` of sysexits.h): under load the Erlang
/// nodes may not find each other in time.
const UNAVAILABLE: i32 = 69;
/// How often a tool is tried.
const CTL_TRY_COUNT_MAX: usize = 10;

/// A test: its name, and what it does.
pub type Test = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

/// Lists async functions as tests, each under its name.
#[macro_export]
macro_rules! broker_tests {
    ($($file:ident::$name:ident),+ $(,)?) => {
        &[$((stringify!($name), || Box::pin($file::$name()))),+]
    };
}

/// Runs `tests` one after the other, each on a runtime of its own: they share a broker and the machine.
#[must_use]
pub fn main(broker: &str, tests: &[Test]) -> ExitCode {
    let missing = missing(broker);
    let is_demanded = std::env::var_os("CI").is_some() && !NOT_EVERYWHERE.contains(&broker);
    let trials = tests.iter().map(|(name, test)| {
        let (name, test, missing) = (*name, *test, missing.clone());
        Trial::ignorable_test(name, move || match missing {
            Some(reason) if is_demanded => Err(reason.into()),
            Some(reason) => Ok(Completion::ignored_with(reason)),
            None => {
                play(test);
                Ok(Completion::Completed)
            }
        })
    });
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

fn play(test: fn() -> Pin<Box<dyn Future<Output = ()>>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("the machine gives a runtime").block_on(test());
}

/// Why there is no broker to test with.
#[must_use]
pub fn missing(broker: &str) -> Option<String> {
    let said = script(&["status", broker], &[]);
    (said.0 != 0).then(|| format!("{broker} does not answer; run `tests/brokers up {broker}`, or tests/run"))
}

/// The URL of a running broker.
#[must_use]
pub fn url(broker: &str) -> String {
    script(&["url", broker], &[]).1.trim().to_owned()
}

/// RabbitMQ 3.10 keeps which log belongs to which quorum queue in a table (`names.dets`) that it writes
/// when nobody has used it for half a second. Killed before, it starts with an empty queue in place of
/// one just declared, and that queue elects no leader. Queues of tests are that new, so the server
/// itself writes its tables all the time. Without blanks: its start script splits at them.
const NAMES_ARE_KEPT: &str =
    "-eval spawn(fun()->F=fun(G)->[dets:sync(T)||T<-dets:all()],timer:sleep(20),G(G)end,F(F)end).";

/// A server of the test's own, to be stopped and killed; `port` tells it from the shared one.
#[derive(Debug)]
pub struct Server {
    broker: &'static str,
    /// Tells `tests/brokers` the port, and how to start it.
    environment: Vec<(&'static str, String)>,
    port: u16,
}

impl Server {
    /// An SQS server on its own port.
    #[must_use]
    pub fn sqs(port: u16) -> Self {
        Self::started("sqs", port, vec![("SQS_PORT", port.to_string())])
    }

    /// A Kafka server on its own port, and the one above it.
    #[must_use]
    pub fn kafka(port: u16) -> Self {
        Self::started("kafka", port, vec![("KAFKA_PORT", port.to_string())])
    }

    /// A RabbitMQ server on its own port.
    #[must_use]
    pub fn rabbitmq(port: u16) -> Self {
        Self::rabbitmq_with(port, "", "")
    }

    /// A RabbitMQ server on its own port, with further lines in its `rabbitmq.conf`, and what has no
    /// place there as arguments of its Erlang.
    #[must_use]
    pub fn rabbitmq_with(port: u16, settings: &str, arguments: &str) -> Self {
        let environment = vec![
            ("RABBITMQ_PORT", port.to_string()),
            ("RABBITMQ_CONF", settings.to_owned()),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", format!("{arguments} {NAMES_ARE_KEPT}")),
        ];
        Self::started("rabbitmq", port, environment)
    }

    fn started(broker: &'static str, port: u16, environment: Vec<(&'static str, String)>) -> Self {
        let server = Self { broker, environment, port };
        server.start();
        server
    }

    /// Runs its own command-line tool on it and answers what that said.
    ///
    /// # Panics
    /// When the tool fails.
    #[must_use]
    pub fn ctl(&self, arguments: &[&str]) -> String {
        for _ in 0..CTL_TRY_COUNT_MAX {
            let (code, said) = self.script(&[&["ctl", self.broker], arguments].concat());
            match code {
                0 => return said,
                UNAVAILABLE => {}
                _ => panic!("{arguments:?}: {code}, {said}"),
            }
        }
        panic!("{arguments:?}: the server does not answer its tool");
    }

    /// Starts it, or does nothing when it runs; returns when it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        let (code, said) = self.script(&["up", self.broker]);
        assert_eq!(code, 0, "{} does not start: {said}", self.broker);
    }

    /// The bus URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.script(&["url", self.broker]).1.trim().to_owned()
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sends a signal, by its name.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, name: &str) {
        let pid = self.script(&["pid", self.broker]).1;
        let sent = Command::new("kill").args([&format!("-{name}"), "--", &format!("-{}", pid.trim())]).status();
        assert!(sent.expect("kill runs").success(), "{} runs as {pid}", self.broker);
    }

    /// Ends it without warning; returns when it is gone.
    pub fn kill(&self) {
        self.signal("KILL");
        // Each look is a process of its own, which is pause enough.
        while self.script(&["pid", self.broker]).0 == 0 {}
    }

    /// Stops it, or does nothing when it does not run.
    pub fn stop(&self) {
        self.script(&["down", self.broker]);
    }

    fn script(&self, arguments: &[&str]) -> (i32, String) {
        let environment: Vec<_> = self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        script(arguments, &environment)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs `tests/brokers`: exit code and what it said.
fn script(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("brokers");
    let output =
        Command::new(script).args(arguments).envs(environment.iter().copied()).output().expect("the script runs");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The folder that what was installed for a broker is in.
#[must_use]
pub fn installed(broker: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/brokers").join(broker)
}
