//! HTTP between the services and from customers, without sockets and with what goes wrong on the way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bus::ClockExt;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use services::consumer::producer_api::Transport;
use services::http::{Edge, in_process};

use super::fault::Fault;
use super::tally::Tally;
use super::trouble::Trouble;
use crate::gate::Gate;
use crate::node::Life;

/// How long a caller waits for an answer that does not come.
const PATIENCE: Duration = Duration::from_secs(5);

type Answer = Result<Response<Bytes>, String>;

/// The listeners of both services. Clones are the same network.
#[derive(Clone)]
pub(super) struct Network {
    listeners: Arc<Mutex<Listeners>>,
    trouble: Trouble,
    clock: Arc<dyn bus::Clock>,
    partitions: Arc<Vec<(Duration, Duration)>>,
}

#[derive(Default)]
struct Listeners {
    producer: Option<(Edge, Life)>,
    consumer: Option<(Edge, Life)>,
    /// The last answer to each question.
    remembered: BTreeMap<String, (StatusCode, Bytes)>,
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    pub(super) fn new(trouble: &Trouble, clock: Arc<dyn bus::Clock>) -> Self {
        let partitions = Arc::new(trouble.times(Fault::HttpPartition));
        Self { listeners: Arc::default(), trouble: trouble.clone(), clock, partitions }
    }

    pub(super) fn listen(&self, is_consumer: bool, edge: Edge, life: &Life) {
        let mut listeners = self.listeners();
        let place = if is_consumer { &mut listeners.consumer } else { &mut listeners.producer };
        *place = Some((edge, life.clone()));
    }

    pub(super) fn hang_up(&self, is_consumer: bool) {
        let mut listeners = self.listeners();
        let place = if is_consumer { &mut listeners.consumer } else { &mut listeners.producer };
        let gone = place.take();
        drop(listeners);
        drop(gone);
    }

    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a service without anything on the way.
    pub(super) async fn reach(&self, is_consumer: bool, request: Request<Bytes>) -> Answer {
        let listener = {
            let listeners = self.listeners();
            if is_consumer { listeners.consumer.clone() } else { listeners.producer.clone() }
        };
        let Some((edge, life)) = listener else { return Err("connection refused".to_owned()) };
        // In a box: whoever calls has several of these.
        let answer = life.while_it_lasts(Box::pin(in_process::call(&edge, request))).await;
        answer.ok_or_else(|| "connection reset".to_owned())
    }

    /// Calls the producer over a network on which things go wrong.
    pub(super) async fn call_producer(&self, request: Request<Bytes>) -> Answer {
        let name = name_of(&request);
        if self.trouble.strikes(Fault::HttpRefused, &name) {
            return Err("connection refused".to_owned());
        }
        self.trouble.wait(Fault::HttpSlow, &name).await;
        if self.trouble.strikes(Fault::HttpRequestLost, &name) {
            return self.no_answer().await;
        }
        if self.trouble.strikes(Fault::HttpServerError, &name) {
            return Ok(answer(StatusCode::BAD_GATEWAY, Bytes::from_static(b"bad gateway")));
        }
        if request.method() == Method::GET {
            let remembered = self.listeners().remembered.get(&name).cloned();
            if let Some((status, body)) = remembered
                && self.trouble.strikes(Fault::HttpStale, &name)
            {
                return Ok(answer(status, body));
            }
        }
        if self.trouble.strikes(Fault::HttpDuplicate, &name) {
            let first = self.reach(false, copy(&request)).await;
            drop(first);
        }
        let is_get = request.method() == Method::GET;
        let response = self.reach(false, request).await?;
        if is_get {
            let kept = (response.status(), response.body().clone());
            self.listeners().remembered.insert(name.clone(), kept);
        }
        if self.is_partitioned(&name) || self.trouble.strikes(Fault::HttpResponseLost, &name) {
            return self.no_answer().await;
        }
        Ok(response)
    }

    fn is_partitioned(&self, name: &str) -> bool {
        let now = self.clock.now().since_origin();
        let is_cut = self.partitions.iter().any(|(at, length)| (*at..*at + *length).contains(&now));
        if is_cut {
            self.trouble.note(Fault::HttpPartition, name);
        }
        is_cut
    }

    async fn no_answer(&self) -> Answer {
        self.clock.sleep(PATIENCE).await;
        Err("no answer".to_owned())
    }
}

/// What a call is to the dice: the same for every repetition of it, and for no other.
fn name_of(request: &Request<Bytes>) -> String {
    let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
    let name = format!("{} {}", request.method(), request.uri());
    key.map_or_else(|| name.clone(), |key| format!("{name} {key}"))
}

fn copy(request: &Request<Bytes>) -> Request<Bytes> {
    let mut copy = Request::new(request.body().clone());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn answer(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// The consumer's line to the producer.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) network: Network,
    pub(super) gate: Gate,
    pub(super) life: Life,
    pub(super) tally: Tally,
}

#[async_trait]
impl Transport for Line {
    async fn send(&self, request: Request<Bytes>) -> Answer {
        self.tally.work().http_calls += 1;
        let name = format!("{} {}", request.method(), request.uri().path());
        let answer = self.gate.call(&self.life, "http", &name, self.network.call_producer(request)).await;
        self.gate.tell("asked", || {
            let answered = match &answer {
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(why) => why.clone(),
            };
            [self.network.trouble.script().stable(&name), answered]
        });
        answer
    }
}
