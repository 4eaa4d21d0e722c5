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
use crate::{connect, error};

/// How long a topic may take from its creation until every partition has a leader.
const CREATION_MAX: Duration = Duration::from_secs(15);
const CREATION_LOOK_PAUSE: Duration = Duration::from_millis(50);

impl Topics {
    /// Makes destinations and groups exist with their dead letters, and leaves what exists as it is.
    pub(crate) async fn declare(&self, declarations: &[Declaration]) -> Result<()> {
        let _one_at_a_time = self.declaring.lock().await;
        for declaration in declarations {
            let destination = &declaration.destination;
            self.check_name(destination).await?;
            for group in &declaration.groups {
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
        let replication = TopicReplication::Fixed(self.options.replica_count.unwrap_or(-1));
        let topic = NewTopic::new(destination.as_str(), partition_count, replication)
            .set("retention.ms", &retention)
            .set("max.message.bytes", &bytes_max);
        let options = AdminOptions::new().request_timeout(Some(CREATION_MAX));
        let created = self.admin.create_topics([&topic], &options).await;
        match created.map_err(|failure| error::told(&failure, "declare"))?.pop() {
            Some(Err((_, Code::TopicAlreadyExists))) | None => Ok(()),
            Some(Err((_, code))) => Err(error::of_code(code, "declare")),
            Some(Ok(_)) => {
                info!(%destination, partition_count, "created");
                Ok(())
            }
        }
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
            missing.add_partition_offset(name, element.partition(), Offset::Offset(low))?;
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
