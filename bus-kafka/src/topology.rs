//! Which topics and groups there are.
//!
//! A topic's default group exists with it. Any other exists once it has a committed offset, which
//! declaring it makes.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use bus::{Destination, Result, Seams, Subscription};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use crate::config::KafkaOptions;
use crate::delay::Delays;
use crate::desk::{ANSWER_MAX, Desk, Tools};
use crate::{connect, error};

/// A topic, as the brokers describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) partition_count: i32,
}

/// All topics seen so far, and the desk where others are asked about.
pub(crate) struct Topics {
    pub(crate) desk: Desk,
    pub(crate) seams: Seams,
    pub(crate) options: KafkaOptions,
    pub(crate) admin: AdminClient<DefaultClientContext>,
    known: RwLock<BTreeMap<Destination, Topic>>,
    /// One declaration at a time.
    pub(crate) declaring: tokio::sync::Mutex<()>,
    /// Where messages wait, with the option for it.
    pub(crate) delays: Delays,
    /// These topics are there.
    pub(crate) has_delays: tokio::sync::OnceCell<()>,
}

/// What is waiting for a group in the partitions of its topic, by partition.
pub(crate) struct Positions {
    /// The group's committed offset, or the first there is.
    pub(crate) committed: i64,
    /// After the last message.
    pub(crate) high: i64,
}

impl Topics {
    pub(crate) fn open(options: &KafkaOptions, seams: Seams, desk: Desk) -> Result<Self> {
        let admin = AdminClient::from_config(&connect::asking(options));
        let admin = admin.map_err(|failure| error::told(&failure, "open"))?;
        let (known, declaring, has_delays) = Default::default();
        let delays = Delays::of(options.scope.as_deref())?;
        Ok(Self { desk, seams, options: options.clone(), admin, known, declaring, delays, has_delays })
    }

    /// Blocks until `close` has ended; on the desk's thread.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.desk.ask(operation, move |_| Ok(work())).await?
    }

    fn known(&self, destination: &Destination) -> Option<Topic> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(destination).copied()
    }

    fn remember(&self, destination: &Destination, topic: Topic) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(destination.clone(), topic);
    }

    /// The topic of a destination, `None` when there is none.
    pub(crate) async fn find(&self, destination: &Destination, operation: &'static str) -> Result<Option<Topic>> {
        if let Some(known) = self.known(destination) {
            return Ok(Some(known));
        }
        self.look_up(destination, operation).await
    }

    pub(crate) async fn look_up(&self, destination: &Destination, operation: &'static str) -> Result<Option<Topic>> {
        let name = destination.to_string();
        let found = self.desk.ask(operation, move |tools| look_up(tools, &name)).await;
        let found = found.map_err(|error| error.with("destination", destination))?;
        if let Some(topic) = found {
            self.remember(destination, topic);
        }
        Ok(found)
    }

    /// Whether a group can be subscribed to.
    pub(crate) async fn has_group(&self, subscription: &Subscription, operation: &'static str) -> Result<bool> {
        let Some(topic) = self.find(subscription.destination(), operation).await? else { return Ok(false) };
        if subscription.group().is_none() {
            return Ok(true);
        }
        self.has_committed(subscription.to_string(), subscription.destination(), topic, operation).await
    }

    pub(crate) async fn has_committed(
        &self,
        group: String,
        destination: &Destination,
        topic: Topic,
        operation: &'static str,
    ) -> Result<bool> {
        let name = destination.to_string();
        let committed = move |tools: &Tools| {
            let client = tools.in_group(&group)?;
            let found = client.committed_offsets(all(&name, topic), ANSWER_MAX)?;
            Ok(found.elements().iter().any(|element| matches!(element.offset(), Offset::Offset(_))))
        };
        self.desk.ask(operation, committed).await
    }

    /// Where a group stands in each partition of a topic.
    pub(crate) async fn positions(
        &self,
        group: String,
        name: String,
        topic: Topic,
    ) -> Result<BTreeMap<i32, Positions>> {
        self.desk.ask("depth", move |tools| positions(tools, &group, &name, topic)).await
    }
}

pub(crate) fn all(topic: &str, description: Topic) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    list.add_partition_range(topic, 0, description.partition_count - 1);
    list
}

/// A topic whose partitions all have a leader.
fn look_up(tools: &Tools, name: &str) -> Result<Option<Topic>, KafkaError> {
    let metadata = tools.asking.fetch_metadata(Some(name), ANSWER_MAX)?;
    let Some(found) = metadata.topics().iter().find(|topic| topic.name() == name) else { return Ok(None) };
    if let Some(error) = found.error() {
        return match Code::from(error) {
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::LeaderNotAvailable => Ok(None),
            code => Err(KafkaError::MetadataFetch(code)),
        };
    }
    let is_led = !found.partitions().is_empty() && found.partitions().iter().all(|partition| partition.leader() >= 0);
    let partition_count = i32::try_from(found.partitions().len()).unwrap_or(i32::MAX);
    if !is_led && !found.partitions().is_empty() {
        // It exists; who asks tries again.
        return Err(KafkaError::MetadataFetch(Code::LeaderNotAvailable));
    }
    Ok(is_led.then_some(Topic { partition_count }))
}

fn positions(tools: &Tools, group: &str, name: &str, topic: Topic) -> Result<BTreeMap<i32, Positions>, KafkaError> {
    let client = tools.in_group(group)?;
    let mut found = BTreeMap::new();
    for element in client.committed_offsets(all(name, topic), ANSWER_MAX)?.elements() {
        let (low, high) = client.fetch_watermarks(name, element.partition(), ANSWER_MAX)?;
        let committed = element.offset().to_raw().filter(|offset| *offset >= low).unwrap_or(low);
        found.insert(element.partition(), Positions { committed, high });
    }
    Ok(found)
}
