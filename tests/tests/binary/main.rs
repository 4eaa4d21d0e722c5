//! What the real binary `orders` promises to whoever runs it.

mod asked_wrongly;
mod configuration;
mod dead_letters;
mod disagreement;
mod flow;
mod health;
mod metrics;
mod reconciling;
mod restart;
mod secrets;
mod shop;
mod sockets;
mod starting;
mod stopping;
