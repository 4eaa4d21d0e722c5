//! Who started when, on which attempt, and how it ended.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bus::Seams;
use bus::pipeline::{Envelope, Handled, Handler};

/// How a handler run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It answered.
    Answered(Handled),
    /// Its future was dropped, by a panic or from outside.
    Dropped,
}

/// One handler start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The envelope's message id.
    pub id: String,
    /// The message's key, empty without one.
    pub key: String,
    /// The envelope's attempt.
    pub attempt: u32,
    /// How often the bus had handed the message out.
    pub receive_count: Option<u32>,
    /// When it started.
    pub started: Duration,
    /// When and how it ended; `None` while it runs.
    pub ended: Option<(Duration, End)>,
}

/// Every run, in order of start. Clones are the same record.
#[derive(Clone, Debug, Default)]
pub struct Record(Arc<Mutex<Runs>>);

#[derive(Debug, Default)]
struct Runs {
    runs: Vec<Run>,
    running_count: usize,
    running_count_max: usize,
}

impl Record {
    /// A handler that does `work` and records it.
    pub fn handler<F, W>(&self, seams: Seams, work: F) -> impl Handler + use<F, W>
    where
        F: Fn(Envelope) -> W + Send + Sync + 'static,
        W: Future<Output = Handled> + Send + 'static,
    {
        Recorded { record: self.clone(), seams, work }
    }

    /// All runs, in order of start.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        self.lock().runs.clone()
    }

    /// The runs of one message.
    #[must_use]
    pub fn runs_of(&self, id: &str) -> Vec<Run> {
        self.lock().runs.iter().filter(|run| run.id == id).cloned().collect()
    }

    /// Ids and attempts in order of start.
    #[must_use]
    pub fn starts(&self) -> Vec<(String, u32)> {
        self.lock().runs.iter().map(|run| (run.id.clone(), run.attempt)).collect()
    }

    /// When each run of one message started.
    #[must_use]
    pub fn start_times(&self, id: &str) -> Vec<Duration> {
        self.runs_of(id).iter().map(|run| run.started).collect()
    }

    /// How many runs began.
    #[must_use]
    pub fn start_count(&self) -> usize {
        self.lock().runs.len()
    }

    /// How many run now.
    #[must_use]
    pub fn running_count(&self) -> usize {
        self.lock().running_count
    }

    /// The most that ran at the same time.
    #[must_use]
    pub fn running_count_max(&self) -> usize {
        self.lock().running_count_max
    }

    fn start(&self, envelope: &Envelope, now: Duration) -> usize {
        let mut runs = self.lock();
        runs.running_count += 1;
        runs.running_count_max = runs.running_count_max.max(runs.running_count);
        runs.runs.push(Run {
            id: envelope.message_id().to_string(),
            key: envelope.message().key().map(ToString::to_string).unwrap_or_default(),
            attempt: envelope.attempt(),
            receive_count: envelope.receive_count(),
            started: now,
            ended: None,
        });
        runs.runs.len() - 1
    }

    fn end(&self, index: usize, now: Duration, end: End) {
        let mut runs = self.lock();
        runs.running_count -= 1;
        runs.runs[index].ended = Some((now, end));
    }

    fn lock(&self) -> MutexGuard<'_, Runs> {
        self.0.lock().expect("nothing panics while it holds this")
    }
}

struct Recorded<F> {
    record: Record,
    seams: Seams,
    work: F,
}

#[async_trait]
impl<F, W> Handler for Recorded<F>
where
    F: Fn(Envelope) -> W + Send + Sync,
    W: Future<Output = Handled> + Send,
{
    async fn handle(&self, envelope: Envelope) -> Handled {
        let now = || self.seams.clock.now().since_origin();
        let mut ending =
            Ending { record: &self.record, seams: &self.seams, run: Some(self.record.start(&envelope, now())) };
        let handled = (self.work)(envelope).await;
        if let Some(run) = ending.run.take() {
            self.record.end(run, now(), End::Answered(handled.clone()));
        }
        handled
    }
}

/// Records a drop, unless an answer was recorded before.
struct Ending<'a> {
    record: &'a Record,
    seams: &'a Seams,
    run: Option<usize>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(run) = self.run.take() {
            self.record.end(run, self.seams.clock.now().since_origin(), End::Dropped);
        }
    }
}
