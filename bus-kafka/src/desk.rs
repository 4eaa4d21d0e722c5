//! A thread for librdkafka's blocking questions: metadata, watermarks, committed offsets.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use bus::{Error, ErrorKind, Result};
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use tokio::sync::oneshot;
use tracing::{debug, warn};

use crate::config::KafkaOptions;
use crate::connect;
use crate::error;
use crate::shared::closed;
use crate::traffic::Traffic;

/// How long a question may take.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Between looks whether brokers that did not answer do so again.
const PROBE_PAUSE: Duration = Duration::from_millis(500);

type Job = Box<dyn FnOnce(&Tools) + Send>;

/// What questions are asked with.
pub(crate) struct Tools {
    pub(crate) options: KafkaOptions,
    pub(crate) asking: BaseConsumer<Quiet>,
    traffic: Arc<Traffic>,
}

impl Tools {
    /// A client of a group that only asks and commits, and never joins.
    pub(crate) fn in_group(&self, group: &str) -> Result<BaseConsumer<Quiet>, KafkaError> {
        let mut config = connect::consumer(&self.options, group);
        config.set("heartbeat.interval.ms", "3000");
        BaseConsumer::from_config_and_context(&config, Quiet(Arc::clone(&self.traffic)))
    }

    /// A client at whose questions topics may come into being.
    pub(crate) fn creating(&self) -> Result<BaseConsumer<Quiet>, KafkaError> {
        BaseConsumer::from_config_and_context(&connect::creating(&self.options), Quiet(Arc::clone(&self.traffic)))
    }

    fn probe(&self) {
        // The list of brokers alone would do; librdkafka asks for it with a topic nobody has.
        if self.asking.fetch_metadata(Some("bus-kafka.probe"), ANSWER_MAX).is_ok() {
            self.traffic.answered();
        }
    }
}

/// The way to the thread. Dropped, it ends.
pub(crate) struct Desk(mpsc::Sender<Job>);

impl Desk {
    pub(crate) fn open(options: &KafkaOptions, traffic: Arc<Traffic>) -> Result<Self> {
        let asking = BaseConsumer::from_config_and_context(&connect::asking(options), Quiet(Arc::clone(&traffic)));
        let asking = asking.map_err(|failure| error::told(&failure, "open"))?;
        let tools = Tools { options: options.clone(), asking, traffic };
        let (sender, jobs) = mpsc::channel::<Job>();
        // Named, unlike those of `thread::spawn`; librdkafka's calls block.
        let thread = std::thread::Builder::new().name("kafka-desk".to_owned());
        let spawned = thread.spawn(move || {
            loop {
                let job = match tools.traffic.is_troubled() {
                    true => jobs.recv_timeout(PROBE_PAUSE),
                    false => jobs.recv_timeout(Duration::from_secs(1)),
                };
                match job {
                    Ok(job) => job(&tools),
                    Err(RecvTimeoutError::Timeout) if tools.traffic.is_troubled() => tools.probe(),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
        spawned
            .map(|_| Self(sender))
            .map_err(|error| Error::new(ErrorKind::Unexpected, "open", "no thread could be started").caused_by(error))
    }

    /// Asks on the thread and waits for the answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        operation: &'static str,
        question: impl FnOnce(&Tools) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        let job: Job = Box::new(move |tools| {
            let answer = question(tools).map_err(|failure| error::told(&failure, operation));
            match &answer {
                Ok(_) => tools.traffic.answered(),
                Err(error) if error.kind() == ErrorKind::Unavailable => tools.traffic.troubled(error),
                Err(_) => {}
            }
            // Nobody may be waiting any more.
            let _ = sender.send(answer);
        });
        self.0.send(job).map_err(|_| closed(operation))?;
        answer.await.map_err(|_| closed(operation))?
    }
}

/// librdkafka's own words go to our log, its errors to the state of the bus.
pub(crate) struct Quiet(pub(crate) Arc<Traffic>);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, failure: KafkaError, reason: &str) {
        troubled(&self.0, &failure, reason);
    }
}

impl ConsumerContext for Quiet {}

pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            warn!(facility, message, "librdkafka");
        }
        _ => debug!(facility, message, "librdkafka"),
    }
}

pub(crate) fn troubled(traffic: &Traffic, failure: &KafkaError, reason: &str) {
    let error = error::told(failure, "connect").with("reason", reason);
    match error.kind() {
        // Of one broker of several, or of one question: told where it was asked.
        ErrorKind::Unavailable | ErrorKind::Unauthorized => traffic.troubled(&error),
        _ => debug!(%error, "librdkafka"),
    }
}
