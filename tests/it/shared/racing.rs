//! Many jobs at once on one remote: nothing is lost, whoever is killed, and at whatever moment.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::Shared;

fn start(shared: &Shared, job: usize, out: &str) -> Child {
    let sandbox = &shared.sandbox;
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_ddb-deploy"), &["-C", &shared.server.file_url(), "commit", out]);
    command.env("DDB_CACHE", sandbox.path(format!("cache-{job}"))).stdout(Stdio::null()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn jobs_that_race_with_publishers_all_land_and_nothing_is_lost() {
    const JOBS: usize = 12;
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    // Some of one source in several versions: the highest stays, whatever the order.
    for job in 0..JOBS {
        for round in 0..2 {
            let out = format!("out-{job}-{round}");
            sandbox.deb(&out, &format!("own{job}"), &format!("{round}.0"), "amd64", "");
            sandbox.deb(&out, "common", &format!("1.{}", job * 2 + round), "amd64", "");
        }
    }
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..JOBS)
            .map(|job| {
                let shared = &shared;
                scope.spawn(move || {
                    for round in 0..2 {
                        let output = start(shared, job, &format!("out-{job}-{round}")).wait_with_output().unwrap();
                        let code = output.status.code();
                        // Its own package landed, whatever became of the common one: 0, or 6 where all was superseded.
                        assert_eq!(code, Some(0), "job {job}: {}", String::from_utf8_lossy(&output.stderr));
                    }
                })
            })
            .collect();
        while !jobs.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            sandbox.dists(&[]).ok();
        }
    });
    let offered: BTreeSet<String> = shared.offered().into_iter().collect();
    let expected: BTreeSet<String> = (0..JOBS).map(|job| format!("own{job}_1.0")).chain([format!("common_1.{}", JOBS * 2 - 1)]).collect();
    assert_eq!(offered, expected);
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")), "{:?}", shared.branches());
    let published = sandbox.dists(&["--json"]).ok().json();
    assert_eq!(published["suites"][0]["packages"], JOBS + 1);
    sandbox.git(&["pull", "-q"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_deploy_that_is_killed_anywhere_is_finished_by_running_it_again() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    // Somebody's statement waits all the time, so that some of the killed ones park and some lead.
    let mut offered = BTreeSet::new();
    for turn in 0..14 {
        let out = format!("killed-{turn}");
        let package = format!("killed{turn}");
        sandbox.deb(&out, &package, "1", "amd64", "");
        if turn % 2 == 1 {
            let other = format!("other-{turn}");
            sandbox.deb(&other, &format!("other{turn}"), "1", "amd64", "");
            shared.deploy("other", &other, &["--park", "--wait", "0s"]).exits(12);
            offered.insert(format!("other{turn}_1"));
        }
        let mut job = start(&shared, turn, &out);
        let until = Instant::now() + Duration::from_millis(4 + 18 * turn as u64);
        while Instant::now() < until && job.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(job.kill());
        job.wait().unwrap();
        sandbox.git(&["fetch", "-q", "--prune"]).ok();
        shared.server.git(sandbox, &["fsck", "--connectivity-only", "--no-dangling"]).ok();
        // The clone of the killed one is used again, locks and all.
        let again = start(&shared, turn, &out).wait_with_output().unwrap();
        assert!(again.status.success(), "turn {turn}: {}", String::from_utf8_lossy(&again.stderr));
        offered.insert(format!("{package}_1"));
        assert!(shared.offered().contains(&format!("{package}_1")), "turn {turn}");
    }
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert_eq!(shared.offered().into_iter().collect::<BTreeSet<_>>(), offered);
    // Every package was added by exactly one commit.
    let added: Vec<String> = shared.log().into_iter().filter(|line| line.starts_with("Add killed")).collect();
    assert_eq!(added.len(), added.iter().collect::<BTreeSet<_>>().len());
    sandbox.git(&["pull", "-q"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_push_whose_answer_is_lost_is_found_done() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    // Straight to the branch, then through the inbox: as one who parks, and as one who lands what others parked.
    sandbox.deb("straight", "straight", "1", "amd64", "");
    shared.server.lose_answers_of_pushes(1);
    shared.deploy("a", "straight", &[]).ok();
    sandbox.deb("parked", "parked", "1", "amd64", "");
    shared.server.lose_answers_of_pushes(2);
    shared.deploy("b", "parked", &["--park"]).ok();
    sandbox.deb("waiting", "waiting", "1", "amd64", "");
    shared.deploy("c", "waiting", &["--park", "--wait", "0s"]).exits(12);
    sandbox.deb("leader", "leader", "1", "amd64", "");
    shared.server.lose_answers_of_pushes(3);
    shared.deploy("d", "leader", &[]).ok();
    assert_eq!(shared.offered(), ["leader_1", "parked_1", "straight_1", "waiting_1"]);
    assert_eq!(shared.log().iter().filter(|line| line.ends_with(" 1.")).count(), 4);
    // A publish finds its own Release staged, or is finished by running it again.
    shared.server.lose_answers_of_pushes(1);
    let run = sandbox.dists(&[]);
    assert!(run.code == 0 || run.code == 1, "{}", run.err);
    let answer = sandbox.dists(&["--json"]).ok().json();
    assert_eq!((&answer["suites"][0]["sequence"], &answer["suites"][0]["packages"]), (&1.into(), &4.into()));
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")));
    sandbox.git(&["pull", "-q"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
