//! `/livez` and `/readyz`: is the process running, and can it do its work.

use std::fmt;
use std::sync::Arc;

use http::StatusCode;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::problem::{PROBLEM_JSON, Problem};
use super::resource::{Answer, Resource};
use super::respond;

/// What the application can say about its own dependencies, check by check, in the order given.
///
/// Ready means that every check is; without checks it is ready.
#[derive(Debug, Default)]
pub struct Readiness {
    checks: Vec<(&'static str, Check)>,
}

#[derive(Debug, Serialize)]
struct Check {
    ok: bool,
    detail: String,
}

impl Readiness {
    /// Nothing checked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check: `Ok` and `Err` both say in a few words how it stands.
    #[must_use]
    pub fn check<D, E>(mut self, name: &'static str, outcome: Result<D, E>) -> Self
    where
        D: fmt::Display,
        E: fmt::Display,
    {
        let check = match outcome {
            Ok(detail) => Check { ok: true, detail: detail.to_string() },
            Err(detail) => Check { ok: false, detail: detail.to_string() },
        };
        self.checks.push((name, check));
        self
    }

    /// Whether every check is ok.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.checks.iter().all(|(_, check)| check.ok)
    }
}

impl Serialize for Readiness {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Checks<'a>(&'a [(&'static str, Check)]);
        impl Serialize for Checks<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, check)| (name, check)))
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("ready", &self.is_ready())?;
        map.serialize_entry("checks", &Checks(&self.checks))?;
        map.end()
    }
}

/// `GET /livez`: 200 as long as the process answers at all; it touches neither broker nor disk.
#[must_use]
pub fn livez<S: Send + Sync + 'static>() -> Resource<S> {
    let alive = |_, _| async { Ok(respond::text(StatusCode::OK, "alive\n")) };
    Resource::at("/livez").get(alive).uncapped()
}

/// A problem document that carries the readiness as its extension members (RFC 9457, section 3.2).
#[derive(Serialize)]
struct NotReady {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten)]
    readiness: Readiness,
}

/// `GET /readyz`: 200 with `ready` and `checks` when every check of `readiness` is ok, otherwise a 503
/// problem with the same two members.
///
/// `readiness` is asked for each request; it bounds its own waiting.
#[must_use]
pub fn readyz<S, H, F>(readiness: H) -> Resource<S>
where
    S: Send + Sync + 'static,
    H: Fn(Arc<S>) -> F + Send + Sync + 'static,
    F: Future<Output = Readiness> + Send + 'static,
{
    let handler = move |state, _| {
        let readiness = readiness(state);
        async move { shown(readiness.await) }
    };
    Resource::at("/readyz").get(handler).uncapped()
}

fn shown(readiness: Readiness) -> Answer {
    if readiness.is_ready() {
        return respond::json(StatusCode::OK, &readiness);
    }
    let failing = readiness.checks.iter().filter(|(_, check)| !check.ok);
    let failing: Vec<&str> = failing.map(|(name, _)| *name).collect();
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let problem = NotReady {
        r#type: "/problems/not-ready",
        title: "Not ready",
        status: status.as_u16(),
        detail: format!("not ready: {}", failing.join(", ")),
        readiness,
    };
    let body = serde_json::to_vec(&problem).map_err(Problem::internal)?;
    Ok(respond::typed(status, PROBLEM_JSON, body.into()))
}
