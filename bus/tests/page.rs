//! The page for backend authors shows the toy backend, in the same words.

use std::fs;
use std::path::Path;

/// The visible text of each code block: what rustdoc hides begins with `# `.
fn blocks(page: &str) -> Vec<String> {
    let inside = page.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let visible =
        |block: &str| block.lines().filter(|line| !line.starts_with("# ")).map(|line| format!("{line}\n")).collect();
    inside.map(visible).collect()
}

#[test]
fn the_page_shows_every_file_of_the_toy_backend_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/writing-a-backend.md")).expect("the page");
    let blocks = blocks(&page);
    let mut count = 0;
    for entry in fs::read_dir(root.join("tests/toy_backend")).expect("the toy") {
        let path = entry.expect("readable").path();
        let text = fs::read_to_string(&path).expect("UTF-8");
        assert!(blocks.contains(&text), "{} and the page differ: copy the file into its block", path.display());
        count += 1;
    }
    assert_eq!(count, 9, "the silhouette, the broker and the harness");
}
