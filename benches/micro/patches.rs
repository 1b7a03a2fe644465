//! What a patch (pdiff) of an index costs: finding what changed in a block and in a whole index, writing the script.

use ddb::formats::pdiff::{ed, paragraph_edits};
use ddb::words::deb822::paragraphs;

use super::timer::Bench;

/// Measures patches after one change, found in a block as a publish does and in the whole index, and after a thousand.
pub fn measure(bench: &Bench, index: &str) {
    let count = paragraphs(index).count();
    let block: String =
        paragraphs(index).skip(count / 2).take(count / 60).map(|paragraph| format!("{}\n\n", paragraph.trim_end())).collect();
    for (title, old, every) in [
        ("pdiff: one change in a block", block.as_str(), count),
        ("pdiff: one change in the whole index", index, count),
        ("pdiff: 1,000 changes in the whole index", index, count.div_ceil(1000)),
    ] {
        if bench.wants(title) {
            let new = changed(old, every);
            let megabytes = (old.len() as f64 / 1e6, "MB");
            bench.measure(title, megabytes, || (), |()| ed::to_ed(&paragraph_edits(old, &new, 0)).unwrap().len());
        }
    }
}

/// The text with another version in its first paragraph and then in one of so many.
fn changed(text: &str, every: usize) -> String {
    let newer = |paragraph: &str| paragraph.replacen("\nVersion: ", "\nVersion: 1:", 1);
    let paragraph = |(at, paragraph): (usize, &str)| {
        let paragraph = paragraph.trim_end();
        format!("{}\n\n", if at % every == 0 { newer(paragraph) } else { paragraph.to_owned() })
    };
    paragraphs(text).enumerate().map(paragraph).collect()
}
