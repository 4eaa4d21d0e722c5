//! The options of a `kafka://` URL.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bus::url::{is_loopback, span};
use bus::{BusUrl, Error, ErrorKind, Result};

use crate::holder::is_legal;

/// Largest message, unless told otherwise: 768 KiB of body, key and headers, so that ids and framing
/// fit into the 1 MiB that brokers take by default (`message.max.bytes`).
pub const MESSAGE_BYTES_MAX: usize = 768 * 1024;
/// The most that the largest message may be set to.
pub(crate) const MESSAGE_BYTES_LIMIT: usize = 8 * 1024 * 1024;
/// Partitions of topics declared here, unless told otherwise.
pub const PARTITION_COUNT: i32 = 4;
/// How long topics declared here keep messages, unless told otherwise: 14 days.
pub const RETENTION: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Messages of a partition read beyond its first unsettled one, unless told otherwise.
pub const WINDOW_COUNT_MAX: usize = 10_000;
/// How long a rebalance waits for what is in hand, unless told otherwise.
pub const DRAIN: Duration = Duration::from_secs(2);
/// Silence after which a member is taken its partitions, unless told otherwise.
pub const SESSION: Duration = Duration::from_secs(10);
/// The same for a member whose polling thread stands still, unless told otherwise: that of Kafka.
pub const POLL_INTERVAL_MAX: Duration = Duration::from_secs(300);
/// How long a message may wait for its delivery report, unless told otherwise.
pub const DELIVERY: Duration = Duration::from_secs(30);
/// Longest nack delay without retry topics: the message is kept in this process, and its partition's
/// watermark with it.
pub const NACK_DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// Longest delay through delay topics, of a message and, with retry topics, of a nack: 30 days.
pub const DELAY_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);

const MINUTE: Duration = Duration::from_secs(60);

/// Everything a URL says.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaOptions {
    /// `host:port`, with commas between them.
    pub servers: String,
    /// User name and password, for SASL.
    pub credentials: Option<(String, String)>,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Partitions of topics declared here; `None`: four, and existing topics may have any number.
    pub partition_count: Option<i32>,
    /// How long topics declared here keep messages; `None`: 14 days, and existing ones may differ.
    pub retention: Option<Duration>,
    /// Copies of topics declared here; `None`: the broker's default.
    pub replica_count: Option<i32>,
    /// Whether topics are made by `CreateTopics`; otherwise by asking for them, as servers without it
    /// may do (librdkafka's mock).
    pub admin: bool,
    /// Messages of a partition read beyond its first unsettled one.
    pub window_count_max: usize,
    /// How long a rebalance waits for what is in hand.
    pub drain: Duration,
    /// Who keeps the effects of what is received, such as the id of a store; `None`: anybody, who is not
    /// kept apart from others.
    pub holder: Option<String>,
    /// Silence after which a member is taken its partitions.
    pub session: Duration,
    /// The same for a member whose polling thread stands still.
    pub poll_interval_max: Duration,
    /// How long a message may wait for its delivery report.
    pub delivery: Duration,
    /// Largest message in bytes of body, key and headers.
    pub message_bytes_max: usize,
    /// Whether messages may be delayed, for up to [`DELAY_MAX`]: they wait in topics that the buses of
    /// one [`scope`](Self::scope) share, and that each of them helps to forward.
    pub delay_topics: bool,
    /// Whether a message that is nacked with a delay waits there as well, and comes again by a topic of its
    /// subscription, out of the order of its key; otherwise it waits in this process, its key behind it.
    /// Needs [`delay_topics`](Self::delay_topics).
    pub retry_topics: bool,
    /// In front of the names of the delay topics: buses of one scope share them, and what one of them delays
    /// another may forward; `None`: all that name none.
    pub scope: Option<String>,
}

const OPTIONS: &[&str] = &[
    "partitions",
    "retention",
    "replication",
    "admin",
    "window",
    "drain",
    "holder",
    "session",
    "poll",
    "timeout",
    "message_bytes_max",
    "delays",
    "retries",
    "scope",
    "tls",
    "allow_plaintext",
];

impl KafkaOptions {
    /// Reads `kafka://HOST:PORT,HOST:PORT?option=value…`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names the part and what to write instead.
    pub fn of(url: &BusUrl) -> Result<Self> {
        if !matches!(url.path(), "" | "/") {
            return Err(invalid("kafka:// has no path; topics have the names of destinations"));
        }
        url.only_options(OPTIONS)?;
        let credentials = match url.credentials() {
            (None, None) => None,
            (Some(user), Some(password)) => Some((user.to_owned(), password.to_owned())),
            _ => return Err(invalid("credentials are a user and a password; write kafka://user:password@host:9092")),
        };
        let optional = |name, max| match url.option(name) {
            None => Ok(None),
            Some(_) => url.number(name, 1, 1..=max).map(|found| i32::try_from(found).ok()),
        };
        let options = Self {
            servers: servers(url.authority())?,
            credentials,
            tls: url.switch("tls", false)?,
            partition_count: optional("partitions", 1_000)?,
            retention: url
                .option("retention")
                .map(|_| time(url, "retention", RETENTION, MINUTE / 60..=3_650 * 24 * 60 * MINUTE))
                .transpose()?,
            replica_count: optional("replication", 16)?,
            admin: url.switch("admin", true)?,
            window_count_max: url.number("window", WINDOW_COUNT_MAX, 16..=1_000_000)?,
            drain: time(url, "drain", DRAIN, Duration::ZERO..=MINUTE)?,
            holder: name(url, "holder")?,
            session: time(url, "session", SESSION, MINUTE / 10..=5 * MINUTE)?,
            poll_interval_max: time(url, "poll", POLL_INTERVAL_MAX, MINUTE / 10..=60 * MINUTE)?,
            delivery: time(url, "timeout", DELIVERY, MINUTE / 60..=5 * MINUTE)?,
            message_bytes_max: url.number("message_bytes_max", MESSAGE_BYTES_MAX, 1..=MESSAGE_BYTES_LIMIT)?,
            delay_topics: one_of(url, "delays", ["off", "topics"])?,
            retry_topics: one_of(url, "retries", ["hand", "topics"])?,
            scope: name(url, "scope")?,
        };
        options.check(url.switch("allow_plaintext", false)?)?;
        Ok(options)
    }

    /// Longest delay of a message.
    pub(crate) fn delay_max(&self) -> Option<Duration> {
        self.delay_topics.then_some(DELAY_MAX)
    }

    /// Longest delay of a nack.
    pub(crate) fn nack_delay_max(&self) -> Duration {
        if self.retry_topics { DELAY_MAX } else { NACK_DELAY_MAX }
    }

    pub(crate) fn check_retries(&self) -> Result<()> {
        match self.retry_topics && !self.delay_topics {
            true => Err(invalid("what is retried through topics waits in delay topics; add delays=topics")),
            false => Ok(()),
        }
    }

    fn check(&self, may_be_plain: bool) -> Result<()> {
        if self.session > self.poll_interval_max {
            return Err(invalid("option `poll` is shorter than `session`; Kafka wants it at least as long"));
        }
        self.check_retries()?;
        if self.tls && !cfg!(feature = "tls") {
            return Err(invalid("this build has no TLS; build it with the feature `tls` of bus-kafka"));
        }
        if self.tls || may_be_plain || self.servers.split(',').all(is_local) {
            return Ok(());
        }
        let text = "messages would cross the network unencrypted; use tls=on or add allow_plaintext=on";
        Err(invalid(text).with("servers", &self.servers))
    }
}

/// Without the password.
impl fmt::Debug for KafkaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaOptions")
            .field("servers", &self.servers)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .field("tls", &self.tls)
            .field("partition_count", &self.partition_count)
            .field("retention", &self.retention)
            .field("replica_count", &self.replica_count)
            .field("holder", &self.holder)
            .field("window_count_max", &self.window_count_max)
            .field("delay_topics", &self.delay_topics)
            .field("retry_topics", &self.retry_topics)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

fn servers(authority: &str) -> Result<String> {
    let has_port = |server: &str| {
        server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if authority.split(',').all(has_port) {
        return Ok(authority.to_owned());
    }
    Err(invalid(format!(
        "`{authority}` is no list of brokers; write kafka://127.0.0.1:9092 or kafka://one:9092,two:9092"
    )))
}

fn is_local(server: &str) -> bool {
    is_loopback(server.rsplit_once(':').map_or(server, |(host, _)| host))
}

fn name(url: &BusUrl, option: &str) -> Result<Option<String>> {
    url.read(option, None, |text| match is_legal(text) {
        true => Ok(Some(text.to_owned())),
        false => Err("1 to 64 of the characters A–Z, a–z, 0–9, `_`, `-`".to_owned()),
    })
}

/// Whether the second of both words is there; the first is the default.
fn one_of(url: &BusUrl, name: &str, words: [&str; 2]) -> Result<bool> {
    url.read(name, false, |text| match words.iter().position(|word| *word == text) {
        Some(place) => Ok(place == 1),
        None => Err(format!("`{}` or `{}`", words[0], words[1])),
    })
}

fn time(url: &BusUrl, name: &str, default: Duration, legal: RangeInclusive<Duration>) -> Result<Duration> {
    url.read(name, default, |text| {
        let found = span(text).filter(|span| legal.contains(span));
        let (min, max) = (legal.start(), legal.end());
        found.ok_or_else(|| format!("a span from {min:?} to {max:?}, such as 500ms, 30s, 5m or 7d"))
    })
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "bus url", text)
}

#[cfg(test)]
mod tests;
