//! Plans that once failed, replayed for ever: each file of `plans` says what was wrong then.

use std::fs;
use std::path::{Path, PathBuf};

use simulator::orders::KeptPlan;

fn plans() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let entries = fs::read_dir(folder).expect("the folder of plans");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths
}

#[test]
fn what_was_found_once_stays_mended_and_still_happens() {
    let plans = plans();
    assert!(plans.len() >= 2, "{plans:?}");
    for path in plans {
        let name = path.display();
        let kept = KeptPlan::read(&path).unwrap_or_else(|error| panic!("{name}: stale plan: {error}"));
        assert!(kept.about.len() > 20, "{name}: say what was wrong");
        assert_eq!(kept.bug, None, "{name}: the services are honest");
        let report = kept
            .replay(false)
            .unwrap_or_else(|stale| panic!("{name}: {stale}; find it again, or drop it with a reason"));
        assert_eq!(report.failure(), None, "{name}: {}", kept.about);
        assert!(report.work.accepted > 0, "{name}: without an order it shows nothing");
    }
}
