//! The options of an `amqp://` URL.

use std::path::PathBuf;
use std::time::Duration;

use bus::url::{is_loopback, span};
use bus::{BusUrl, Error, ErrorKind, Result};
use percent_encoding::percent_decode_str;
use secrecy::SecretString;

/// Largest message, unless told otherwise: 4 MiB of body, key and headers. RabbitMQ 4 takes 16 MiB,
/// RabbitMQ 3 takes 128 MiB, but a large message holds up everybody on its connection.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest `message_bytes_max`: the default `max_message_size` of RabbitMQ 4, 16 MiB.
pub const MESSAGE_BYTES_LIMIT: usize = 16 * 1024 * 1024;
/// Longest delay of a publish or a nack: the largest delay class.
pub const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How long an answer may take, unless told otherwise: a quorum queue elects a leader within seconds.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// Time after which a delivery that was not settled closes its channel: the default
/// `consumer_timeout` of RabbitMQ, 30 minutes. Nothing prolongs it.
pub const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Receives after which a quorum queue itself moves a message to the dead letters, unless told
/// otherwise: only a backstop, because prefetch, crashes and shutdowns count too.
pub const RECEIVE_COUNT_MAX: u32 = 1_000;

/// What queues declared here are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// Replicated by Raft; counts receives.
    Quorum,
    /// Durable on one node; declared without arguments, as most foreign services do.
    Classic,
}

/// Everything a URL says.
#[derive(Clone, Debug)]
pub struct AmqpOptions {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether the connection is encrypted (`amqps://`).
    pub tls: bool,
    /// The authority's certificate for `amqps://`, in PEM, beside those of the system.
    pub ca: Option<PathBuf>,
    /// The user.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The virtual host.
    pub vhost: String,
    /// What queues declared here are.
    pub queue: QueueKind,
    /// The operator's word that queues have replicas on at least three nodes.
    pub replicated: bool,
    /// How long the server may take to answer.
    pub timeout: Duration,
    /// The server's own limit on the time a delivery is held.
    pub consumer_timeout: Duration,
    /// Receives after which a quorum queue itself moves a message to the dead letters.
    pub receive_count_max: u32,
    /// Largest message in bytes of body, key and headers.
    pub message_bytes_max: usize,
}

const OPTIONS: &[&str] = &[
    "queue",
    "replicated",
    "timeout",
    "consumer_timeout",
    "receive_count_max",
    "message_bytes_max",
    "ca",
    "allow_plaintext",
];

impl AmqpOptions {
    /// Reads `amqp://USER:PASSWORD@HOST[:PORT]/VHOST?option=value…`; `amqps://` for TLS. Without them:
    /// guest, guest, 5672 (5671 for TLS) and the virtual host `/`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names the part and what to write instead.
    pub fn of(url: &BusUrl) -> Result<Self> {
        url.only_options(OPTIONS)?;
        let tls = url.scheme() == "amqps";
        let (host, port) = host_and_port(url.authority(), if tls { 5671 } else { 5672 })?;
        let (user, password) = url.credentials();
        let queue = match url.option("queue") {
            None | Some("quorum") => QueueKind::Quorum,
            Some("classic") => QueueKind::Classic,
            Some(other) => return Err(invalid(format!("option `queue` is `{other}`; use `quorum` or `classic`"))),
        };
        let options = Self {
            host,
            port,
            tls,
            ca: url.option("ca").map(PathBuf::from),
            user: decoded("user", user.unwrap_or("guest"))?,
            password: decoded("password", password.unwrap_or("guest"))?.into(),
            vhost: vhost(url.path())?,
            queue,
            replicated: url.switch("replicated", false)?,
            timeout: seconds(url, "timeout", TIMEOUT)?,
            consumer_timeout: seconds(url, "consumer_timeout", CONSUMER_TIMEOUT)?,
            receive_count_max: u32::try_from(url.number(
                "receive_count_max",
                RECEIVE_COUNT_MAX as usize,
                1..=1_000_000,
            )?)
            .unwrap_or(RECEIVE_COUNT_MAX),
            message_bytes_max: url.number("message_bytes_max", MESSAGE_BYTES_MAX, 1..=MESSAGE_BYTES_LIMIT)?,
        };
        if options.replicated && options.queue == QueueKind::Classic {
            return Err(invalid("classic queues are on one node; leave out `replicated=on` or `queue=classic`"));
        }
        if options.ca.is_some() && !tls {
            return Err(invalid("`ca` is for TLS; write amqps://, or leave it out"));
        }
        if !tls && !is_loopback(&options.host) && !url.switch("allow_plaintext", false)? {
            let text =
                "messages and the password would cross the network unencrypted; use amqps:// or add allow_plaintext=on";
            return Err(invalid(text).with("host", &options.host));
        }
        Ok(options)
    }
}

fn host_and_port(authority: &str, default: u16) -> Result<(String, u16)> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() || host.contains(',') {
        return Err(invalid(format!("`{authority}` names no host; write amqp://user:password@127.0.0.1:5672/%2f")));
    }
    let port = match port {
        None => default,
        Some(text) => {
            text.parse().map_err(|_| invalid(format!("`{text}` is no port; RabbitMQ listens on {default}")))?
        }
    };
    Ok((host.to_owned(), port))
}

/// By the AMQP URI specification: nothing is the default host, and what follows the slash is its name.
fn vhost(path: &str) -> Result<String> {
    match path.strip_prefix('/') {
        None => Ok("/".to_owned()),
        Some("") => {
            Err(invalid("the virtual host is empty; the default one is written /%2f, or left out with its slash"))
        }
        Some(name) if name.contains('/') => Err(invalid("write / in the name of a virtual host as %2f")),
        Some(name) => decoded("virtual host", name),
    }
}

fn decoded(what: &str, text: &str) -> Result<String> {
    let decoded = percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|_| invalid(format!("the {what} is not percent-encoded UTF-8")))?.into_owned())
}

fn seconds(url: &BusUrl, name: &str, default: Duration) -> Result<Duration> {
    url.read(name, default, |text| {
        let found = span(text).filter(|span| span.subsec_nanos() == 0 && !span.is_zero() && *span <= DELAY_MAX);
        found.ok_or_else(|| "whole seconds or minutes, such as 15s or 30m".to_owned())
    })
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "bus url", text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn options(url: &str) -> Result<AmqpOptions> {
        AmqpOptions::of(&BusUrl::parse(url).expect("a URL"))
    }

    #[test]
    fn a_url_sets_every_option() {
        let url = "amqps://me:p%40ss@broker:1234/a%2fb?queue=quorum&replicated=on&timeout=5s&consumer_timeout=10m\
                   &receive_count_max=50&message_bytes_max=1000&ca=/etc/ca.pem";
        let options = options(url).expect("legal");
        assert_eq!((options.host.as_str(), options.port, options.tls), ("broker", 1234, true));
        assert_eq!((options.user.as_str(), options.password.expose_secret()), ("me", "p@ss"));
        assert_eq!((options.vhost.as_str(), options.queue, options.replicated), ("a/b", QueueKind::Quorum, true));
        assert_eq!((options.timeout.as_secs(), options.consumer_timeout.as_secs()), (5, 600));
        assert_eq!((options.receive_count_max, options.message_bytes_max), (50, 1_000));
        assert_eq!(options.ca, Some(PathBuf::from("/etc/ca.pem")));
    }

    #[test]
    fn what_is_left_out_is_what_rabbitmq_ships_with() {
        for (url, host, port, vhost) in [
            ("amqp://127.0.0.1", "127.0.0.1", 5672, "/"),
            ("amqp://[::1]:5673/%2f", "::1", 5673, "/"),
            ("amqps://broker/orders", "broker", 5671, "orders"),
        ] {
            let options = options(url).expect(url);
            assert_eq!((options.host.as_str(), options.port, options.vhost.as_str()), (host, port, vhost), "{url}");
            assert_eq!((options.user.as_str(), options.password.expose_secret()), ("guest", "guest"), "{url}");
        }
    }

    #[test]
    fn a_bad_url_says_what_to_write() {
        for (url, hint) in [
            ("amqp://", "names no host"),
            ("amqp://one,two", "names no host"),
            ("amqp://localhost:x", "is no port"),
            ("amqp://localhost/", "written /%2f"),
            ("amqp://localhost/a/b", "as %2f"),
            ("amqp://me:secret%ff@localhost", "percent-encoded"),
            ("amqp://localhost?queue=stream", "`quorum` or `classic`"),
            ("amqp://localhost?queue=classic&replicated=on", "are on one node"),
            ("amqp://localhost?replicated=yes", "use `on` or `off`"),
            ("amqp://localhost?timeout=500ms", "whole seconds"),
            ("amqp://localhost?message_bytes_max=0", "from 1 to"),
            ("amqp://localhost?ca=x", "amqps://"),
            ("amqp://me:secret@broker", "allow_plaintext=on"),
            ("amqp://localhost?que=classic", "did you mean `queue`?"),
        ] {
            let error = options(url).expect_err(url).to_string();
            assert!(error.contains(hint), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_password_does_not_show() {
        let shown = format!("{:?}", options("amqp://me:hunter2@localhost").expect("legal"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
