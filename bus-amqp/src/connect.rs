//! Connections: how one is made, and the one that consumers and questions share.

use std::sync::Arc;

use bus::{ClockExt, Error, ErrorKind, Result, Seams};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties, Event};
use secrecy::ExposeSecret;
use tokio::sync::Mutex;

use crate::config::AmqpOptions;
use crate::error::{timed_out, told};
use crate::traffic::{Purpose, Traffic};

/// Seconds after which a silent server counts as gone: a third of what the server would take.
const HEARTBEAT_SECONDS: u16 = 20;

/// Makes a connection. Recovery is not left to the client: an epoch of ours ends with each connection.
pub(crate) async fn dial(options: &AmqpOptions, seams: &Seams, purpose: Purpose) -> Result<Connection> {
    let properties = ConnectionProperties::default().with_connection_name(format!("bus {}", purpose.name()).into());
    let connecting = async {
        let tls = OwnedTLSConfig { identity: None, cert_chain: authority(options)? };
        let runtime = lapin::runtime::default_runtime().map_err(|failure| told(&failure, "connect"))?;
        let connection = Connection::connect_uri_with_config(uri(options), properties, tls, runtime).await;
        connection.map_err(|failure| told(&failure, "connect"))
    };
    // The client itself waits as long as the operating system does.
    let connected = seams.clock.timeout(options.timeout, connecting).await;
    let connected = connected.unwrap_or_else(|| Err(timed_out("connect", "RabbitMQ did not answer in time")));
    connected.map_err(|error| error.with("server", format_args!("{}:{}", options.host, options.port)))
}

/// It prints the password, so it lives for the call alone.
fn uri(options: &AmqpOptions) -> AMQPUri {
    AMQPUri {
        scheme: if options.tls { AMQPScheme::AMQPS } else { AMQPScheme::AMQP },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: options.user.clone(),
                password: options.password.expose_secret().to_owned(),
            },
            host: options.host.clone(),
            port: options.port,
        },
        vhost: options.vhost.clone(),
        query: AMQPQueryString { heartbeat: Some(HEARTBEAT_SECONDS), ..AMQPQueryString::default() },
    }
}

/// A few kilobytes, read once for each connection.
fn authority(options: &AmqpOptions) -> Result<Option<String>> {
    let Some(path) = &options.ca else { return Ok(None) };
    std::fs::read_to_string(path).map(Some).map_err(|error| {
        let text = "the certificate of `ca` cannot be read; it is a file in PEM";
        Error::new(ErrorKind::Invalid, "connect", text).with("ca", path.display()).caused_by(error)
    })
}

/// The connection that consumers and questions share; made when needed, and anew when it is gone.
pub(crate) struct Link {
    options: AmqpOptions,
    seams: Seams,
    traffic: Arc<Traffic>,
    current: Mutex<Option<Arc<Connection>>>,
}

impl Link {
    pub(crate) fn new(options: AmqpOptions, seams: Seams, traffic: Arc<Traffic>) -> Self {
        Self { options, seams, traffic, current: Mutex::default() }
    }

    /// A new channel: an error closes a channel, so each question has its own.
    pub(crate) async fn channel(&self, operation: &'static str) -> Result<Channel> {
        let connection = self.connection().await?;
        let opening = self.seams.clock.timeout(self.options.timeout, connection.create_channel()).await;
        match opening {
            Some(opened) => opened.map_err(|failure| told(&failure, operation)),
            None => Err(timed_out(operation, "RabbitMQ did not open a channel in time")),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>> {
        // One at a time: whoever waits finds the connection the first one made.
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_ref().filter(|connection| connection.status().connected()) {
            return Ok(Arc::clone(connection));
        }
        *current = None;
        match dial(&self.options, &self.seams, Purpose::Consume).await {
            Ok(connection) => {
                self.traffic.serves(Purpose::Consume);
                Ok(Arc::clone(current.insert(Arc::new(connection))))
            }
            Err(error) => {
                self.traffic.troubled(Purpose::Consume, &error);
                Err(error)
            }
        }
    }

    /// What happens to the connection there is.
    pub(crate) async fn events(&self) -> Option<BoxStream<'static, Event>> {
        let current = self.current.lock().await;
        current.as_ref().map(|connection| connection.events_listener().boxed())
    }

    /// Says so when the connection is gone, rather than one channel on it.
    pub(crate) async fn note_loss(&self, error: &Error) {
        let current = self.current.lock().await;
        if current.as_ref().is_some_and(|connection| !connection.status().connected()) {
            self.traffic.troubled(Purpose::Consume, error);
        }
    }

    /// Ends the connection politely.
    pub(crate) async fn close(&self) {
        let connection = self.current.lock().await.take();
        if let Some(connection) = connection {
            // What is already gone needs no goodbye.
            let _ = connection.close(200, "closed".into()).await;
        }
    }
}
