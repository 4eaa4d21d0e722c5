//! The real binary `orders`, as a user runs it: in a directory of its own, on ports of its own.

mod crew;
mod place;
mod process;
pub mod story;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

pub use crew::{Crew, Hand};
pub use place::Place;
pub use process::{Process, Said, said};

/// Longest wait for something that should happen at once; only a broken build ever waits so long.
const LIMIT: Duration = Duration::from_secs(180);
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// The binary, built from what is in the tree now.
#[must_use]
pub fn binary() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "services", "--bin", "orders"]);
        assert!(cargo.status().expect("cargo runs").success(), "the binary builds");
        let tests = std::env::current_exe().expect("a test has a path");
        // target/debug/deps/some_test-… lies beside target/debug/orders.
        tests.parent().and_then(Path::parent).expect("in a target directory").join("orders")
    })
}

/// A place for one installation: data directory and ports.
#[derive(Debug)]
pub struct Site {
    directory: tempfile::TempDir,
    producer_port: u16,
    consumer_port: u16,
    client: reqwest::Client,
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Site {
    /// A new place with two free ports.
    #[must_use]
    pub fn new() -> Self {
        // Both are held until both are known, so that they differ.
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
        let [producer_port, consumer_port] = ports.each_ref().map(|port| port.local_addr().expect("bound").port());
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build();
        Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            producer_port,
            consumer_port,
            client: client.expect("a client"),
        }
    }

    /// `orders` with the settings of this place and `arguments`; logs go to `DIR/log`.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let log = std::fs::File::options().create(true).append(true).open(self.log()).expect("a log");
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null()).stderr(log);
        command
            .env("ORDERS_PRODUCER_ADDR", format!("127.0.0.1:{}", self.producer_port))
            .env("ORDERS_CONSUMER_ADDR", format!("127.0.0.1:{}", self.consumer_port))
            .env("ORDERS_PRODUCER_URL", self.producer(""))
            .env("ORDERS_CONSUMER_URL", self.consumer(""));
        command
    }

    /// Starts `orders serve`.
    #[must_use]
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_command(&mut self.command(arguments))
    }

    /// Starts a command of this place; its banner goes to `DIR/banner`.
    #[must_use]
    pub fn start_command(&self, command: &mut Command) -> Process {
        let banner = std::fs::File::create(self.directory.path().join("banner")).expect("a file");
        Process(command.stdout(banner).spawn().expect("the binary starts"))
    }

    /// Starts `orders serve` and waits until both sides are ready.
    pub async fn start_ready(&self, arguments: &[&str]) -> Process {
        self.until_ready(self.start(arguments)).await
    }

    /// Waits until both sides of `process` are ready.
    pub async fn until_ready(&self, mut process: Process) -> Process {
        let ready = self.eventually("both sides are ready", async || {
            assert_eq!(process.ended(), None, "it runs; its log: {}", self.log_tail());
            self.get(&self.producer("/readyz")).await.is_some() && self.get(&self.consumer("/readyz")).await.is_some()
        });
        ready.await;
        process
    }

    /// Runs a command to its end: exit code and stdout.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.command(arguments).output().expect("the binary runs");
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs a command to its end; like [`run`](Self::run), but stderr is answered and not logged.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> Said {
        said(&mut self.command(arguments))
    }

    /// A URL of the producer.
    #[must_use]
    pub fn producer(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.producer_port)
    }

    /// A URL of the consumer.
    #[must_use]
    pub fn consumer(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.consumer_port)
    }

    /// The client of this place.
    #[must_use]
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Where everything is kept.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// All log lines so far that are JSON objects.
    #[must_use]
    pub fn log_lines(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The end of the log, for the message of a failed test.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// The JSON behind a URL, when it answers 200.
    pub async fn get(&self, url: &str) -> Option<Value> {
        let response = self.client.get(url).send().await.ok()?;
        if response.status() != reqwest::StatusCode::OK {
            return None;
        }
        response.json().await.ok()
    }

    /// Posts an order under a key until it is answered 201.
    pub async fn place(&self, key: &str, order: &Value) -> Value {
        loop {
            let request = self.client.post(self.producer("/api/orders")).header("idempotency-key", key).json(order);
            if let Ok(response) = request.send().await
                && response.status() == reqwest::StatusCode::CREATED
                && let Ok(body) = response.json().await
            {
                return body;
            }
            pause().await;
        }
    }

    /// Looks until `condition` holds.
    ///
    /// # Panics
    /// When that takes longer than a minute.
    pub async fn eventually(&self, what: &str, condition: impl AsyncFnMut() -> bool) {
        self.eventually_within(LIMIT, what, condition).await;
    }

    /// Looks until `condition` holds, for work that takes longer than a minute.
    ///
    /// # Panics
    /// When that takes longer than `limit`.
    pub async fn eventually_within(&self, limit: Duration, what: &str, mut condition: impl AsyncFnMut() -> bool) {
        let looks = limit.as_millis() / LOOK_AGAIN_AFTER.as_millis();
        for _ in 0..looks {
            if condition().await {
                return;
            }
            pause().await;
        }
        panic!("not within {limit:?}: {what}; log: {}", self.log_tail());
    }
}

/// Between two looks at another process: it gives no event to wait for.
#[expect(clippy::disallowed_methods, reason = "a real process runs in real time")]
async fn pause() {
    tokio::time::sleep(LOOK_AGAIN_AFTER).await;
}
