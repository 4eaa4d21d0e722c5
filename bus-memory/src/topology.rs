//! Which destinations and groups exist, and the plan that makes more of them.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bus::{Declaration, Destination, Error, ErrorKind, Group, Result, Seams, Subscription};

use crate::MemoryOptions;
use crate::queue::Queue;

/// A declared destination. Its queues are the default group's, then those of its other groups.
pub(crate) struct Node {
    pub(crate) destination: Destination,
    queues: RwLock<Queues>,
    dead_letters: OnceLock<Arc<Node>>,
}

/// The queues of a destination, as of one moment.
pub(crate) type Queues = Arc<[Arc<Queue>]>;

/// A destination with the numbers of its queues: the unit of change, and what is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) destination: Destination,
    pub(crate) has_dead_letters: bool,
    /// The default group is `None`.
    pub(crate) queues: Vec<(Option<Group>, u32)>,
}

/// All destinations.
#[derive(Default)]
pub(crate) struct Topology {
    nodes: BTreeMap<Destination, Arc<Node>>,
    /// The largest queue number in use.
    last_number: u32,
    pub(crate) is_closed: bool,
}

impl Node {
    pub(crate) fn queues(&self) -> Queues {
        Arc::clone(&self.queues.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where rejected messages go, if anywhere.
    pub(crate) fn dead_letters(&self) -> Option<&Arc<Node>> {
        self.dead_letters.get()
    }

    fn record(&self) -> Record {
        let queues = self.queues();
        let queues = queues.iter().map(|queue| (queue.subscription().group().cloned(), queue.number()));
        Record {
            destination: self.destination.clone(),
            has_dead_letters: self.dead_letters.get().is_some(),
            queues: queues.collect(),
        }
    }
}

impl Topology {
    pub(crate) fn node(&self, destination: &Destination) -> Option<&Arc<Node>> {
        self.nodes.get(destination)
    }

    /// Every queue, in order of destination, then of declaration.
    pub(crate) fn queues(&self) -> Vec<Arc<Queue>> {
        self.nodes.values().flat_map(|node| node.queues().to_vec()).collect()
    }

    pub(crate) fn queue(&self, subscription: &Subscription) -> Option<Arc<Queue>> {
        let queues = self.node(subscription.destination())?.queues();
        queues.iter().find(|queue| queue.subscription() == subscription).cloned()
    }

    /// What has to be changed so that `declarations` exist; nothing if they all do.
    pub(crate) fn plan(&self, declarations: &[Declaration], options: &MemoryOptions) -> Result<Vec<Record>> {
        let mut plan = Plan { records: self.nodes.iter().map(recorded).collect(), last_number: self.last_number };
        for declaration in declarations {
            if !options.groups && !declaration.groups.is_empty() {
                let text = "this bus has one group per destination; declare a destination per group";
                let error = Error::new(ErrorKind::Unsupported, "declare", text);
                return Err(error.with("destination", &declaration.destination));
            }
            plan.add(declaration, options.dead_letters)?;
        }
        plan.check_names()?;
        let is_new = |record: &Record| self.node(&record.destination).is_none_or(|node| node.record() != *record);
        Ok(plan.records.into_values().filter(is_new).collect())
    }

    /// Makes what `records` say exist.
    pub(crate) fn apply(&mut self, records: &[Record], seams: &Seams, options: &MemoryOptions) {
        for record in records {
            self.last_number =
                record.queues.iter().map(|(_, number)| *number).max().max(Some(self.last_number)).unwrap_or(0);
            let node = self.nodes.entry(record.destination.clone()).or_insert_with(|| {
                let queues = RwLock::new(Arc::from([]));
                Arc::new(Node { destination: record.destination.clone(), queues, dead_letters: OnceLock::new() })
            });
            let mut queues = node.queues.write().unwrap_or_else(PoisonError::into_inner);
            let known_count = queues.len();
            let added = record.queues[known_count..].iter().map(|(group, number)| {
                let subscription = subscription(&record.destination, group.as_ref());
                Arc::new(Queue::new(subscription, *number, Arc::clone(&seams.clock), options))
            });
            *queues = queues.iter().cloned().chain(added).collect();
        }
        for record in records.iter().filter(|record| record.has_dead_letters) {
            let dead_letters = record.destination.dead_letters().ok().and_then(|name| self.nodes.get(&name));
            if let (Some(node), Some(dead_letters)) = (self.nodes.get(&record.destination), dead_letters) {
                // Set already: it can only be to the same node.
                let _ = node.dead_letters.set(Arc::clone(dead_letters));
            }
        }
    }
}

fn recorded((destination, node): (&Destination, &Arc<Node>)) -> (Destination, Record) {
    (destination.clone(), node.record())
}

fn subscription(destination: &Destination, group: Option<&Group>) -> Subscription {
    match group {
        None => Subscription::to(destination.clone()),
        Some(group) => Subscription::grouped(destination.clone(), group.clone()),
    }
}

/// The topology as it will be.
struct Plan {
    records: BTreeMap<Destination, Record>,
    last_number: u32,
}

impl Plan {
    fn add(&mut self, declaration: &Declaration, has_dead_letters: bool) -> Result<()> {
        self.queue(&declaration.destination, None);
        for group in &declaration.groups {
            self.queue(&declaration.destination, Some(group));
        }
        if has_dead_letters {
            self.queue(&declaration.destination.dead_letters()?, None);
            self.record(&declaration.destination).has_dead_letters = true;
        }
        Ok(())
    }

    fn record(&mut self, destination: &Destination) -> &mut Record {
        self.records.entry(destination.clone()).or_insert_with(|| Record {
            destination: destination.clone(),
            has_dead_letters: false,
            queues: Vec::new(),
        })
    }

    fn queue(&mut self, destination: &Destination, group: Option<&Group>) {
        let next_number = self.last_number + 1;
        let queues = &mut self.record(destination).queues;
        if !queues.iter().any(|(known, _)| known.as_ref() == group) {
            queues.push((group.cloned(), next_number));
            self.last_number = next_number;
        }
    }

    /// `orders.audit` cannot be both a destination and a group of `orders`: on other brokers they
    /// would be one queue.
    fn check_names(&self) -> Result<()> {
        let mut names = BTreeMap::new();
        for record in self.records.values() {
            for (group, _) in &record.queues {
                let subscription = subscription(&record.destination, group.as_ref());
                if let Some(other) = names.insert(subscription.to_string(), record.destination.clone()) {
                    let text = format!("`{subscription}` would be both a destination and a group; rename one");
                    let error = Error::new(ErrorKind::Conflict, "declare", text);
                    return Err(error.with("destination", other).with("other", &record.destination));
                }
            }
        }
        Ok(())
    }
}
