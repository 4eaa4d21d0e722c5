//! HTTP without sockets: who listens, and what becomes of a call when somebody dies.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use services::consumer::producer_api::Transport;
use services::http::{Edge, in_process};

use super::{Life, Tripwire};

/// The listeners of both services. Clones are the same network.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<Listeners>>);

#[derive(Default)]
struct Listeners {
    producer: Option<(Edge, Life)>,
    consumer: Option<(Edge, Life)>,
    /// What lies between the consumer and the producer.
    between: Between,
}

/// What lies between the consumer and the producer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Between {
    /// Nothing: calls get through.
    #[default]
    Nothing,
    /// A closed port, though the producer runs.
    ClosedPort,
    /// A proxy that has lost its backend and answers 404 to everything.
    LostProxy,
    /// A cache that shows every order as it was accepted; changes get through.
    OldAnswers,
}

impl Network {
    pub(super) fn connect_producer(&self, edge: Edge, life: Life) {
        self.listeners().producer = Some((edge, life));
    }

    pub(super) fn disconnect_producer(&self) {
        self.listeners().producer = None;
    }

    pub(super) fn connect_consumer(&self, edge: Edge, life: Life) {
        self.listeners().consumer = Some((edge, life));
    }

    pub(super) fn disconnect_consumer(&self) {
        self.listeners().consumer = None;
    }

    /// Changes what the consumer meets on its way to the producer.
    pub fn put_between(&self, between: Between) {
        self.listeners().between = between;
    }

    pub(super) async fn call_producer(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let listener = self.listeners().producer.clone();
        call(listener, request).await
    }

    pub(super) async fn call_consumer(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let listener = self.listeners().consumer.clone();
        call(listener, request).await
    }

    fn listeners(&self) -> std::sync::MutexGuard<'_, Listeners> {
        self.0.lock().expect("no test panics while it holds this")
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

async fn call(listener: Option<(Edge, Life)>, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
    let Some((edge, life)) = listener else { return Err("connection refused".to_owned()) };
    let answer = life.while_it_lasts(in_process::call(&edge, request)).await;
    answer.ok_or_else(|| "connection reset".to_owned())
}

/// The consumer's line to the producer.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) network: Network,
    pub(super) life: Life,
    pub(super) tripwire: Tripwire,
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, String> {
        let between = self.network.listeners().between;
        let call = async {
            match between {
                Between::Nothing => self.network.call_producer(request).await,
                Between::OldAnswers => self.network.call_producer(request).await.map(as_accepted),
                Between::ClosedPort => Err("connection refused".to_owned()),
                Between::LostProxy => {
                    let mut answer = http::Response::new(Bytes::from_static(b"404 page not found"));
                    *answer.status_mut() = http::StatusCode::NOT_FOUND;
                    Ok(answer)
                }
            }
        };
        self.tripwire.call("http", &self.life, call).await
    }
}

/// The answer as it was before the first change, where it shows one order.
fn as_accepted(answer: http::Response<Bytes>) -> http::Response<Bytes> {
    let (head, body) = answer.into_parts();
    let body = match serde_json::from_slice::<serde_json::Value>(&body) {
        Ok(mut order) if order["orderNumber"].is_string() && head.status == http::StatusCode::OK => {
            order["status"] = "PENDING".into();
            order["version"] = 1.into();
            order.to_string().into()
        }
        _ => body,
    };
    http::Response::from_parts(head, body)
}
