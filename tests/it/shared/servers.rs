//! Servers that do not do everything: no atomic pushes, no forced ones, no removals, refusals for one statement or one job.

use std::time::{Duration, Instant};

use super::Shared;
use super::inbox::park;
use crate::specimens::commit_by_hand;

/// What a hook needs to write into the repository that a push is going to.
const OUTSIDE: &str = "outside() { env -u GIT_QUARANTINE_PATH -u GIT_OBJECT_DIRECTORY -u GIT_ALTERNATE_OBJECT_DIRECTORIES \
    git -c user.name=Other -c user.email=other@example.org \"$@\"; }";

/// Moves main while the next push is on its way, once.
fn race(shared: &Shared) {
    let moves = "outside update-ref refs/heads/main $(outside commit-tree -p main -m Raced 'main^{tree}')";
    shared.server.pre_receive(&format!("{OUTSIDE}\n[ -e raced ] && exit 0\ntouch raced\n{moves}"));
}

/// Takes what the suite offers out again, as `git revert` would.
fn take_back(shared: &Shared) {
    let sandbox = &shared.sandbox;
    sandbox.git(&["pull", "-q"]).ok();
    sandbox.git(&["rm", "-q", "-r", "suites", "pool"]).ok();
    commit_by_hand(sandbox, "Take it back.");
    sandbox.git(&["push", "-q", "origin", "HEAD:main"]).ok();
    assert!(shared.offered().is_empty());
}

const NO_REMOVALS: &str = "while read -r old new ref; do case $new:$ref in 0000*:refs/heads/ddb/inbox/*) \
     echo 'GitLab: You can only delete protected branches using the web interface.' >&2; exit 1;; esac; done";

#[test]
fn a_lost_race_on_a_server_without_atomic_pushes_leaves_what_waits_where_it_is() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.configure(sandbox, "receive.advertiseAtomic", "false");
    sandbox.deb("out", "waiting", "1", "amd64", "");
    park(&shared, "job", "out");
    race(&shared);
    let landed = sandbox.deploy(&["-C", "archive", "inbox", "land", "--json"]).ok().json();
    assert_eq!(landed["verdicts"][0]["verdicts"][0]["verdict"], "landed", "{landed}");
    assert_eq!(shared.offered(), ["waiting_1"]);
    assert_eq!(shared.log()[..2], ["Add waiting 1.", "Raced"]);
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")));
    // A job that leads the others.
    sandbox.deb("more", "more", "1", "amd64", "");
    park(&shared, "job", "more");
    std::fs::remove_file(shared.server.folder().join("raced")).unwrap();
    sandbox.deb("leader", "leader", "1", "amd64", "");
    shared.deploy("leader", "leader", &[]).ok();
    assert_eq!(shared.offered(), ["leader_1", "more_1", "waiting_1"]);
}

#[test]
fn verdicts_are_left_on_servers_that_take_no_forced_pushes() {
    for gitlab in [false, true] {
        let shared = Shared::with_inbox();
        let sandbox = &shared.sandbox;
        if gitlab {
            shared.server.pre_receive(
                "while read -r old new ref; do case $old:$new in 0000*|*:0000*) continue;; esac; \
                 git merge-base --is-ancestor $old $new || { \
                 echo 'GitLab: You are not allowed to force push code to a protected branch on this project.' >&2; exit 1; }; done",
            );
        } else {
            shared.server.configure(sandbox, "receive.denyNonFastForwards", "true");
        }
        for name in ["one", "two", "three"] {
            sandbox.deb(name, name, "1", "amd64", "");
            park(&shared, name, name);
            sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
        }
        sandbox.deb("four", "four", "1", "amd64", "");
        let answer = shared.deploy("four", "four", &["--park", "--json"]).ok().json();
        assert_eq!(answer["builds"][0]["verdict"], "landed");
        assert_eq!(shared.offered(), ["four_1", "one_1", "three_1", "two_1"]);
    }
}

#[test]
fn a_statement_whose_branch_cannot_be_removed_is_landed_once_however_many_follow() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.pre_receive(NO_REMOVALS);
    sandbox.deb("out", "stays", "1", "amd64", "");
    park(&shared, "job", "out");
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert_eq!(shared.offered(), ["stays_1"]);
    take_back(&shared);
    // As many drains later as verdicts are kept.
    let script = "set -e; first=$(git rev-parse ddb/verdicts/main:verdicts/000000000000.json); none=$(echo '{}' | git hash-object -w --stdin); \
         verdicts=$(for number in $(seq 0 63); do blob=$none; [ $number = 0 ] && blob=$first; \
         printf '100644 blob %s\\t%012d.json\\n' $blob $number; done | git mktree); \
         tree=$(printf '040000 tree %s\\tverdicts\\n' $verdicts | git mktree); \
         git update-ref refs/heads/ddb/verdicts/main $(git commit-tree -m x $tree)";
    sandbox.run("bash", &["-c", &format!("cd {} && {script}", shared.server.folder().display())]).ok();
    for name in ["one", "two", "three"] {
        sandbox.deb(name, name, "1", "amd64", "");
        park(&shared, name, name);
        sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    }
    assert_eq!(shared.offered(), ["one_1", "three_1", "two_1"], "what was taken back came again");
}

#[test]
fn a_statement_can_be_landed_again_where_its_old_branch_cannot_be_removed() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.configure(sandbox, "receive.denyNonFastForwards", "true");
    shared.server.pre_receive(NO_REMOVALS);
    sandbox.deb("out", "again", "1", "amd64", "");
    for turn in 0..3 {
        let answer = shared.deploy("job", "out", &["--park", "--json"]).ok().json();
        assert_eq!(answer["builds"][0]["verdict"], "landed", "turn {turn}");
        assert_eq!(shared.offered(), ["again_1"], "turn {turn}");
        take_back(&shared);
    }
}

#[test]
fn a_statement_can_be_landed_again_at_the_same_time_of_the_clock() {
    let mut shared = Shared::with_inbox();
    shared.sandbox.environment.insert("DDB_NOW".to_owned(), "2026-09-12T07:55:41Z".to_owned());
    shared.sandbox.deb("out", "again", "1", "amd64", "");
    for turn in 0..2 {
        let answer = shared.deploy("job", "out", &["--park", "--wait", "20s", "--json"]).ok().json();
        assert_eq!(answer["builds"][0]["verdict"], "landed", "turn {turn}");
        assert_eq!(shared.offered(), ["again_1"], "turn {turn}");
        take_back(&shared);
    }
}

#[test]
fn branches_that_stay_behind_hold_up_nobody() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.pre_receive(NO_REMOVALS);
    sandbox.deb("out", "stays", "1", "amd64", "");
    park(&shared, "job", "out");
    let parked = shared.branches().into_iter().find(|branch| branch.contains("inbox/")).unwrap();
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    for number in 0..40 {
        shared.server.git(sandbox, &["update-ref", &format!("refs/heads/ddb/inbox/0000{number:02}"), &parked]).ok();
    }
    // Nobody waits: this job lands alone, at once.
    sandbox.deb("mine", "mine", "1", "amd64", "");
    let answer = shared.deploy("mine", "mine", &["--json"]).ok().json();
    assert_eq!(answer["tries"], 1);
    sandbox.deb("more", "more", "1", "amd64", "");
    let began = Instant::now();
    shared.deploy("more", "more", &["--park"]).ok();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(shared.offered(), ["mine_1", "more_1", "stays_1"]);
}

#[test]
fn a_statement_that_the_servers_hook_declines_holds_up_nobody() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    shared.server.pre_receive(
        "while read -r old new ref; do [ $ref = refs/heads/main ] || continue; \
         if git ls-tree -r --name-only $new suites/ | grep -q evil; then echo 'No evil here.' >&2; exit 1; fi; done; exit 0",
    );
    for name in ["evil", "good"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    park(&shared, "evil", "evil");
    shared.deploy("good", "good", &["--wait", "20s"]).ok();
    assert_eq!(shared.offered(), ["good_1"]);
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")), "{:?}", shared.branches());
}

#[test]
fn a_job_that_may_not_push_to_the_branch_turns_nobody_down() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    // As GitHub: the branch alone is refused, the others would be taken.
    let hook = shared.server.folder().join("hooks/update");
    let words = "You are not allowed to push code to protected branches on this project.";
    std::fs::write(&hook, format!("#!/bin/sh\n[ $1 = refs/heads/main ] || exit 0\necho '{words}' >&2\nexit 1\n")).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    sandbox.deb("out", "patient", "1", "amd64", "");
    shared.deploy("job", "out", &["--park", "--wait", "3s"]).exits(12);
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(1).says("not allowed to push code").says("--park");
    let waiting = sandbox.deploy(&["-C", "archive", "inbox", "list", "--json"]).ok().json();
    assert_eq!(waiting["waiting"].as_array().unwrap().len(), 1, "{waiting}");
    std::fs::remove_file(hook).unwrap();
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert_eq!(shared.offered(), ["patient_1"]);
}

#[test]
fn a_server_that_is_unwell_turns_nobody_down() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    for name in ["one", "two"] {
        sandbox.deb(name, name, "1", "amd64", "");
        park(&shared, name, name);
    }
    // The first pushes are declined, the next ones are not.
    shared.server.pre_receive("echo >>unwell; [ $(wc -l <unwell) -gt 2 ] || { echo 'GitLab: Internal API unreachable' >&2; exit 1; }");
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(1).says("Internal API unreachable");
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(1);
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert_eq!(shared.offered(), ["one_1", "two_1"]);
    let landed = shared.deploy("job", "one", &["--detailed-exit-code"]);
    landed.exits(10);
}

#[test]
fn a_job_that_loses_the_race_and_does_not_want_to_wait_parks() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    race(&shared);
    sandbox.deb("out", "brief", "1", "amd64", "");
    shared.deploy("job", "out", &["--wait", "0s"]).exits(12);
    sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
    assert_eq!(shared.offered(), ["brief_1"]);
}

#[test]
fn whoever_lands_the_inbox_comes_to_an_end_while_more_is_parked() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "first", "1", "amd64", "");
    park(&shared, "job", "out");
    // Every push is answered by somebody else's statement, for a while.
    let hook = shared.server.folder().join("hooks/post-receive");
    let script = format!(
        "#!/bin/sh\n{OUTSIDE}\necho >>parked; number=$(wc -l <parked); [ $number -gt 25 ] && exit 0\n\
         outside update-ref refs/heads/ddb/inbox/$number $(outside commit-tree -m $number 'main^{{tree}}')\n"
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    sandbox.dists(&[]).ok();
    assert_eq!(shared.offered(), ["first_1"]);
    let pushes = std::fs::read_to_string(shared.server.folder().join("parked")).unwrap().lines().count();
    assert!(pushes < 20, "{pushes} pushes");
}

#[test]
fn a_server_that_does_not_take_the_verdicts_now_makes_no_wrong_ones() {
    for atomic in ["true", "false"] {
        let shared = Shared::with_inbox();
        let sandbox = &shared.sandbox;
        shared.server.configure(sandbox, "receive.advertiseAtomic", atomic);
        sandbox.deb("out", "landed", "1", "amd64", "");
        park(&shared, "job", "out");
        let hook = shared.server.folder().join("hooks/update");
        let once = "[ -e once ] || { touch once; echo 'Not now.' >&2; exit 1; }";
        std::fs::write(&hook, format!("#!/bin/sh\ncase $1 in refs/heads/ddb/verdicts/*) {once};; esac\n")).unwrap();
        std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        sandbox.deploy(&["-C", "archive", "inbox", "land"]).exits(1).says("Not now.");
        sandbox.deploy(&["-C", "archive", "inbox", "land"]).ok();
        assert_eq!(shared.offered(), ["landed_1"]);
        assert_eq!(shared.log().iter().filter(|line| *line == "Add landed 1.").count(), 1);
        shared.deploy("job", "out", &["--detailed-exit-code"]).exits(10);
    }
}

#[test]
fn however_many_wait_they_fit_into_pushes() {
    let shared = Shared::with_inbox();
    let sandbox = &shared.sandbox;
    sandbox.deb("out", "last", "1", "amd64", "");
    park(&shared, "job", "out");
    let who = "committer Other <other@example.org> 1700000000 +0000";
    let commit = |number| format!("commit refs/heads/ddb/inbox/{number:064}\n{who}\ndata 4\n{number:04}\n\n");
    let commits = sandbox.write("commits", (0..1500).map(commit).collect::<String>()).display().to_string();
    let folder = shared.server.folder().display().to_string();
    sandbox.run("bash", &["-c", &format!("git -C {folder} fast-import --quiet <{commits} && git -C {folder} pack-refs --all")]).ok();
    // The smaller the stack, the fewer arguments a program takes.
    let land = format!("ulimit -s 1024; {} -C archive inbox land", env!("CARGO_BIN_EXE_ddb-deploy"));
    sandbox.run("bash", &["-c", &land]).ok();
    assert_eq!(shared.offered(), ["last_1"]);
    assert!(shared.branches().iter().all(|branch| !branch.contains("inbox/")));
}
