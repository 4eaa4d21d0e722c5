//! Which queues there are, and making them exist.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bus::{ClockExt, Declaration, Destination, Error, ErrorKind, Result, Seams};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Queue};
use tracing::warn;

use crate::config::{AmqpOptions, QueueKind};
use crate::connect::Link;
use crate::delay::{classes, wait_queue};
use crate::error::{is_not_found, is_of_another_channel, timed_out, told};

/// How often a question is put on a new channel when the last one met the end of another.
const TRY_COUNT_MAX: u32 = 5;

/// All queues seen so far.
pub(crate) struct Queues {
    link: Arc<Link>,
    options: AmqpOptions,
    seams: Seams,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Queues that exist, by name.
    existing: BTreeSet<String>,
    /// Destinations to make again should the server lose them.
    declared: BTreeSet<Destination>,
}

impl Queues {
    pub(crate) fn new(link: Arc<Link>, options: AmqpOptions, seams: Seams) -> Self {
        Self { link, options, seams, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes destinations exist with their dead letters, and leaves what exists as it is.
    pub(crate) async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        for Declaration { destination, groups } in declarations {
            if !groups.is_empty() {
                let text = "a message published to a queue goes to one group; declare a destination for each group";
                return Err(Error::new(ErrorKind::Unsupported, "declare", text).with("destination", destination));
            }
            if destination.as_str().starts_with("amq.") {
                let text = "names that begin with amq. are RabbitMQ's own; choose another";
                return Err(Error::new(ErrorKind::Invalid, "declare", text).with("destination", destination));
            }
            self.make(destination).await.map_err(|error| error.with("destination", destination))?;
            self.known().declared.insert(destination.clone());
        }
        Ok(())
    }

    async fn make(&self, destination: &Destination) -> Result<()> {
        let grave = destination.dead_letters()?;
        let arguments = [grave_arguments(&self.options), queue_arguments(&self.options, &grave)];
        for (name, arguments) in [&grave, destination].into_iter().zip(arguments) {
            self.create(name.as_str(), arguments).await?;
        }
        Ok(())
    }

    async fn create(&self, name: &str, arguments: FieldTable) -> Result<()> {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let (channel, answer) = self.ask("declare", name, durable, &arguments).await?;
        answer.map_err(|failure| told(&failure, "declare").with("queue", name))?;
        self.known().existing.insert(name.to_owned());
        self.release(channel).await;
        Ok(())
    }

    /// Makes a destination again that was declared here, or whose dead letters it keeps, and is gone;
    /// `false` when it was not.
    pub(crate) async fn recover(&self, destination: &Destination) -> Result<bool> {
        let Some(declared) = self.declared_with(destination.as_str()) else { return Ok(false) };
        self.make(&declared).await?;
        warn!(queue = %destination, "somebody deleted a queue; it was declared again, what was in it is lost");
        Ok(true)
    }

    /// The destination that was declared here and that a queue is of: its own, or its dead letters.
    fn declared_with(&self, queue: &str) -> Option<Destination> {
        let is_it = |declared: &&Destination| {
            declared.as_str() == queue || declared.dead_letters().is_ok_and(|grave| grave.as_str() == queue)
        };
        self.known().declared.iter().find(is_it).cloned()
    }

    /// Whether a destination exists, asked once; one that was declared here and is gone is made again.
    pub(crate) async fn exists(&self, destination: &Destination, operation: &'static str) -> Result<bool> {
        if self.known().existing.contains(destination.as_str()) {
            return Ok(true);
        }
        Ok(self.look_at(destination.as_str(), operation).await?.is_some() || self.recover(destination).await?)
    }

    /// Whether a queue that is gone is made again when it is next needed.
    pub(crate) fn is_made_again(&self, queue: &str) -> bool {
        self.declared_with(queue).is_some()
    }

    /// A queue was not where a message was sent to.
    pub(crate) fn forget(&self, name: &str) {
        self.known().existing.remove(name);
    }

    /// Asks the server for a queue.
    async fn look_at(&self, name: &str, operation: &'static str) -> Result<Option<Queue>> {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let (channel, answer) = self.ask(operation, name, passive, &FieldTable::default()).await?;
        match answer {
            Ok(queue) => {
                self.known().existing.insert(name.to_owned());
                self.release(channel).await;
                Ok(Some(queue))
            }
            Err(failure) if is_not_found(&failure) => {
                self.forget(name);
                Ok(None)
            }
            Err(failure) => Err(told(&failure, operation).with("queue", name)),
        }
    }

    /// Messages that could be handed out; `None` when there is no such queue.
    pub(crate) async fn ready_count(&self, destination: &Destination) -> Result<Option<usize>> {
        let queue = self.look_at(destination.as_str(), "depth").await?;
        Ok(queue.map(|queue| queue.message_count() as usize))
    }

    /// Messages that wait for a delay, in the wait queues this bus has used.
    pub(crate) async fn delayed_count(&self, destination: &Destination) -> Result<usize> {
        let mut count = 0;
        for class in classes() {
            let name = wait_queue(destination.as_str(), class);
            let is_known = self.known().existing.contains(&name);
            if is_known && let Some(queue) = self.look_at(&name, "depth").await? {
                count += queue.message_count() as usize;
            }
        }
        Ok(count)
    }

    /// The queue that keeps messages of `destination` for `class`; made when it is first needed.
    pub(crate) async fn waiting(&self, destination: &Destination, class: Duration) -> Result<String> {
        let name = wait_queue(destination.as_str(), class);
        if !self.known().existing.contains(&name) {
            self.create(&name, wait_arguments(destination, class)).await?;
        }
        Ok(name)
    }

    /// Empties a destination and what is delayed for it.
    pub(crate) async fn purge(&self, destination: &Destination) -> Result<()> {
        let channel = self.link.channel("purge").await?;
        for class in classes() {
            let name = wait_queue(destination.as_str(), class);
            self.forget(&name);
            // To delete what does not exist is no error, to purge it is (RabbitMQ 3.2 and later).
            let deleting = channel.queue_delete(name.into(), QueueDeleteOptions::default());
            self.answered("purge", deleting).await?.map_err(|failure| told(&failure, "purge"))?;
        }
        let purging = channel.queue_purge(destination.as_str().into(), QueuePurgeOptions::default());
        self.answered("purge", purging).await?.map_err(|failure| told(&failure, "purge"))?;
        self.release(channel).await;
        Ok(())
    }

    /// Declares a queue, or asks for it, on a channel of its own.
    ///
    /// lapin gives a new channel the number of one that was dropped while it closed, and now and then
    /// its failure with it. Nothing was asked then, so it is asked again.
    async fn ask(
        &self,
        operation: &'static str,
        name: &str,
        how: QueueDeclareOptions,
        arguments: &FieldTable,
    ) -> Result<(Channel, lapin::Result<Queue>)> {
        let mut try_count = 0;
        loop {
            try_count += 1;
            let channel = self.link.channel(operation).await?;
            let asking = channel.queue_declare(name.into(), how, arguments.clone());
            let answer = self.answered(operation, asking).await?;
            if try_count == TRY_COUNT_MAX || !answer.as_ref().is_err_and(is_of_another_channel) {
                return Ok((channel, answer));
            }
        }
    }

    async fn answered<T>(
        &self,
        operation: &'static str,
        asking: impl Future<Output = lapin::Result<T>>,
    ) -> Result<lapin::Result<T>> {
        let answer = self.seams.clock.timeout_here(self.options.timeout, asking).await;
        answer.ok_or_else(|| timed_out(operation, "RabbitMQ did not answer in time"))
    }

    async fn release(&self, channel: Channel) {
        // One that the server has closed meanwhile is gone as well.
        let _ = self.answered("declare", channel.close(200, "done".into())).await;
    }
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

fn table<const COUNT: usize>(arguments: [(&'static str, AMQPValue); COUNT]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        table.insert(name.into(), value);
    }
    table
}

/// Beyond the limit a message goes to the dead letters and, by `at-least-once`, is not lost on its way.
fn queue_arguments(options: &AmqpOptions, grave: &Destination) -> FieldTable {
    match options.queue {
        QueueKind::Classic => FieldTable::default(),
        QueueKind::Quorum => table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongInt(i32::try_from(options.receive_count_max).unwrap_or(i32::MAX))),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(grave.as_str())),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ]),
    }
}

/// RabbitMQ 4 drops what was received 20 times and has no dead letters of its own, unless told otherwise.
fn grave_arguments(options: &AmqpOptions) -> FieldTable {
    match options.queue {
        QueueKind::Classic => FieldTable::default(),
        QueueKind::Quorum => {
            table([("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongInt(i32::MAX))])
        }
    }
}

/// A quorum queue in any case: a classic one hands on what has expired without a confirmation.
fn wait_arguments(destination: &Destination, class: Duration) -> FieldTable {
    table([
        ("x-queue-type", text("quorum")),
        ("x-message-ttl", AMQPValue::LongLongInt(i64::try_from(class.as_millis()).unwrap_or(i64::MAX))),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(destination.as_str())),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ])
}
