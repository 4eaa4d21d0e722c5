//! What an operator sees: `GET /metrics` on both sides, in OpenMetrics text.
//!
//! A [`Page`] is put together by whoever composes a side: it counts what goes through the bus, through
//! handlers and over HTTP; [`Producer::show_on`](crate::producer::Producer::show_on),
//! [`Consumer::show_on`](crate::consumer::Consumer::show_on) and
//! [`JournaledStore::show_on`](crate::store::JournaledStore::show_on) add how they are doing. A side without a
//! page counts a few integers and nothing else.
//!
//! Each side shows its own, and only the consumer shows what the broker keeps, so sums over both are right.
//! Counters are current; what has to be looked up is looked up at most every 5 s, for 3 s at most, and is
//! absent while it is not known. Rows are counted up to 10,000.
//!
//! | family | type | labels | page |
//! |---|---|---|---|
//! | `orders_build_info` | info | `version`, `side`, `bus` | both |
//! | `process_start_time_seconds` | gauge | | both |
//! | `http_server_request_duration_seconds` | histogram | `method`, `route`, `status` | both |
//! | `http_server_active_requests` | gauge | | both |
//! | `orders_bus_state` | gauge | `state`: up, degraded, down | both |
//! | `orders_relay_up` | gauge | | both |
//! | `orders_store_up` | gauge | | both |
//! | `orders_store_commits_total` | counter | | both |
//! | `orders_store_syncs_total` | counter | | both |
//! | `orders_outbox_messages` | gauge | | both |
//! | `orders_outbox_oldest_age_seconds` | gauge | | both |
//! | `orders_outbox_parked_messages` | gauge | | both |
//! | `messaging_client_sent_messages_total` | counter | `destination`, `outcome` | both |
//! | `messaging_client_operation_duration_seconds` | histogram | `operation` | both |
//! | `orders_status_changes_total` | counter | `status`: PENDING when accepted, COMPLETED, FAILED, CANCELLED | producer |
//! | `orders_replayed_total` | counter | | producer |
//! | `orders_pending` | gauge | | producer |
//! | `orders_pending_oldest_age_seconds` | gauge | | producer |
//! | `messaging_client_consumed_messages_total` | counter | `destination`, `group` | consumer |
//! | `messaging_client_settlements_total` | counter | `destination`, `group`, `verdict`, `outcome` | consumer |
//! | `messaging_client_leases_lost_total` | counter | `destination`, `group` | consumer |
//! | `messaging_client_in_flight_messages` | gauge | `destination`, `group` | consumer |
//! | `messaging_process_duration_seconds` | histogram | `destination`, `group`, `outcome` | consumer |
//! | `messaging_process_handlers_running` | gauge | `destination`, `group` | consumer |
//! | `messaging_process_attempts` | histogram | `destination`, `group` | consumer |
//! | `messaging_process_delivery_lag_seconds` | histogram | `destination`, `group` | consumer |
//! | `messaging_depth_messages` | gauge | `destination`, its dead letters' too, `group`, `state` | consumer, where the bus counts |
//! | `messaging_partition_watermark` | gauge | `group`, `topic`, `partition` | consumer, on Kafka |
//! | `messaging_partition_watermark_age_seconds` | gauge | `group`, `topic`, `partition` | consumer, on Kafka |
//! | `messaging_partition_window_messages` | gauge | `group`, `topic`, `partition` | consumer, on Kafka |
//! | `orders_pipelines` | gauge | `destination`, `state`: starting, running, paused, `paused_by_hand`, draining, stopped | consumer |
//! | `orders_isolated_messages` | gauge | `destination` | consumer |
//! | `orders_processed_total` | counter | `status`: COMPLETED, FAILED | consumer |
//! | `orders_results_total` | counter | `answer`: applied, undone, foreign, contradicted | consumer |
//! | `orders_results_awaited` | gauge | | consumer |
//! | `orders_reconciler_runs_total` | counter | `outcome`: ok, failed | consumer |
//! | `orders_reconciler_checked_total` | counter | | consumer |
//! | `orders_reconciler_mended_total` | counter | `what`: copied, processed, resent | consumer |
//! | `orders_reconciler_last_success_timestamp_seconds` | gauge | | consumer, after the first |
//!
//! [`bus::metrics`] says more of the `messaging_` families. Worth an alert: `orders_pending_oldest_age_seconds`,
//! which grows whatever it is that stands still; a count in the `-dlq` depths; `orders_outbox_parked_messages` and
//! `orders_results_total{answer="contradicted"}` above zero, which need people.
//!
//! # Traces
//!
//! A request's `traceparent` goes with what it causes: over the outbox into the messages, through the handlers
//! and back to the producer. A request without one begins a trace. Spans are `tracing` spans at level `INFO`,
//! made where a subscriber wants them.

mod commits;
mod common;
mod depth;
mod page;
mod probe;
mod words;

pub use page::{CONTENT_TYPE, Page};

pub(crate) use common::{COUNTED_MAX, Common, age, count};
pub(crate) use probe::{Probe, Seen};
pub(crate) use words::Counters;
