//! Apache Kafka, and servers that speak its protocol, behind the bus contract.
//!
//! ```no_run
//! use bus::{Bus, BusUrl, Declaration, Destination, Registry, Seams};
//! use bus_kafka::KafkaBackend;
//!
//! # async fn example() -> bus::Result<()> {
//! let registry = Registry::new().with(KafkaBackend);
//! let url = BusUrl::parse("kafka://127.0.0.1:9092")?;
//! let bus = registry.open(&url, &Seams::system()).await?;
//! bus.declare(&[Declaration::of(Destination::new("order-processing-queue")?)]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where the contract meets Kafka
//!
//! * **Accepted** is the delivery report of an idempotent producer with `acks=all`. A report that
//!   does not come in time is `Unknown`.
//! * **A commit is a position.** Each partition has a window of what was read; its watermark, the
//!   first offset not settled, is what is committed. What was settled beyond it is named in the
//!   commit's metadata, so that it does not come again either, as long as it fits in there. The
//!   window is bounded: a message nobody settles halts its partition, not the memory.
//! * **Members.** The receivers of one subscription on one bus are one member of the consumer group
//!   and share its partitions. A key in the hand of one is kept from the others.
//! * **Rebalances** are cooperative. A partition that is taken away is drained for a bounded time,
//!   committed inside the callback, and fenced: what is still in hand is `LeaseLost` and told.
//! * **One store.** The option `holder` names the store that keeps the effects. A group takes members of
//!   one holder only: `subscribe` answers `Conflict` while one of another is seen to be live, and a receiver whose
//!   member comes back to such a group, after its session had ended, is `Closed`. Where the members cannot be seen
//!   (no right to describe the group, or any broker of the cluster down) a member warns, stays and looks again.
//! * **A nack** keeps the message here, and its key behind it, until its delay has passed, 15 minutes at
//!   most. A process that ends cuts the delay short: the next one gets the message at once. With the option
//!   `retries=topics` it [goes through topics](#delays-and-retries-through-topics).
//! * **A delayed message** is refused, unless the option `delays=topics` is on.
//! * **Dead letters** are produced to `<destination>-dlq` and confirmed before the offset passes.
//! * **Back-pressure** pauses partitions; polling goes on, so the group does not time a member out.
//!   A publish waits for room in the producer's queue; an idempotent producer that lost its sequence is
//!   replaced, and what it had sent is `Unknown` where the brokers did not say.
//! * **Partitions** added to a topic move its keys. A member that finds other partitions than at the
//!   last commit of its group warns of it; with the option `partitions` declaring is a conflict.
//! * **Metadata** travels in record headers, the key is the record's. Keys are placed as Java
//!   clients place them.
//! * **Settlements** are answered as `Sent`: the commit follows within a fifth of a second, at a
//!   rebalance and at close. A process that is killed before gets them again.
//! * **Receives are not counted**, not with retry topics either: the label of a retry says how often the message
//!   was nacked with a delay, but what a crash or a rebalance hands out again is written down nowhere.
//!
//! # Delays and retries through topics
//!
//! | option | what changes |
//! |---|---|
//! | `delays=topics` | a message may be delayed for up to 30 days |
//! | `retries=topics`, beside it | so may a nack; what waits for its retry holds neither its key nor the watermark, and [`Order`](::bus::capability::Order) is `None` |
//!
//! What is delayed waits in `__bus-delay.1s`, `.10s`, `.1m`, `.10m`, `.1h` and `.12h`, in one after the other, the
//! longest first. In one of them everything has the same wait, so its head is due first: any number may wait, and a
//! bus looks at about 1,000 messages or 1 MiB of each partition, no more. Every bus with the option is from its first
//! declaration or subscription to its end a member of the group `__bus-delay`, which sends on what is due: the buses
//! share the work, and what one of them delayed comes while any of them is open.
//!
//! * **`Accepted`** says that the first of these topics has the message, to the same degree as a destination has
//!   others. It is copied, confirmed, and then removed: a crash in between, or an answer that is lost, makes a
//!   duplicate under the same id, and none is lost.
//! * **Not early**, by calendar time from the call of `publish` or `settle`, in milliseconds rounded up. The clocks of
//!   the machines must agree: a message is early by as much as that of the forwarding one is fast.
//! * **Late** by the time of one send. By two seconds at most where more are due at once than are looked at, by as long
//!   as no bus was open, by a second or two while members come and go, and by [`timeout`](KafkaOptions::delivery)
//!   while a broker does not answer: late hops do not add up. Each hop is one more send: six for 75 s, one for an hour.
//! * **Order**: messages of a key with equal delays arrive in the order in which they were accepted, unless a broker
//!   refuses one of them for a time.
//! * **Retries** come back by `<subscription>.__bus-retry`, which members of that group alone read: a copy with the
//!   same id, key, headers and body, labelled with how often it was nacked with a delay. The nack is `Sent` once the
//!   copy is confirmed. Where it is not accepted, the message waits here as it would without the option, and so it
//!   does on `…-dlq`, and where the name would have more than 80 bytes. Without a delay a nack is as before.
//! * **Dead letters**: what has no readable label, and what was due and whose destination is gone or refuses it for
//!   good, is kept in `__bus-delay-dlq` with the reason. A rejected retry is with those of its destination.
//! * **Counting**: what waits is in the depth of no destination. All of it together is the `delayed_count` of the
//!   destination `__bus-delay`.
//! * **Turned off again**, the options leave what waits where it is: first let it run empty.
//! * **The topics** are made by declaring and by subscribing, with four partitions each. Nothing expires in them
//!   (`retention.ms` is -1); what was sent on is removed every minute and at close, for which the user needs the right
//!   to delete records; without it they grow. With `scope=NAME` they are `NAME.__bus-delay…`, and the buses of
//!   that scope alone share them. All buses of one need the right to write to each other's destinations. No
//!   destination or group may have a name with `__bus-` in it.

mod backend;
pub mod config;
mod connect;
mod error;
mod traffic;

mod bus;
mod declare;
mod depth;
mod desk;
mod shared;
mod topology;

mod convert;
mod label;
mod names;
mod parcel;
mod producer;
mod publish;

mod consumer;
mod hand;
mod holder;
mod lag;
mod member;
mod offsets;
mod plan;
mod poll;
mod quarantine;
mod rebalance;
mod record;
mod settle;

mod delay;
mod retry;

pub use crate::backend::KafkaBackend;
pub use crate::bus::KafkaBus;
pub use crate::config::KafkaOptions;
pub use crate::lag::PartitionLag;
