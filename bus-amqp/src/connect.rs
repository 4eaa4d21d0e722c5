//! Connections: how one is made, and the one that consumers and questions share.

use std::pin::pin;
use std::sync::Arc;

use bus::{ClockExt, Error, ErrorKind, Result, Seams};
use futures_util::StreamExt;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Channel, Connection, ConnectionProperties};
use secrecy::ExposeSecret;
use tokio::sync::futures::Notified;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinSet;

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
    current: Mutex<Option<Dialled>>,
    /// Something happened to a connection, or it was replaced.
    happened: Arc<Notify>,
}

/// A connection, and the task that passes on its events. The client shares them out among its
/// listeners, so that each goes to one of them; but everybody who holds something wants to know.
struct Dialled {
    connection: Arc<Connection>,
    _listening: JoinSet<()>,
}

impl Dialled {
    fn new(connection: Connection, happened: Arc<Notify>) -> Self {
        let events = connection.events_listener();
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            let mut events = pin!(events);
            while events.next().await.is_some() {
                happened.notify_waiters();
            }
        });
        Self { connection: Arc::new(connection), _listening: listening }
    }
}

/// A channel, and the connection it is on.
pub(crate) struct Line {
    pub(crate) channel: Channel,
    connection: Arc<Connection>,
}

impl Line {
    /// Whether nobody has closed it. The client tells of a lost connection before it has told the
    /// channels on it, hence both.
    pub(crate) fn is_open(&self) -> bool {
        self.connection.status().connected() && self.channel.status().connected()
    }
}

impl Link {
    pub(crate) fn new(options: AmqpOptions, seams: Seams, traffic: Arc<Traffic>) -> Self {
        Self { options, seams, traffic, current: Mutex::default(), happened: Arc::default() }
    }

    /// A new channel: an error closes a channel, so each question has its own.
    pub(crate) async fn channel(&self, operation: &'static str) -> Result<Channel> {
        Ok(self.line(operation).await?.channel)
    }

    /// A new channel that is held for longer.
    pub(crate) async fn line(&self, operation: &'static str) -> Result<Line> {
        let connection = self.connection().await?;
        let opening = self.seams.clock.timeout(self.options.timeout, connection.create_channel()).await;
        match opening {
            Some(Ok(channel)) => Ok(Line { channel, connection }),
            Some(Err(failure)) => Err(told(&failure, operation)),
            None => Err(timed_out(operation, "RabbitMQ did not open a channel in time")),
        }
    }

    async fn connection(&self) -> Result<Arc<Connection>> {
        // One at a time: whoever waits finds the connection the first one made.
        let mut current = self.current.lock().await;
        if let Some(dialled) = current.as_ref().filter(|dialled| dialled.connection.status().connected()) {
            return Ok(Arc::clone(&dialled.connection));
        }
        *current = None;
        // Its last events may not have been passed on.
        self.happened.notify_waiters();
        match dial(&self.options, &self.seams, Purpose::Consume).await {
            Ok(connection) => {
                self.traffic.serves(Purpose::Consume);
                let dialled = Dialled::new(connection, Arc::clone(&self.happened));
                Ok(Arc::clone(&current.insert(dialled).connection))
            }
            Err(error) => {
                self.traffic.troubled(Purpose::Consume, &error);
                Err(error)
            }
        }
    }

    /// Waits until something happens to a connection, from when this is called: to be called before the
    /// look at what may have happened.
    pub(crate) fn happens(&self) -> Notified<'_> {
        self.happened.notified()
    }

    /// Says so when the connection is gone, rather than one channel on it.
    pub(crate) async fn note_loss(&self, error: &Error) {
        let current = self.current.lock().await;
        if current.as_ref().is_some_and(|dialled| !dialled.connection.status().connected()) {
            self.traffic.troubled(Purpose::Consume, error);
        }
    }

    /// Lets go of the connection: it ends with the last channel that is held on it. One that is being
    /// made right now ends with the link.
    pub(crate) fn abandon(&self) {
        if let Ok(mut current) = self.current.try_lock() {
            *current = None;
        }
    }

    /// Ends the connection politely.
    pub(crate) async fn close(&self) {
        let dialled = self.current.lock().await.take();
        if let Some(Dialled { connection, .. }) = dialled {
            // What is already gone needs no goodbye.
            let _ = connection.close(200, "closed".into()).await;
        }
    }
}
