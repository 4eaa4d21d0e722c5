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
    /// The producer's port is closed to the consumer, though the producer runs.
    producer_cut_off: bool,
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

    /// Stops, or starts again, the producer's listener as the consumer sees it.
    pub fn cut_producer_off(&self, cut_off: bool) {
        self.listeners().producer_cut_off = cut_off;
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
        let cut_off = self.network.listeners().producer_cut_off;
        let call = async {
            if cut_off { Err("connection refused".to_owned()) } else { self.network.call_producer(request).await }
        };
        self.tripwire.call("http", &self.life, call).await
    }
}
