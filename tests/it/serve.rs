//! `ddb-publish serve` and `ddb-publish export`: what clients get over HTTP is what was published, now and in the past.

mod apt;
mod bucket;
mod export;
mod files;
mod hostile;
mod lfs;
mod lost;

use super::gateway::{Gateway, until};
use super::sandbox::Sandbox;

/// Publishes one more version of a package and returns the commit that was published and the Date of its Release.
fn publish(sandbox: &Sandbox, package: &str, version: &str) -> (String, String) {
    let out = format!("out-{package}-{version}");
    sandbox.deb(&out, package, version, "amd64", "");
    sandbox.commit(&out, &[]).ok();
    let answer = sandbox.dists(&["--json"]).ok().json();
    let suite = &answer["suites"][0];
    (suite["base"].as_str().unwrap().to_owned(), suite["date"].as_str().unwrap().to_owned())
}

/// Edits `ddb.toml` and commits it.
fn configure(sandbox: &Sandbox, edit: impl Fn(String) -> String) {
    let path = sandbox.archive().join("ddb.toml");
    std::fs::write(&path, edit(std::fs::read_to_string(&path).unwrap())).unwrap();
    sandbox.git(&["commit", "-q", "-a", "-m", "Configure."]).ok();
}

/// Waits until the gateway shows the Release of this Date.
fn shows(gateway: &Gateway, date: &str) {
    let time: ddb::words::date::Timestamp = date.parse().unwrap();
    let line = format!("Date: {}\n", time.rfc1123());
    until(&line, || gateway.get("/dists/trixie/Release", &[]).text().contains(&line));
}

/// The time as names of snapshots have it.
fn compact(date: &str) -> String {
    date.replace(['-', ':'], "")
}
