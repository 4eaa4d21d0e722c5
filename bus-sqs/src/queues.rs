//! Which queues there are, and making them exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Name;
use bus::{Declaration, Destination, Error, ErrorKind, Result};
use tracing::{info, warn};

use crate::config::SqsOptions;
use crate::error::Failure;
use crate::traffic::Traffic;

/// How long a message is kept, of queues declared here: the longest SQS offers, 14 days. With its
/// default of 4 days messages vanish silently over a long holiday.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// A queue, as its own attributes describe it.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) destination: Destination,
    pub(crate) url: String,
    arn: String,
    /// Its own visibility timeout.
    pub(crate) lease: Duration,
    /// Its own limit on a message, attributes included.
    pub(crate) bytes_max: usize,
    /// Where rejected messages go, if that queue exists.
    pub(crate) dead_letters: Option<Arc<Queue>>,
    has_redrive: bool,
}

/// All queues seen so far.
#[derive(Debug)]
pub(crate) struct Queues {
    client: Client,
    options: SqsOptions,
    traffic: Arc<Traffic>,
    known: RwLock<BTreeMap<Destination, Arc<Queue>>>,
    /// Destinations to make again should the server forget them.
    declared: Mutex<BTreeSet<Destination>>,
    /// One declaration at a time.
    declaring: tokio::sync::Mutex<()>,
}

impl Queues {
    pub(crate) fn new(client: Client, options: SqsOptions, traffic: Arc<Traffic>) -> Self {
        let (known, declared, declaring) = (RwLock::default(), Mutex::default(), tokio::sync::Mutex::default());
        Self { client, options, traffic, known, declared, declaring }
    }

    /// Makes destinations exist with their dead letters, and leaves what exists as it is.
    pub(crate) async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        for declaration in declarations {
            if !declaration.groups.is_empty() {
                let text = "an SQS queue gives each message to one group; declare a destination for each group";
                let error = Error::new(ErrorKind::Unsupported, "declare", text);
                return Err(error.with("destination", &declaration.destination));
            }
            self.make(&declaration.destination).await?;
            self.declared().insert(declaration.destination.clone());
        }
        Ok(())
    }

    /// The queue of a destination, `None` when there is none.
    pub(crate) async fn find(&self, destination: &Destination) -> Result<Option<Arc<Queue>>> {
        if let Some(known) = self.known(destination) {
            return Ok(Some(known));
        }
        let Some(mut queue) = self.look_up(destination, None).await? else { return Ok(None) };
        queue.dead_letters = self.look_up(&destination.dead_letters()?, None).await?.map(Arc::new);
        let queue = Arc::new(queue);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Some(Arc::clone(known.entry(destination.clone()).or_insert(queue))))
    }

    /// The server says that a queue does not exist. Makes it again if it was declared here.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when it was not; otherwise what kept it from being made.
    pub(crate) async fn recover(&self, destination: &Destination) -> Result<Arc<Queue>> {
        let lost = self.known(destination);
        let _one_at_a_time = self.declaring.lock().await;
        if let (Some(lost), Some(now)) = (&lost, self.known(destination))
            && !Arc::ptr_eq(lost, &now)
        {
            // Somebody else was faster.
            return Ok(now);
        }
        let owner = self.owner_of(destination);
        let Some(owner) = owner else {
            let text = "no such queue; declare it first, or check region and account";
            return Err(Error::new(ErrorKind::NotFound, "declare", text).with("destination", destination));
        };
        warn!(destination = %owner, "the server has forgotten a queue: declaring it again; what was in it is gone");
        self.forget(&owner);
        self.make_alone(&owner).await?;
        let found = self.known(destination);
        found.ok_or_else(|| Error::new(ErrorKind::Unexpected, "declare", "the queue was made and is not known"))
    }

    /// The declared destination a queue belongs to: itself, or the one whose dead letters it holds.
    fn owner_of(&self, destination: &Destination) -> Option<Destination> {
        let declared = self.declared();
        let is_owner = |owner: &&Destination| {
            *owner == destination || owner.dead_letters().is_ok_and(|dead_letters| dead_letters == *destination)
        };
        declared.get(destination).or_else(|| declared.iter().find(is_owner)).cloned()
    }

    fn forget(&self, destination: &Destination) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.remove(destination);
        if let Ok(dead_letters) = destination.dead_letters() {
            known.remove(&dead_letters);
        }
    }

    async fn make(&self, destination: &Destination) -> Result<Arc<Queue>> {
        let _one_at_a_time = self.declaring.lock().await;
        self.make_alone(destination).await
    }

    /// Asks the server each time: what was known of a queue does not tell that it is still there.
    async fn make_alone(&self, destination: &Destination) -> Result<Arc<Queue>> {
        let grave = destination.dead_letters()?;
        let dead_letters = match self.look_up(&grave, None).await? {
            Some(found) => found,
            None => self.create(&grave, None).await?,
        };
        let dead_letters = Arc::new(dead_letters);
        let queue = match self.look_up(destination, Some(Arc::clone(&dead_letters))).await? {
            Some(found) if found.has_redrive => found,
            Some(found) => {
                self.set_redrive(&found, &dead_letters).await?;
                found
            }
            None => self.create(destination, Some(dead_letters)).await?,
        };
        let queue = Arc::new(queue);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(dead_letters) = &queue.dead_letters {
            known.insert(grave, Arc::clone(dead_letters));
        }
        known.insert(destination.clone(), Arc::clone(&queue));
        Ok(queue)
    }

    /// Asks the server for a queue and its attributes.
    async fn look_up(&self, destination: &Destination, dead_letters: Option<Arc<Queue>>) -> Result<Option<Queue>> {
        self.traffic.count();
        let answer = self.client.get_queue_url().queue_name(self.name_of(destination)?).send().await;
        let url = match answer.map_err(|failure| Failure::of(&failure, "declare").error) {
            Ok(found) => found.queue_url.unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.with("destination", destination)),
        };
        self.describe(destination, url, dead_letters).await.map(Some)
    }

    async fn create(&self, destination: &Destination, dead_letters: Option<Arc<Queue>>) -> Result<Queue> {
        let name = self.name_of(destination)?;
        let mut call = self
            .client
            .create_queue()
            .queue_name(&name)
            .attributes(Name::VisibilityTimeout, self.options.lease.as_secs().to_string())
            .attributes(Name::MessageRetentionPeriod, RETENTION.as_secs().to_string());
        if self.options.fifo {
            // High throughput: limits and deduplication per group (SQS developer guide).
            call = call
                .attributes(Name::FifoQueue, "true")
                .attributes(Name::DeduplicationScope, "messageGroup")
                .attributes(Name::FifoThroughputLimit, "perMessageGroupId");
        }
        if let Some(dead_letters) = &dead_letters {
            call = call.attributes(Name::RedrivePolicy, self.redrive_to(dead_letters));
        }
        self.traffic.count();
        let created = call.send().await.map_err(|failure| Failure::of(&failure, "declare").error);
        let url = created.map_err(|error| error.with("destination", destination))?.queue_url.unwrap_or_default();
        info!(%destination, queue = name, "created");
        self.describe(destination, url, dead_letters).await
    }

    async fn describe(
        &self,
        destination: &Destination,
        url: String,
        dead_letters: Option<Arc<Queue>>,
    ) -> Result<Queue> {
        self.traffic.count();
        let call = self.client.get_queue_attributes().queue_url(&url).attribute_names(Name::All);
        let answer = call.send().await.map_err(|failure| Failure::of(&failure, "declare").error);
        let found = answer.map_err(|error| error.with("destination", destination))?.attributes.unwrap_or_default();
        let number = |name: Name| found.get(&name).and_then(|text| text.parse::<u64>().ok());
        Ok(Queue {
            destination: destination.clone(),
            url,
            arn: found.get(&Name::QueueArn).cloned().unwrap_or_default(),
            // A queue whose timeout is nothing would hand everything to everybody.
            lease: number(Name::VisibilityTimeout)
                .filter(|seconds| *seconds > 0)
                .map_or(self.options.lease, Duration::from_secs),
            bytes_max: number(Name::MaximumMessageSize)
                .and_then(|bytes| usize::try_from(bytes).ok())
                .unwrap_or(crate::config::WIRE_BYTES_MAX),
            dead_letters,
            has_redrive: found.get(&Name::RedrivePolicy).is_some_and(|policy| !policy.is_empty()),
        })
    }

    /// A queue somebody else made gets the backstop ours have.
    async fn set_redrive(&self, queue: &Queue, dead_letters: &Queue) -> Result<()> {
        self.traffic.count();
        let call = self.client.set_queue_attributes().queue_url(&queue.url);
        let call = call.attributes(Name::RedrivePolicy, self.redrive_to(dead_letters));
        match call.send().await.map_err(|failure| Failure::of(&failure, "declare").error) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == ErrorKind::Unauthorized => {
                warn!(destination = %queue.destination, %error, "the queue keeps no redrive policy; rejects still work");
                Ok(())
            }
            Err(error) => Err(error.with("destination", &queue.destination)),
        }
    }

    fn redrive_to(&self, dead_letters: &Queue) -> String {
        let (target, count) = (&dead_letters.arn, self.options.receive_count_max);
        serde_json::json!({"deadLetterTargetArn": target, "maxReceiveCount": count}).to_string()
    }

    fn name_of(&self, destination: &Destination) -> Result<String> {
        let is_named_fifo = destination.as_str().ends_with(".fifo");
        match (self.options.fifo, is_named_fifo) {
            (false, true) => {
                let text = "a FIFO queue on a bus of standard queues; add fifo=on to the URL";
                Err(Error::new(ErrorKind::Invalid, "declare", text).with("destination", destination))
            }
            (true, false) => Destination::new(&format!("{destination}.fifo")).map(|name| name.to_string()),
            _ => Ok(destination.to_string()),
        }
    }

    fn known(&self, destination: &Destination) -> Option<Arc<Queue>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(destination).cloned()
    }

    fn declared(&self) -> MutexGuard<'_, BTreeSet<Destination>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
