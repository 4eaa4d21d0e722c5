//! The options of a `sqs://` URL.

use std::time::Duration;

use bus::url::{is_loopback, span};
use bus::{BusUrl, Error, ErrorKind, Result};

/// Largest message, unless told otherwise: 256 KiB of body, key and headers. In the worst case, a
/// binary body as base64, that is 350 KiB on the wire, well below the 1 MiB SQS takes.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Most bytes in one message or batch, attributes included (SQS quotas, 2025: 1 MiB).
pub(crate) const WIRE_BYTES_MAX: usize = 1024 * 1024;
/// Largest `message_bytes_max`: 704 KiB are 939 KiB as base64, and the rest is room for the names of
/// attributes, the packing of headers and the provenance of a dead letter.
pub const MESSAGE_BYTES_MAX_MAX: usize = 704 * 1024;
/// Visibility timeout of queues declared here, unless told otherwise: that of SQS itself.
pub const LEASE: Duration = Duration::from_secs(30);
/// Longest total visibility of one receive (SQS quotas): 12 hours.
pub const LEASE_TOTAL_MAX: Duration = Duration::from_secs(12 * 60 * 60);
/// Longest delay of a nack that every delivery can have: its visibility ends 12 hours after it was
/// handed out, so this leaves an hour for the handler that then asks for a delay.
pub const NACK_DELAY_MAX: Duration = Duration::from_secs(11 * 60 * 60);
/// Longest `DelaySeconds` (SQS quotas): 15 minutes.
pub const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// Length of a long poll, unless told otherwise. SQS takes 20 s, but a poll cannot be called off:
/// what it brings after a stop is received and given back. So it must end within a drain of 10 s.
pub const WAIT: Duration = Duration::from_secs(5);
/// Longest long poll of SQS.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// Most polls under way at the same time, unless told otherwise.
pub const POLL_COUNT_MAX: usize = 8;
/// Receives after which SQS itself moves a message to the dead letters, unless told otherwise: only
/// a backstop, because prefetch, crashes and shutdowns count too. Twenty times the usual attempts.
pub const RECEIVE_COUNT_MAX: u32 = 100;

/// Everything a URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqsOptions {
    /// The AWS region, which is also part of every signature.
    pub region: String,
    /// Where every call goes, in place of the region's own endpoint.
    pub endpoint: Option<String>,
    /// Whether queues are FIFO: `.fifo` is put behind each name, a message's key is its group.
    pub fifo: bool,
    /// Visibility timeout of queues declared here.
    pub lease: Duration,
    /// Length of a long poll.
    pub wait: Duration,
    /// Most polls under way at the same time, of one receiver.
    pub poll_count_max: usize,
    /// Receives after which SQS itself moves a message to the dead letters.
    pub receive_count_max: u32,
    /// Largest message in bytes of body, key and headers.
    pub message_bytes_max: usize,
}

const OPTIONS: &[&str] =
    &["endpoint", "fifo", "lease", "wait", "polls", "receive_count_max", "message_bytes_max", "allow_plaintext"];

impl SqsOptions {
    /// Reads `sqs://REGION?option=value…`.
    ///
    /// # Errors
    /// [`Invalid`](ErrorKind::Invalid) names the part and what to write instead.
    pub fn of(url: &BusUrl) -> Result<Self> {
        let region = url.authority();
        if url.credentials() != (None, None) {
            let text = "credentials do not belong into the URL; they come from the environment or a profile, as for every AWS client";
            return Err(invalid(text));
        }
        if !is_region(region) {
            return Err(invalid(format!("`{region}` is no AWS region; write sqs://ap-northeast-2 or the like")));
        }
        if !matches!(url.path(), "" | "/") {
            return Err(invalid("sqs:// has no path; queues have the names of destinations"));
        }
        url.only_options(OPTIONS)?;
        let seconds_of = |name, default, max| whole_seconds(url, name, default, max);
        let options = Self {
            region: region.to_owned(),
            endpoint: url.option("endpoint").map(|endpoint| endpoint.trim_end_matches('/').to_owned()),
            fifo: url.switch("fifo", false)?,
            lease: seconds_of("lease", LEASE, LEASE_TOTAL_MAX)?,
            wait: seconds_of("wait", WAIT, WAIT_MAX)?,
            poll_count_max: url.number("polls", POLL_COUNT_MAX, 1..=100)?,
            receive_count_max: u32::try_from(url.number("receive_count_max", RECEIVE_COUNT_MAX as usize, 1..=1_000)?)
                .unwrap_or(RECEIVE_COUNT_MAX),
            message_bytes_max: url.number("message_bytes_max", MESSAGE_BYTES_MAX, 1..=MESSAGE_BYTES_MAX_MAX)?,
        };
        options.check_endpoint(url.switch("allow_plaintext", false)?)?;
        Ok(options)
    }

    fn check_endpoint(&self, may_be_plain: bool) -> Result<()> {
        let Some(endpoint) = &self.endpoint else { return Ok(()) };
        if endpoint.contains('@') {
            // Not named: it may hold a password.
            let text = "credentials do not belong into `endpoint`; write http://host:port and set AWS_ACCESS_KEY_ID and the like";
            return Err(invalid(text));
        }
        if endpoint.starts_with("https://") {
            return Ok(());
        }
        if !endpoint.starts_with("http://") {
            return Err(invalid(format!(
                "`endpoint={endpoint}` has no scheme; write http://127.0.0.1:4566 or https://…"
            )));
        }
        if self.is_loopback() || may_be_plain {
            return Ok(());
        }
        let text =
            "messages and signatures would cross the network unencrypted; use https:// or add allow_plaintext=on";
        Err(invalid(text).with("endpoint", endpoint))
    }

    /// Whether every call stays on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let Some(rest) = self.endpoint.as_deref().and_then(|endpoint| endpoint.split_once("://")) else { return false };
        let authority = rest.1.split('/').next().unwrap_or_default();
        // What follows the last colon is the port, unless that colon is within an IPv6 address.
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, port)| if port.ends_with(']') { authority } else { host });
        is_loopback(host)
    }
}

/// `xx-word(-word)*-digit`: the form of every region's name, such as us-gov-west-1.
fn is_region(text: &str) -> bool {
    let mut parts = text.split('-');
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let (Some(first), Some(last)) = (parts.next(), parts.next_back()) else { return false };
    let words: Vec<&str> = parts.collect();
    is_word(first)
        && !words.is_empty()
        && words.into_iter().all(is_word)
        && !last.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// SQS knows whole seconds only.
fn whole_seconds(url: &BusUrl, name: &str, default: Duration, max: Duration) -> Result<Duration> {
    url.read(name, default, |text| {
        let found = span(text).filter(|span| span.subsec_nanos() == 0 && !span.is_zero() && *span <= max);
        found.ok_or_else(|| format!("whole seconds up to {} s, such as 30s or 5m", max.as_secs()))
    })
}

fn invalid(text: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "bus url", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(url: &str) -> Result<SqsOptions> {
        SqsOptions::of(&BusUrl::parse(url).expect("a URL"))
    }

    #[test]
    fn a_url_sets_every_option() {
        let url = "sqs://us-gov-west-1?endpoint=http://127.0.0.1:4566/&fifo=on&lease=2m&wait=3s&polls=4\
                   &receive_count_max=50&message_bytes_max=1000";
        let expected = SqsOptions {
            region: "us-gov-west-1".to_owned(),
            endpoint: Some("http://127.0.0.1:4566".to_owned()),
            fifo: true,
            lease: Duration::from_secs(120),
            wait: Duration::from_secs(3),
            poll_count_max: 4,
            receive_count_max: 50,
            message_bytes_max: 1_000,
        };
        assert_eq!(options(url).expect("legal"), expected);
    }

    #[test]
    fn a_bad_url_says_what_to_write() {
        for (url, hint) in [
            ("sqs://Seoul", "no AWS region"),
            ("sqs://", "no AWS region"),
            ("sqs://me:secret@ap-northeast-2", "do not belong into the URL"),
            ("sqs://ap-northeast-2/queue", "has no path"),
            ("sqs://ap-northeast-2?fifo=yes", "use `on` or `off`"),
            ("sqs://ap-northeast-2?wait=21s", "up to 20 s"),
            ("sqs://ap-northeast-2?lease=500ms", "whole seconds"),
            ("sqs://ap-northeast-2?endpoint=127.0.0.1:4566", "has no scheme"),
            ("sqs://ap-northeast-2?endpoint=http://broker:4566", "allow_plaintext=on"),
            ("sqs://ap-northeast-2?endpoint=http://localhost:secret@broker", "do not belong into `endpoint`"),
            ("sqs://ap-northeast-2?message_bytes_max=1048576", "from 1 to 720896"),
            ("sqs://ap-northeast-2?polls=0", "from 1 to 100"),
            ("sqs://ap-northeast-2?fivo=on", "did you mean `fifo`?"),
        ] {
            let error = options(url).expect_err(url).to_string();
            assert!(error.contains(hint), "{url}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn loopback_is_told_by_its_address() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4566", true),
            ("http://localhost:4566", true),
            ("http://[::1]:4566", true),
            ("https://127.0.0.1.example.com", false),
        ] {
            let url = format!("sqs://eu-west-1?endpoint={endpoint}");
            assert_eq!(options(&url).expect("legal").is_loopback(), expected, "{endpoint}");
        }
    }
}
