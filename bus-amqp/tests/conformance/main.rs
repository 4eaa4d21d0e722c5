//! The contract, shown on a real server: RabbitMQ from `tests/brokers`, quorum and classic queues.

use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Harness, Suite, Time};
use bus::registry::Backend;
use bus::{Bus, BusUrl, Destination, Error, ErrorKind, Result, Seams};
use bus_amqp::AmqpBackend;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};

/// Of the user `conformance` (tests/broker-setup): a text that is nobody's name, to be found nowhere.
const PASSWORD: &str = "guest-s3cr3t";

/// One kind of queue on the server.
struct Amqp {
    server: String,
    options: &'static str,
}

#[async_trait]
impl Harness for Amqp {
    fn time(&self) -> Time {
        Time::Real { unit: Duration::from_millis(500), patience: Duration::from_secs(1) }
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let url = format!("amqp://conformance:{PASSWORD}@{}/%2f{}", self.server, self.options);
        AmqpBackend.open(&BusUrl::parse(&url)?, seams).await
    }

    fn secrets(&self) -> &'static [&'static str] {
        &[PASSWORD]
    }

    fn has_undecodable(&self) -> bool {
        true
    }

    /// A message id that is none.
    async fn publish_undecodable(&self, destination: &Destination, raw: &[u8]) -> Result<()> {
        let sent = async {
            let url = format!("amqp://{}/%2f", self.server);
            let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
            let channel = connection.create_channel().await?;
            channel.confirm_select(Default::default()).await?;
            let (queue, options) = (destination.as_str().into(), BasicPublishOptions::default());
            let properties = BasicProperties::default().with_message_id("\u{1}".into());
            channel.basic_publish("".into(), queue, options, raw, properties).await?.await?;
            connection.close(200, "sent".into()).await
        };
        let error = |failure: lapin::Error| Error::new(ErrorKind::Unavailable, "publish", failure.to_string());
        sent.await.map_err(error)
    }
}

fn main() -> ExitCode {
    let port = std::env::var("RABBITMQ_PORT").unwrap_or_else(|_| "5672".to_owned());
    let server = format!("127.0.0.1:{port}");
    let missing = TcpStream::connect(&server)
        .err()
        .map(|error| format!("no RabbitMQ on port {port} ({error}); run `tests/brokers up rabbitmq`, or tests/run"));
    let setting = |options: &'static str| {
        let server = server.clone();
        move || Amqp { server: server.clone(), options }
    };
    let suite = Suite::new().missing(missing).kept_in(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance"));
    suite.setting("quorum", setting("")).setting("classic", setting("?queue=classic")).main()
}
