//! `ddb-publish monitor` against real Sigsum logs, logs that lie, tiles, sites and Git histories that somebody attacks: each attack is
//! mounted, and each is named.

mod bases;
mod bundles;
mod git;
mod keyless;
mod known;
mod liar;
mod limits;
mod logs;
mod lying;
mod pushers;
mod sites;
mod tiles;

use crate::sandbox::{Run, Sandbox};

/// Looks once, at the archive's published folder, with a state of its own.
fn monitor(sandbox: &Sandbox, more: &[&str]) -> Run {
    monitor_at(sandbox, "archive/public", more)
}

fn monitor_at(sandbox: &Sandbox, site: &str, more: &[&str]) -> Run {
    let state: &[&str] = if more.contains(&"--state") { &[] } else { &["--state", "monitor.json"] };
    let more = [state, more].concat();
    sandbox.publish(&[&["-C", "archive", "monitor", "--json", "--site", site], first(sandbox, &more), &more].concat())
}

/// Says that nothing was seen before, where that is so.
fn first(sandbox: &Sandbox, options: &[&str]) -> &'static [&'static str] {
    let at = options.iter().position(|option| *option == "--state").unwrap();
    if sandbox.path(options[at + 1]).exists() { &[] } else { &["--first"] }
}

/// The options that say of each alarm of a run that it is known.
fn known(run: &Run) -> Vec<String> {
    let answer = run.json();
    let names = answer["alarms"].as_array().unwrap().iter().map(|alarm| alarm["acknowledge"].as_str().unwrap().to_owned());
    names.flat_map(|name| ["--acknowledge".to_owned(), name]).collect()
}

/// Looks again, where the alarms of a run are said to be known.
fn acknowledging(sandbox: &Sandbox, site: &str, run: &Run, more: &[&str]) -> Run {
    let known = known(run);
    monitor_at(sandbox, site, &[&known.iter().map(String::as_str).collect::<Vec<_>>(), more].concat())
}

/// The kinds of findings in a list of the answer, in order.
fn kinds(run: &Run, list: &str) -> Vec<String> {
    let answer = run.json();
    answer[list].as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect()
}

/// The run, if it was an alarm of exactly these kinds.
#[track_caller]
fn alarms(run: Run, expected: &[&str]) -> Run {
    let run = run.exits(30);
    assert_eq!(kinds(&run, "alarms"), expected, "{}", run.out);
    run
}

/// The run, if there was no alarm and nothing unreachable, and these notes.
#[track_caller]
fn well(run: Run, notes: &[&str]) -> Run {
    let run = run.ok();
    assert_eq!((kinds(&run, "alarms"), kinds(&run, "unreachable")), (Vec::new(), Vec::new()), "{}", run.out);
    assert_eq!(kinds(&run, "notes"), notes, "{}", run.out);
    run
}

/// What a log's entry of the answer says.
fn log_of(run: &Run, field: &str) -> serde_json::Value {
    run.json()["logs"][0][field].clone()
}

fn state(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("monitor.json")).unwrap()
}

/// What is remembered of logs.
fn logs_kept(sandbox: &Sandbox) -> serde_json::Value {
    let state: serde_json::Value = serde_json::from_str(&state(sandbox)).unwrap();
    state["logs"].clone()
}

fn with_package() -> Sandbox {
    let sandbox = Sandbox::with_archive();
    sandbox.deb("out", "plain", "1.0-1", "amd64", "");
    sandbox.commit("out", &[]).ok();
    sandbox
}
