//! Kafka's traps, each sprung on purpose on librdkafka's mock cluster.

mod cluster;
mod log;
mod quick;

mod delays;
mod foreign_headers;
mod partitions;
mod pressure;
mod producer;
mod retries;
