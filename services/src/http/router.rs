//! From a request to its answer: resource, guard, body, handler.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bus::Seams;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{ALLOW, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use tokio::sync::Semaphore;

use super::body::{self, Body};
use super::edge::Edge;
use super::metering::Metering;
use super::pattern::{self, Params};
use super::problem::{self, Problem};
use super::request::Request;
use super::resource::{Answer, Handler, Resource};
use super::respond::{self, Response};
use super::tracing::Tracing;

/// How many requests run at once unless [`Router::in_flight_max`] says otherwise.
pub const IN_FLIGHT_MAX: usize = 1_024;

/// What a client that met the cap is told to wait: long enough for a burst to pass.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The route table over the application's state.
///
/// The first resource whose pattern matches answers, so literals go before placeholders. An unknown
/// path is 404, an unknown method 405 with `Allow`; `HEAD` and `OPTIONS` come by themselves; a panic
/// in a handler is a 500 and a line in the log, and no other request notices.
pub struct Router<S> {
    state: Arc<S>,
    resources: Vec<Resource<S>>,
    in_flight: Semaphore,
    metering: Option<Metering>,
    tracing: Option<Tracing>,
}

/// A request before its body.
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
}

/// A resource and what its placeholders matched.
type Found<'a, S> = Result<(&'a Resource<S>, Params), Problem>;

struct Route<'a, S> {
    resource: &'a Resource<S>,
    /// `None` for `OPTIONS`, which the router answers itself.
    handler: Option<&'a Handler<S>>,
    params: Params,
}

impl<S: Send + Sync + 'static> Router<S> {
    /// A table without resources.
    #[must_use]
    pub fn new(state: Arc<S>) -> Self {
        Self { state, resources: Vec::new(), in_flight: Semaphore::new(IN_FLIGHT_MAX), metering: None, tracing: None }
    }

    /// Adds a resource.
    ///
    /// # Panics
    ///
    /// When another resource has the same paths: the second one could never answer.
    #[must_use]
    pub fn resource(mut self, resource: Resource<S>) -> Self {
        let taken = self.resources.iter().any(|known| known.pattern.same_paths(&resource.pattern));
        assert!(!taken, "two resources have the same paths");
        self.resources.push(resource);
        self
    }

    /// Answers 503 with `Retry-After` above this many handlers running at once.
    #[must_use]
    pub fn in_flight_max(mut self, count: usize) -> Self {
        self.in_flight = Semaphore::new(count);
        self
    }

    /// Counts and times every request.
    #[must_use]
    pub fn metered_by(mut self, metering: Metering) -> Self {
        self.metering = Some(metering);
        self
    }

    /// Gives every request its place in a trace (W3C Trace Context): what its handler causes continues the
    /// caller's trace, or the one that begins here. Those that answer [`uncapped`](Resource::uncapped) only
    /// watch, and are left out.
    #[must_use]
    pub fn traced_by(mut self, seams: Seams) -> Self {
        self.tracing = Some(Tracing { seams });
        self
    }

    /// The finished table as a service.
    #[must_use]
    pub fn into_edge(self) -> Edge {
        Edge::new(self)
    }

    /// The answer, whatever the request is: this never fails and never panics.
    pub(super) async fn answer(&self, head: Head, body: Body) -> Response {
        let found = self.find(&head.path);
        let resource = found.as_ref().ok().map(|(resource, _)| *resource);
        let route = resource.map(|resource| resource.pattern.text());
        let running = self.metering.as_ref().map(|metering| metering.begin(&head.method, route));
        let response = match (&self.tracing, resource.filter(|resource| resource.capped)) {
            (Some(tracing), Some(resource)) => {
                let entry = tracing.enter(&head.method, resource.pattern.text(), &head.headers);
                entry.around(Box::pin(self.respond(found, head, body))).await
            }
            _ => self.respond(found, head, body).await,
        };
        if let Some(running) = running {
            running.answered(response.status());
        }
        response
    }

    async fn respond(&self, found: Found<'_, S>, head: Head, body: Body) -> Response {
        let (method, path) = (head.method.clone(), head.path.clone());
        let outcome = match Self::route(found, &head) {
            Err(problem) => Err(unread(problem, &head.headers, body).await),
            Ok(route) => match body::receive(&head.headers, body).await {
                Err(problem) => Err(problem),
                Ok(body) => self.run(route, head, body).await,
            },
        };
        let mut response = outcome.unwrap_or_else(|problem| problem.at(&path).into_response());
        if method == Method::HEAD {
            strip_body(&mut response);
        }
        tracing::debug!(%method, path, status = response.status().as_u16(), "answered a request");
        response
    }

    /// The resource at this path.
    fn find<'a>(&'a self, path: &str) -> Found<'a, S> {
        let path = pattern::segments(path)?;
        let matching = |resource: &'a Resource<S>| Some((resource, resource.pattern.matches(&path)?));
        self.resources.iter().find_map(matching).ok_or_else(|| Problem::not_found("no such resource"))
    }

    /// Who answers this request, judged by its head alone.
    fn route<'a>(found: Found<'a, S>, head: &Head) -> Result<Route<'a, S>, Problem> {
        let (resource, params) = found?;
        if head.method == Method::OPTIONS {
            return Ok(Route { resource, handler: None, params });
        }
        let handler = resource.handler(&head.method);
        if handler.is_none() {
            return Err(Problem::method_not_allowed(&resource.allowed()));
        }
        if let Some(guard) = &resource.guard {
            guard.admit(&head.headers)?;
        }
        Ok(Route { resource, handler, params })
    }

    async fn run(&self, route: Route<'_, S>, head: Head, body: Bytes) -> Answer {
        let Some(handler) = route.handler else {
            return Ok(options(route.resource));
        };
        let _running = if route.resource.capped {
            let full = |_| Problem::overloaded("too many requests are running", RETRY_AFTER);
            Some(self.in_flight.try_acquire().map_err(full)?)
        } else {
            None
        };
        let Head { method, path, query, headers } = head;
        let request = Request { method, path, params: route.params, query, headers, body };
        let handled = async { handler(Arc::clone(&self.state), request).await };
        match AssertUnwindSafe(handled).catch_unwind().await {
            Ok(answer) => answer,
            Err(panic) => Err(Problem::internal(format_args!("panic: {}", message(&*panic)))),
        }
    }
}

/// The problem of a request whose body nobody needs: it is drained first, so that the client, which
/// may still be sending, can read the answer.
async fn unread(problem: Problem, headers: &HeaderMap, body: Body) -> Problem {
    if body::discard(headers, body).await { problem } else { problem.closing() }
}

fn options<S: Send + Sync + 'static>(resource: &Resource<S>) -> Response {
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(ALLOW, problem::allow(&resource.allowed()));
    response
}

/// What `HEAD` is answered: the head of the `GET`, its length included.
fn strip_body(response: &mut Response) {
    if let Some(bytes) = response.body().size_hint().exact() {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    *response.body_mut() = Response::default().into_body();
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
