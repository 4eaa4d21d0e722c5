//! Bugs planted on purpose: each is a part of the composition done wrong, none is code in the services.
//!
//! The services have several lines of defence, and a bug in one of them is hidden by the others. So
//! some bugs are planted in a composition without the line behind: without the reconciler, which mends
//! what messages do not bring, or with the inbox as the only guard of an order. Without the bug that
//! composition passes the same seeds, and so do the services as they are; else a find does not count.
//!
//! Every bug applies to every model. No broker semantic excludes one: all of them deliver at least once,
//! lose answers and outlive processes. The five minutes in which SQS FIFO drops duplicates end before
//! redeliveries do, and know nothing of a second id; and a group or partition hands out several messages
//! of a key to one receiver.
//!
//! | module | which part is done wrong |
//! |---|---|
//! | `receiving`, `sending` | a layer on the bus |
//! | `handling` | a middleware around the handlers |
//! | `inbox`, `counting`, `outbox`, `guards`, `zombies` | a store around the store |
//! | `ports` | stock, payment and shipping |

mod composition;
mod counting;
mod guards;
mod handling;
mod inbox;
mod outbox;
mod ports;
mod receiving;
mod sending;
mod zombies;

pub(super) use composition::Planted;

/// A bug, or a composition without one that bugs are compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// No bug: the services without the reconciler.
    WithoutReconciler,
    /// No bug: the same, and an order's own row does not keep it from being processed again.
    InboxAlone,
    /// No bug: a message that is rejected is first tried as often as any other.
    RetriedBeforeRejected,
    /// No bug: what a dead process had sent to its store arrives after its successor has started.
    LateWrites,
    /// No bug: what the producer reads of an order takes a while to come back.
    SlowReads,
    /// Nothing remembers which messages were processed: the handler does its work and that is all.
    /// Nobody misses an inbox until a message comes twice.
    NoInbox,
    /// The message is marked as seen, then its effect is written: check, mark, work. What dies in
    /// between is never worked on.
    InboxBeforeEffect,
    /// The effect is written, then the message is marked as seen: work, mark, ack. What dies in between
    /// is worked on twice.
    InboxAfterEffect,
    /// Deliveries are acknowledged when they come: `auto_ack`, or a queue of one's own behind the consumer.
    AckBeforeCommit,
    /// Messages are kept in the process until they are sent: `save(order)`, then `send(message)`.
    PublishOutsideOutbox,
    /// The same the other way round, so that the message tells of an order that may never be.
    PublishBeforeCommit,
    /// An order is written as it was read, whatever became of it meanwhile: `UPDATE … WHERE id = ?`.
    NoVersionGuard,
    /// Handlers start as deliveries come: a pool of workers without lanes.
    TwoWorkersOnOneKey,
    /// Undoing a step does not look whether it is undone: a refund for each call.
    CompensationTwice,
    /// A failure is a reason to try again, always: a nack, and no look at the count.
    RetryWithoutLimit,
    /// What is rejected is acknowledged: `catch (e) { log(e) }`.
    NoDeadLetter,
    /// What is rejected is acknowledged first and then sent to the dead letters, once.
    AckBeforeDeadLetter,
    /// Writes are not conditional, so those of a process that is dead to everybody still count.
    NoFencing,
    /// A publish without an answer is published again as a new message: the id is made in `send()`.
    NewIdAfterUnknown,
    /// A charge is keyed by the call instead of the order.
    KeyOfTheAttempt,
    /// The inbox remembers for a second: as long as duplicates took in the tests.
    WindowTooShort,
    /// The order is one write and its messages are the next.
    TwoWrites,
    /// Whatever a publish came to, it is taken for accepted: nobody reads the answer.
    PublishAndForget,
    /// The store answers before it has synced: the fast setting of the database.
    AnswerBeforeSync,
    /// A message is given up before its last attempts.
    DeadLetterTooEarly,
    /// Attempts are counted in the process, and begin anew with each of its lives.
    StartsInMemory,
}

impl Bug {
    /// All that should be found: the first seventeen in the order of the specification, then four of our own.
    /// Of the specification's, not planted: a cursor saved before its page, a clock as version, order by the
    /// iteration of a `HashMap`, an inert injector (the doctor's).
    pub const ALL: [Self; 21] = [
        Self::NoInbox,
        Self::InboxBeforeEffect,
        Self::InboxAfterEffect,
        Self::AckBeforeCommit,
        Self::PublishOutsideOutbox,
        Self::PublishBeforeCommit,
        Self::NoVersionGuard,
        Self::TwoWorkersOnOneKey,
        Self::CompensationTwice,
        Self::RetryWithoutLimit,
        Self::NoDeadLetter,
        Self::AckBeforeDeadLetter,
        Self::NoFencing,
        Self::NewIdAfterUnknown,
        Self::KeyOfTheAttempt,
        Self::WindowTooShort,
        Self::TwoWrites,
        Self::PublishAndForget,
        Self::AnswerBeforeSync,
        Self::DeadLetterTooEarly,
        Self::StartsInMemory,
    ];

    /// Its name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WithoutReconciler => "none, without the reconciler",
            Self::InboxAlone => "none, with the inbox as the only guard",
            Self::RetriedBeforeRejected => "none, tried again before it is rejected",
            Self::LateWrites => "none, with late writes of the dead",
            Self::SlowReads => "none, with slow reads",
            Self::NoInbox => "no inbox",
            Self::InboxBeforeEffect => "inbox written before the effect",
            Self::InboxAfterEffect => "inbox written after the effect",
            Self::AckBeforeCommit => "ack before commit",
            Self::PublishOutsideOutbox => "publish outside the outbox",
            Self::PublishBeforeCommit => "publish before commit",
            Self::NoVersionGuard => "no version guard",
            Self::TwoWorkersOnOneKey => "two workers on one key",
            Self::CompensationTwice => "compensation twice",
            Self::RetryWithoutLimit => "retry without limit",
            Self::NoDeadLetter => "no dead letter",
            Self::AckBeforeDeadLetter => "ack before the dead letter is stored",
            Self::NoFencing => "no fencing of zombies",
            Self::NewIdAfterUnknown => "new id after an unknown outcome",
            Self::KeyOfTheAttempt => "idempotency key from the attempt",
            Self::WindowTooShort => "deduplication window too short",
            Self::TwoWrites => "two writes instead of one",
            Self::PublishAndForget => "publish and forget",
            Self::AnswerBeforeSync => "store answers before it has synced",
            Self::DeadLetterTooEarly => "dead letter too early",
            Self::StartsInMemory => "attempts counted in memory",
        }
    }

    /// Its name on the command line and in plans.
    #[must_use]
    pub fn word(self) -> String {
        self.name().replace(' ', "-")
    }

    /// The bug of that [word](Self::word), among [all](Self::ALL).
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.word() == word)
    }

    /// The same composition without the bug; `None`: the services as they are.
    #[must_use]
    pub fn control(self) -> Option<Self> {
        match self {
            Self::InboxBeforeEffect
            | Self::AckBeforeCommit
            | Self::PublishOutsideOutbox
            | Self::PublishBeforeCommit
            | Self::TwoWrites
            | Self::PublishAndForget
            | Self::WithoutReconciler => Some(Self::WithoutReconciler),
            Self::NoInbox
            | Self::InboxAfterEffect
            | Self::NewIdAfterUnknown
            | Self::WindowTooShort
            | Self::InboxAlone => Some(Self::InboxAlone),
            Self::RetryWithoutLimit | Self::DeadLetterTooEarly | Self::StartsInMemory | Self::RetriedBeforeRejected => {
                Some(Self::RetriedBeforeRejected)
            }
            Self::NoFencing | Self::LateWrites => Some(Self::LateWrites),
            Self::NoVersionGuard | Self::SlowReads => Some(Self::SlowReads),
            Self::TwoWorkersOnOneKey
            | Self::CompensationTwice
            | Self::NoDeadLetter
            | Self::AckBeforeDeadLetter
            | Self::KeyOfTheAttempt
            | Self::AnswerBeforeSync => None,
        }
    }
}
