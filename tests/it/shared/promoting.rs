//! Promoting where the commit point is on a remote: others deploy meanwhile, and nothing is lost.

use std::process::{Child, Stdio};

use super::Shared;

const SID: &str = "[inbox]\nprotected = true\n[suites.sid]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n";

fn offered(shared: &Shared, suite: &str) -> Vec<String> {
    let root = format!("suites/{suite}/");
    let paths = shared.server.git(&shared.sandbox, &["ls-tree", "-r", "--name-only", "main", &root]).ok().out;
    paths.lines().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect()
}

#[test]
fn a_promotion_lands_on_the_remote_among_deploys_that_race_with_it() {
    const JOBS: usize = 6;
    let shared = Shared::new(SID);
    let sandbox = &shared.sandbox;
    sandbox.deb("first", "first", "1", "amd64", "");
    sandbox.commit("first", &["--suite", "sid"]).ok();
    let url = shared.server.file_url();
    let start = |name: &str, program: &str, arguments: &[&str]| -> Child {
        let mut command = sandbox.command(program, &[&["-C", &url], arguments].concat());
        command.env("DDB_CACHE", sandbox.path(format!("cache-{name}")));
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut running = Vec::new();
    for job in 0..JOBS {
        let out = format!("out-{job}");
        sandbox.deb(&out, &format!("own{job}"), "1", "amd64", "");
        running.push(start(&format!("job{job}"), env!("CARGO_BIN_EXE_ddb-deploy"), &["commit", &out, "--suite", "sid"]));
        let promote = ["promote", "sid", "trixie", "first", "--no-publish"];
        running.push(start(&format!("promote{job}"), env!("CARGO_BIN_EXE_ddb-publish"), &promote));
    }
    for child in running {
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(offered(&shared, "trixie"), ["first_1"]);
    assert_eq!(offered(&shared, "sid").len(), JOBS + 1);
    assert_eq!(shared.log().iter().filter(|line| line.starts_with("Promote first")).count(), 1, "{:?}", shared.log());
    // The whole suite, published from a checkout, which follows.
    let answer = sandbox.publish(&["-C", "archive", "promote", "sid", "trixie", "--all", "--json"]).ok().json();
    assert_eq!((&answer["remote"], &answer["published"]["packages"]), (&shared.server.url().into(), &(JOBS + 1).into()));
    assert_eq!(offered(&shared, "trixie"), offered(&shared, "sid"));
    assert_eq!(sandbox.git(&["status", "--porcelain"]).ok().out, "");
    // Another machine, which has only its own clone with little history, goes back.
    sandbox.deb("later", "later", "1", "amd64", "");
    sandbox.commit("later", &["--suite", "trixie"]).ok();
    sandbox.dists(&[]).ok();
    let elsewhere = sandbox.path("elsewhere").display().to_string();
    let back = ["-C", &url, "promote", "trixie@1", "trixie", "--all", "--target", &elsewhere, "--json"];
    let answer = sandbox.publish(&back).ok().json();
    assert_eq!((&answer["release"], &answer["published"]["sequence"]), (&1.into(), &3.into()));
    assert_eq!(offered(&shared, "trixie"), offered(&shared, "sid"));
    sandbox.git(&["pull", "-q"]).ok();
    sandbox.dists(&[]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_promotion_that_may_not_be_pushed_leaves_nothing() {
    let shared = Shared::new(SID);
    let sandbox = &shared.sandbox;
    sandbox.deb("first", "first", "1", "amd64", "");
    sandbox.commit("first", &["--suite", "sid"]).ok();
    let before = shared.log();
    shared.server.decline("refs/heads/main", "Only on weekdays.");
    sandbox.publish(&["-C", "archive", "promote", "sid", "trixie", "--all"]).exits(1).says("Only on weekdays.");
    assert_eq!((shared.log(), sandbox.git(&["status", "--porcelain"]).ok().out), (before, String::new()));
    shared.server.accept_all();
    sandbox.publish(&["-C", "archive", "promote", "sid", "trixie", "--all", "--no-push", "--no-publish"]).ok();
    assert!(offered(&shared, "trixie").is_empty());
    // What was committed here goes along with the next push.
    sandbox.deb("more", "more", "1", "amd64", "");
    sandbox.commit("more", &["--suite", "sid"]).ok();
    assert_eq!(offered(&shared, "trixie"), ["first_1"]);
}
