//! What publishing to a bucket costs: requests, bytes and seconds of a first publish, after one change and with no change.
//!
//! The packages are empty, their control fields those of Debian's own. With DDB_SLOW=1 there are 5,000 of them and the numbers
//! are of interest; without it there are few, and what counts is that the requests do not depend on how many there are.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use crate::sandbox::{Sandbox, Value, cache};
use crate::seaweed::{self, Seaweed, WRITER};
use crate::specimens;
use crate::stopped::now;

/// Writes .debs with the control fields of packages of Debian's main, under other names where so many are not in the corpus.
fn debs(sandbox: &Sandbox, folder: &str, count: usize) {
    let text = std::fs::read_to_string(cache("corpus/Packages.main")).unwrap();
    let paragraphs: Vec<&str> = text.split("\n\n").filter(|paragraph| paragraph.contains("\nVersion: ")).collect();
    let dropped = ["Package", "Source", "Filename", "Size", "MD5sum", "SHA1", "SHA256", "SHA512", "Description-md5", "Tag"];
    for number in 0..count {
        let paragraph = paragraphs[number % paragraphs.len()];
        let field = |name: &str| paragraph.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap();
        let package = format!("{}-{number}", field("Package"));
        let mut control = format!("Package: {package}\n");
        let mut keeps = true;
        for line in paragraph.lines() {
            keeps = if line.starts_with(' ') { keeps } else { !dropped.iter().any(|name| line.starts_with(&format!("{name}:"))) };
            if keeps {
                control.push_str(&format!("{line}\n"));
            }
        }
        let version = field("Version").split_once(':').map_or(field("Version"), |(_, rest)| rest);
        sandbox.write(format!("{folder}/{package}_{version}_{}.deb", field("Architecture")), specimens::deb(control));
    }
}

#[expect(clippy::print_stderr, reason = "the numbers are for whoever runs this test alone")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Runs a command and says what it cost.
fn measured(what: &str, run: impl FnOnce() -> Value) -> Value {
    let began = Instant::now();
    let answer = run();
    let seconds = began.elapsed().as_secs_f32();
    let requests = if answer["suites"].is_array() { &answer["suites"][0]["requests"] } else { &answer["requests"] };
    let count = |kind: &str| requests[kind].as_u64().unwrap();
    say(&format!(
        "{what:32} {:6} reads {:6} writes {:6} copies {:4} removals {:10} bytes sent {:10} received {seconds:7.2} s",
        count("reads"),
        count("writes"),
        count("copies"),
        count("removals"),
        count("bytes-sent"),
        count("bytes-received")
    ));
    requests.clone()
}

fn total(requests: &Value) -> u64 {
    ["reads", "writes", "copies", "removals", "listings"].iter().map(|kind| requests[kind].as_u64().unwrap()).sum()
}

#[test]
fn the_cost_of_a_publish_is_that_of_what_changed() {
    let count = if std::env::var_os("DDB_SLOW").is_some() { 5000 } else { 60 };
    for mode in ["pool", "direct"] {
        let mut sandbox = Sandbox::with_archive();
        seaweed::give(&mut sandbox, WRITER);
        let bucket = Seaweed::shared().bucket(&format!("costs-{mode}"));
        let tables = bucket.table("store.s3", "deb/lfs/objects") + &bucket.table("target.s3", "deb");
        specimens::configure(&sandbox, "", &format!("{tables}\n[target]\nmode = \"{mode}\"\n"));
        debs(&sandbox, "out", count);
        // Date moves by seconds; a clock that runs faster spares the wait.
        let clock = AtomicI64::new(now());
        let publish = |more: &[&str]| {
            let time = format!("@{}", clock.fetch_add(60, Ordering::SeqCst));
            sandbox.dists_at(&time, &[&["--json"], more].concat()).ok().json()
        };
        measured(&format!("{mode}: deploy of {count}"), || sandbox.commit("out", &["--json"]).ok().json());
        let first = measured(&format!("{mode}: first publish of {count}"), || publish(&[]));
        // An object is looked for once and, for a pool, copied once. Beside that only indices, and the blocks that they are made
        // of, which are kept for snapshots.
        assert!(total(&first) <= 2 * count as u64 + 120, "{first}");
        let none = measured(&format!("{mode}: no change"), || publish(&[]));
        assert_eq!(total(&none), 1);
        sandbox.deb("more", "one-more", "1.0", "amd64", "");
        measured(&format!("{mode}: deploy of one"), || sandbox.commit("more", &["--json"]).ok().json());
        let one = measured(&format!("{mode}: one change"), || publish(&[]));
        assert!(total(&one) <= 40, "{one}");
        let text = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
        std::fs::write(sandbox.archive().join("ddb.toml"), text + "\n[suites.copy]\narchitectures = [\"amd64\", \"arm64\"]\n").unwrap();
        sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
        let copy = measured(&format!("{mode}: a copy of the suite"), || {
            let time = format!("@{}", clock.fetch_add(60, Ordering::SeqCst));
            let answer = sandbox.publish(&["--now", &time, "-C", "archive", "promote", "trixie", "copy", "--all", "--json"]).ok().json();
            answer["published"].clone()
        });
        // No file of the pool is looked at.
        assert!(total(&copy) <= 40, "{copy}");
        let all = measured(&format!("{mode}: --repair"), || publish(&["--repair"]));
        assert!(total(&all) <= count as u64 + 60, "{all}");
    }
}
