//! How far it is, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of `count` steps with the time or speed that `pace` names; hidden by itself where there is no
/// terminal.
pub(crate) fn bar(count: u64, pace: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {{{pace}}} {{msg}}"));
    ProgressBar::new(count).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
