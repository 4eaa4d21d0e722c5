//! Declaring: making topics and groups exist, and telling what exists otherwise than asked for.

use std::time::Duration;

use bus::{ClockExt as _, Declaration, Destination, Error, ErrorKind, Group, Result, Subscription};
use rdkafka::admin::{AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};
use tracing::info;

use crate::config::{PARTITION_COUNT, RETENTION};
use crate::desk::{ANSWER_MAX, Tools};
use crate::topology::{Topic, Topics, all};
use crate::{connect, delay, error, offsets, retry};

/// How long a topic may take from its creation until every partition has a leader.
const CREATION_MAX: Duration = Duration::from_secs(15);
const CREATION_LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Files of delay topics, the last of which stays when all was removed.
const DELAY_SEGMENT_BYTES: usize = 64 * 1024 * 1024;

impl Topics {
    /// Makes destinations and groups exist with their dead letters, and leaves what exists as it is.
    pub(crate) async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        let _one_at_a_time = self.declaring.lock().await;
        for declaration in declarations {
            let destination = &declaration.destination;
            check_own(&Subscription::to(destination.clone()))?;
            self.check_name(destination).await?;
            for group in &declaration.groups {
                check_own(&Subscription::grouped(destination.clone(), group.clone()))?;
                self.check_group(destination, group).await?;
            }
            let topic = self.make(destination).await?;
            self.make(&destination.dead_letters()?).await?;
            for group in &declaration.groups {
                let group = Subscription::grouped(destination.clone(), group.clone()).to_string();
                let name = destination.to_string();
                let begun = self.desk.ask("declare", move |tools| begin_group(tools, &group, &name, topic)).await;
                begun.map_err(|error| error.with("destination", destination))?;
            }
            let groups = declaration.groups.iter().cloned();
            let grouped = groups.map(|group| Subscription::grouped(destination.clone(), group));
            for subscription in [Subscription::to(destination.clone())].into_iter().chain(grouped) {
                self.make_retries(&subscription).await?;
            }
        }
        Ok(())
    }

    /// The topic of a subscription's retries, made where there is none yet.
    pub(crate) async fn make_retries(&self, subscription: &Subscription) -> Result<()> {
        let wanted = retry::topic_of(subscription).filter(|_| self.options.retry_topics);
        let Some(topic) = wanted else { return Ok(()) };
        if self.find(&topic, "declare").await?.is_none() {
            self.make(&topic).await?;
        }
        Ok(())
    }

    /// The delay topics and their dead letters, made where there are none yet.
    pub(crate) async fn make_delays(&self) -> Result<()> {
        let making = || async {
            let graves = [self.delays.all.dead_letters()?];
            let mut missing = Vec::new();
            for topic in self.delays.topics.iter().cloned().chain(graves) {
                if self.find(&topic, "declare").await?.is_none() {
                    missing.push(topic);
                }
            }
            match self.options.admin {
                true => self.create_delays(&missing).await?,
                false => {
                    for topic in &missing {
                        self.ask_for(topic).await?;
                    }
                }
            }
            for topic in &missing {
                self.wait_for(topic).await?;
            }
            Ok(())
        };
        self.has_delays.get_or_try_init(making).await.map(drop)
    }

    /// What waits never expires: it is removed when it was sent on. As many partitions on every bus, for
    /// the topics are everybody's.
    async fn create_delays(&self, missing: &[Destination]) -> Result<()> {
        let (bytes_max, segment_bytes) = (connect::DELAY_TOPIC_BYTES_MAX.to_string(), DELAY_SEGMENT_BYTES.to_string());
        let new = |topic| {
            self.new_topic(topic, PARTITION_COUNT, "-1")
                .set("max.message.bytes", &bytes_max)
                .set("segment.bytes", &segment_bytes)
        };
        self.create_topics(missing.iter().map(new).collect()).await
    }

    fn new_topic<'a>(&self, topic: &'a Destination, partition_count: i32, retention: &'a str) -> NewTopic<'a> {
        let replication = TopicReplication::Fixed(self.options.replica_count.unwrap_or(-1));
        NewTopic::new(topic.as_str(), partition_count, replication).set("retention.ms", retention)
    }

    /// One that is there already is no error.
    async fn create_topics(&self, topics: Vec<NewTopic<'_>>) -> Result<()> {
        if topics.is_empty() {
            return Ok(());
        }
        let options = AdminOptions::new().request_timeout(Some(CREATION_MAX));
        let created = self.admin.create_topics(&topics, &options).await;
        for topic in created.map_err(|failure| error::told(&failure, "declare"))? {
            match topic {
                Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(error::of_code(code, "declare")),
                Ok(topic) => info!(topic, "created"),
            }
        }
        Ok(())
    }

    /// `orders.audit` cannot be both a destination and a group of `orders`: they would be one
    /// consumer group.
    async fn check_name(&self, destination: &Destination) -> Result<()> {
        for (at, _) in destination.as_str().match_indices('.') {
            let Ok(owner) = Destination::new(&destination.as_str()[..at]) else { continue };
            if let Some(topic) = self.find(&owner, "declare").await?
                && self.has_committed(destination.to_string(), &owner, topic, "declare").await?
            {
                return Err(twice(destination.as_str(), destination, &owner));
            }
        }
        Ok(())
    }

    async fn check_group(&self, destination: &Destination, group: &Group) -> Result<()> {
        let name = Subscription::grouped(destination.clone(), group.clone()).to_string();
        // A name that is too long for a destination is none.
        let Ok(other) = Destination::new(&name) else { return Ok(()) };
        match self.find(&other, "declare").await? {
            Some(_) => Err(twice(&name, &other, destination)),
            None => Ok(()),
        }
    }

    async fn make(&self, destination: &Destination) -> Result<Topic> {
        let topic = match self.look_up(destination, "declare").await? {
            Some(topic) => {
                self.check_retention(destination).await?;
                topic
            }
            None => self.create(destination).await?,
        };
        match self.options.partition_count {
            Some(wanted) if wanted != topic.partition_count => {
                let text = format!(
                    "the topic has {} partitions and {wanted} were asked for; changing their number moves keys to \
                     other partitions and breaks their order, so drain it and make it anew, or ask for what it has",
                    topic.partition_count
                );
                Err(Error::new(ErrorKind::Conflict, "declare", text).with("destination", destination))
            }
            _ => Ok(topic),
        }
    }

    async fn check_retention(&self, destination: &Destination) -> Result<()> {
        let Some(wanted) = self.options.retention else { return Ok(()) };
        let options = AdminOptions::new().request_timeout(Some(ANSWER_MAX));
        let described = self.admin.describe_configs([&ResourceSpecifier::Topic(destination.as_str())], &options).await;
        let described = described.map_err(|failure| error::told(&failure, "declare"))?;
        let Some(Ok(topic)) = described.into_iter().next() else { return Ok(()) };
        let found = topic.get("retention.ms").and_then(|entry| entry.value.clone()).unwrap_or_default();
        if found == wanted.as_millis().to_string() {
            return Ok(());
        }
        let text = format!(
            "the topic keeps messages for {found} ms and {} ms were asked for; alter retention.ms, or ask for what it has",
            wanted.as_millis()
        );
        Err(Error::new(ErrorKind::Conflict, "declare", text).with("destination", destination))
    }

    async fn create(&self, destination: &Destination) -> Result<Topic> {
        let made =
            if self.options.admin { self.create_topic(destination).await } else { self.ask_for(destination).await };
        made.map_err(|error| error.with("destination", destination))?;
        self.wait_for(destination).await
    }

    async fn create_topic(&self, destination: &Destination) -> Result<()> {
        let retention = self.options.retention.unwrap_or(RETENTION).as_millis().to_string();
        let bytes_max = connect::topic_bytes_max(&self.options).to_string();
        let partition_count = self.options.partition_count.unwrap_or(PARTITION_COUNT);
        let topic = self.new_topic(destination, partition_count, &retention).set("max.message.bytes", &bytes_max);
        self.create_topics(vec![topic]).await
    }

    async fn ask_for(&self, destination: &Destination) -> Result<()> {
        let name = destination.to_string();
        let asked = move |tools: &Tools| tools.creating()?.fetch_metadata(Some(&name), ANSWER_MAX).map(drop);
        self.desk.ask("declare", asked).await
    }

    /// Waits until every partition has a leader.
    async fn wait_for(&self, destination: &Destination) -> Result<Topic> {
        let looking = async {
            loop {
                match self.look_up(destination, "declare").await {
                    Ok(Some(topic)) => return Ok(topic),
                    Ok(None) => {}
                    // It exists, and a partition has no leader yet.
                    Err(error) if error.kind() == ErrorKind::Unavailable => {}
                    Err(error) => return Err(error),
                }
                // The brokers tell nobody when they have agreed on a leader.
                self.seams.clock.sleep(CREATION_LOOK_PAUSE).await;
            }
        };
        let found = self.seams.clock.timeout(CREATION_MAX, looking).await;
        found.unwrap_or_else(|| {
            let text = "the topic was made and has no leader yet; try again, or look at the brokers";
            Err(Error::new(ErrorKind::Timeout, "declare", text).with("destination", destination))
        })
    }
}

/// The names of our own topics are not to be those of destinations and groups.
fn check_own(subscription: &Subscription) -> Result<()> {
    if !subscription.to_string().contains(delay::OWN) {
        return Ok(());
    }
    let text = format!("names with `{}` are kept for topics of the bus's own; choose another", delay::OWN);
    Err(Error::new(ErrorKind::Invalid, "declare", text).with("subscription", subscription))
}

fn twice(name: &str, destination: &Destination, other: &Destination) -> Error {
    let text = format!("`{name}` would be both a destination and a group; rename one");
    Error::new(ErrorKind::Conflict, "declare", text).with("destination", destination).with("other", other)
}

/// Makes a group exist: commits the first offset of each partition where it has none.
fn begin_group(tools: &Tools, group: &str, name: &str, topic: Topic) -> Result<(), KafkaError> {
    let client = tools.in_group(group)?;
    let mut missing = TopicPartitionList::new();
    for element in client.committed_offsets(all(name, topic), ANSWER_MAX)?.elements() {
        if !matches!(element.offset(), Offset::Offset(_)) {
            let (low, _) = client.fetch_watermarks(name, element.partition(), ANSWER_MAX)?;
            let mut first = missing.add_partition(name, element.partition());
            first.set_offset(Offset::Offset(low))?;
            first.set_metadata(offsets::write(None, tools.options.holder.as_deref(), low, std::iter::empty()));
        }
    }
    if missing.count() == 0 {
        return Ok(());
    }
    match client.commit(&missing, CommitMode::Sync) {
        // It has members, who commit themselves.
        Err(KafkaError::ConsumerCommit(Code::UnknownMemberId | Code::IllegalGeneration)) => Ok(()),
        answer => answer,
    }
}
