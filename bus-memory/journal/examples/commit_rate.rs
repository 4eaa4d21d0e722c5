//! How many durable commits a second this disk does: `cargo run --release -p journal --example
//! commit_rate [directory]`. Without a directory it uses a temporary one, which is often memory.

#![allow(clippy::disallowed_types, clippy::disallowed_methods, reason = "measures real time on real threads")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use journal::{Journal, Options, Write};
use tokio::task::JoinSet;

const MEASURED: Duration = Duration::from_secs(3);
const VALUE_BYTES: usize = 512;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let parent = std::env::args_os().nth(1).map_or_else(|| temporary.path().into(), PathBuf::from);
    println!("{:>5} {:>10} {:>9} {:>12}", "tasks", "commits/s", "syncs/s", "commits/sync");
    for task_count in [1, 64, 256] {
        let dir = tempfile::tempdir_in(&parent)?;
        measure(dir.path(), task_count).await?;
    }
    Ok(())
}

async fn measure(dir: &Path, task_count: u64) -> Result<(), Box<dyn Error>> {
    let journal = Journal::open(dir, Options::new("commit_rate"))?;
    let syncs_before = sync_count(dir)?;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..task_count {
        let journal = journal.clone();
        tasks.spawn(async move {
            let mut commit_count = 0_u64;
            while start.elapsed() < MEASURED {
                let key = [task.to_be_bytes(), commit_count.to_be_bytes()].concat();
                let change = move |_: &journal::View<'_>| {
                    let mut write = Write::new();
                    write.put(key, vec![0; VALUE_BYTES]);
                    (write, ())
                };
                journal.commit(change).await?;
                commit_count += 1;
            }
            Ok::<_, journal::Error>(commit_count)
        });
    }
    let mut commit_count = 0;
    while let Some(task) = tasks.join_next().await {
        commit_count += task??;
    }
    let seconds = start.elapsed().as_secs_f64();
    journal.close().await?;
    let syncs = sync_count(dir)? - syncs_before;
    println!(
        "{task_count:>5} {:>10.0} {:>9.0} {:>12.1}",
        commit_count as f64 / seconds,
        syncs as f64 / seconds,
        commit_count as f64 / syncs as f64,
    );
    Ok(())
}

/// The journal counts the groups it has synced in this file.
fn sync_count(dir: &Path) -> Result<u64, Box<dyn Error>> {
    let bytes = std::fs::read(dir.join("GROUPS"))?;
    Ok(u64::from_le_bytes(bytes.as_slice().try_into()?))
}
