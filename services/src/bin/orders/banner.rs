//! What a newcomer sees once everything listens.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use bus::BusUrl;

/// Most lines, so that the banner and the first log lines share a screen.
#[cfg(test)]
const LINES_MAX: usize = 15;
/// Most weaknesses on lines of their own.
const WEAKNESSES_MAX: usize = 4;

/// What runs where.
#[derive(Debug)]
pub(crate) struct Banner<'a> {
    /// Where the producer listens, if it runs here.
    pub(crate) producer: Option<SocketAddr>,
    /// Where the consumer listens, if it runs here.
    pub(crate) consumer: Option<SocketAddr>,
    /// The data directory.
    pub(crate) data: &'a Path,
    /// The bus; its secrets are masked when it is printed.
    pub(crate) bus: &'a BusUrl,
    /// What a stronger bus would give: `Capability::weaknesses()`.
    pub(crate) weaknesses: &'a [String],
}

/// The banner as text; print it only when both listeners are bound and serving.
pub(crate) fn render(banner: &Banner<'_>) -> String {
    let mut text = format!("orders {}\n", env!("CARGO_PKG_VERSION"));
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "  {name:<9} {value}");
    };
    let producer = banner.producer.map(url);
    let consumer = banner.consumer.map(url);
    if let Some(url) = &producer {
        row("producer", &format!("{url}/api/orders  {url}/readyz"));
    }
    if let Some(url) = &consumer {
        row("consumer", &format!("{url}/api/synced-orders  {url}/readyz"));
    }
    let pages: Vec<String> = producer.iter().chain(&consumer).map(|url| format!("{url}/metrics")).collect();
    row("metrics", &pages.join("  "));
    row("data", &banner.data.display().to_string());
    row("bus", &banner.bus.to_string());
    let (own, rest) = banner.weaknesses.split_at(banner.weaknesses.len().min(WEAKNESSES_MAX - 1));
    for weakness in own.iter().cloned().chain(Some(rest.join("; ")).filter(|rest| !rest.is_empty())) {
        row("", &format!("- {weakness}"));
    }
    text.push_str(&try_next(producer.as_deref(), consumer.as_deref()));
    text.push_str("stop: Ctrl-C drains and ends, a second one ends at once\n");
    text
}

/// The recorded request, or something to look at where only the consumer runs.
fn try_next(producer: Option<&str>, consumer: Option<&str>) -> String {
    match (producer, consumer) {
        (Some(producer), _) => format!(
            "try:  curl -X POST {producer}/api/orders -H 'Content-Type: application/json' \\\n        \
             -d '{{\"customerName\": \"동기화테스트\", \"productName\": \"SyncEventListener 검증\", \
             \"quantity\": 2, \"price\": \"45000.00\"}}'\n"
        ),
        (None, Some(consumer)) => format!("try:  curl {consumer}/api/processed-orders\n"),
        (None, None) => String::new(),
    }
}

/// A URL that answers on this machine: nobody can connect to "all addresses".
fn url(listening: SocketAddr) -> String {
    let ip = match listening.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(ip, listening.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(producer: Option<&str>, consumer: Option<&str>, weaknesses: &[&str]) -> String {
        let address = |text: &str| text.parse().expect("an address");
        let weaknesses: Vec<String> = weaknesses.iter().map(|text| (*text).to_owned()).collect();
        render(&Banner {
            producer: producer.map(address),
            consumer: consumer.map(address),
            data: Path::new("./data"),
            bus: &BusUrl::parse("amqp://me:hunter2@broker").expect("a URL"),
            weaknesses: &weaknesses,
        })
    }

    #[test]
    fn a_newcomer_sees_what_runs_where_and_what_to_try() {
        let text = rendered(Some("127.0.0.1:8080"), Some("127.0.0.1:8081"), &["only this process can receive"]);
        let expected = concat!(
            "orders ",
            env!("CARGO_PKG_VERSION"),
            r#"
  producer  http://127.0.0.1:8080/api/orders  http://127.0.0.1:8080/readyz
  consumer  http://127.0.0.1:8081/api/synced-orders  http://127.0.0.1:8081/readyz
  metrics   http://127.0.0.1:8080/metrics  http://127.0.0.1:8081/metrics
  data      ./data
  bus       amqp://me:***@broker
            - only this process can receive
try:  curl -X POST http://127.0.0.1:8080/api/orders -H 'Content-Type: application/json' \
        -d '{"customerName": "동기화테스트", "productName": "SyncEventListener 검증", "quantity": 2, "price": "45000.00"}'
stop: Ctrl-C drains and ends, a second one ends at once
"#
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn it_fits_beside_the_first_log_lines_however_weak_the_bus_is() {
        let text = rendered(Some("0.0.0.0:1"), Some("[::]:2"), &["a", "b", "c", "d", "e", "f"]);
        assert!(text.lines().count() <= LINES_MAX, "{text}");
        assert!(text.contains("- d; e; f\n"), "{text}");
        assert!(text.contains("http://127.0.0.1:1/") && text.contains("http://[::1]:2/"), "{text}");
    }

    #[test]
    fn one_side_alone_shows_its_own() {
        let text = rendered(None, Some("127.0.0.1:8081"), &[]);
        assert!(
            !text.contains("producer") && text.contains("curl http://127.0.0.1:8081/api/processed-orders"),
            "{text}"
        );
    }
}
