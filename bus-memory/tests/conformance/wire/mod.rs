//! A bus behind a connection: it can be cut and stalled, and its broker can be killed.
//!
//! The broker is a memory bus. Between it and the client lies a line on which calls take their time in
//! both directions; what breaks it finds each call on its way there, at the broker or on its way back.

mod client;
mod line;
mod receiver;
mod session;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bus::conformance::{Harness, Outages, Time};
use bus::{Bus, BusUrl, ClockExt, Result, Seams};
use bus_memory::MemoryOptions;

use client::Client;
use line::Line;

pub(crate) const PASSWORD: &str = "s3cr3t-of-the-wire";
/// How long a broker takes to start again.
const RESTART: Duration = Duration::from_secs(5);
/// How long a client waits before it connects once more.
const RECONNECT: Duration = Duration::from_millis(200);

/// One broker, and what becomes of its memory when it is killed.
pub(crate) struct Wire {
    options: MemoryOptions,
    forgets: bool,
    line: OnceLock<Arc<Line>>,
}

impl Wire {
    /// A broker that keeps what it accepted.
    pub(crate) fn with(options: MemoryOptions) -> Self {
        Self { options, forgets: false, line: OnceLock::new() }
    }

    /// A broker that starts empty after it was killed.
    pub(crate) fn forgetting(options: MemoryOptions) -> Self {
        Self { forgets: true, ..Self::with(options) }
    }

    fn line(&self) -> &Line {
        self.line.get().expect("a case connects first")
    }
}

#[async_trait]
impl Harness for Wire {
    fn time(&self) -> Time {
        Time::Virtual
    }

    async fn connect(&self, seams: &Seams) -> Result<Arc<dyn Bus>> {
        let line = self.line.get_or_init(|| Line::new(seams.clone(), self.options.clone(), self.forgets));
        let url = BusUrl::parse(&format!("wire://orders:{PASSWORD}@broker.example"))?;
        Ok(Arc::new(Client::new(url, Arc::clone(line))))
    }

    fn outages(&self) -> Option<&dyn Outages> {
        Some(self)
    }

    fn secrets(&self) -> &'static [&'static str] {
        &[PASSWORD]
    }

    fn api_call_count(&self) -> Option<u64> {
        self.line.get().map_or(Some(0), |line| Some(line.call_count()))
    }

    fn api_calls_per_message_max(&self) -> f64 {
        0.05
    }
}

#[async_trait]
impl Outages for Wire {
    fn state_survives_kill(&self) -> bool {
        !self.forgets
    }

    async fn kill_and_restart(&self) {
        self.line().break_connections(RESTART);
        if self.forgets {
            self.line().forget();
        }
        self.line().seams.clock.sleep(RESTART).await;
    }

    async fn cut(&self) {
        self.line().break_connections(RECONNECT);
    }

    async fn stall(&self, span: Duration) {
        self.line().stall(span);
        self.line().seams.clock.sleep(span).await;
    }
}
