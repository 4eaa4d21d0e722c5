//! `orders`: the order system on one bus.

mod configuration;
mod failure;
mod settings;

fn main() {
    let _ = configuration::load(configuration::Said::default(), std::path::Path::new("."));
}
