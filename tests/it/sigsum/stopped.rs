//! A publish with a required log that is stopped after every single change: whatever Release clients see, its proof is there.

use std::path::Path;
use std::time::Duration;

use ddb::formats::staple::{stapled, without};
use ddb::places::git::read::Snapshot;
use ddb::places::target::fs::FolderTarget;
use ddb::stories::publish::PublishError;
use ddb::stories::publish::logging::ConfiguredLog;
use ddb::words::archive::{Archive, Links, LogKind, LogMode};

use super::site::{Log, configure, sigsum_verify};
use super::suite::logs_of;
use super::{POLICY, read, with_package};
use crate::sandbox::Sandbox;
use crate::stopped::{Stopping, now, publish_logged, signs};

/// Checks what a client finds that reads InRelease now; tells whether it is this one.
#[track_caller]
fn seen_is_proven(sandbox: &Sandbox, old: &[u8]) -> bool {
    let dists = sandbox.public().join("dists/trixie");
    let in_release = read(&dists.join("InRelease"));
    let proof = stapled(&in_release, LogKind::Sigsum).unwrap().unwrap();
    sandbox.write("seen.proof", &proof);
    let text = String::from_utf8(without(&in_release, LogKind::Sigsum).unwrap()).unwrap();
    let (_, text) = text.split_once("\n\n").unwrap();
    let (release, _) = text.split_once("-----BEGIN PGP SIGNATURE-----").unwrap();
    sandbox.write("seen", release);
    sigsum_verify(sandbox, "seen.proof", "seen", POLICY).ok();
    let digest = sandbox.run("sha256sum", &["seen"]).ok().out.split(' ').next().unwrap().to_owned();
    assert_eq!(read(&dists.join(format!("tlog/{digest}.proof"))), proof);
    assert_eq!(read(&dists.join(format!("tlog/{digest}.release"))), release.as_bytes());
    if in_release != old {
        assert_eq!(read(&dists.join("Release.proof")), proof, "InRelease comes last");
    }
    in_release != old
}

#[test]
fn whatever_is_seen_after_any_stop_has_its_proof() {
    let sandbox = with_package();
    let log = Log::start(&sandbox, "log");
    let policy = format!("{}quorum log\n", log.lines());
    configure(&sandbox, &policy, "");
    let logs = |_: &Snapshot<'_>, _: &Archive| {
        let log = Box::new(logs_of(&sandbox, &policy, Duration::from_secs(100)));
        Ok(vec![ConfiguredLog { log, mode: LogMode::Required, staple: true }])
    };
    let tree = |public: &Path| Box::new(FolderTarget::new(public, Links::Auto));
    publish_logged(&sandbox, tree(&sandbox.public()).as_ref(), &signs, &logs, now(), |_| ()).unwrap();
    let old = read(&sandbox.public().join("dists/trixie/InRelease"));
    sandbox.deb("out2", "plain", "2.0-1", "amd64", "");
    sandbox.commit("out2", &[]).ok();
    sandbox.run("cp", &["-a", "archive", "before"]).ok();
    let (time, mut seen) = (now(), [0, 0]);
    for at in 0.. {
        sandbox.run("rm", &["-r", "archive"]).ok();
        sandbox.run("cp", &["-a", "before", "archive"]).ok();
        let stopping = Stopping::of(tree(&sandbox.public()), at / 2, at % 2 == 1);
        let done = publish_logged(&sandbox, &stopping, &signs, &logs, time, |_| ());
        seen[usize::from(seen_is_proven(&sandbox, &old))] += 1;
        match done {
            Err(PublishError::Target(_)) => {
                let answer = publish_logged(&sandbox, tree(&sandbox.public()).as_ref(), &signs, &logs, time, |_| ()).unwrap();
                assert!(answer.sequence == 2 && seen_is_proven(&sandbox, &old), "{answer:?}");
            }
            Ok(_) => break,
            Err(fault) => panic!("{fault}"),
        }
    }
    assert!(seen[0] > 10 && seen[1] > 3, "old and new were seen {seen:?} times");
    assert_eq!(log.size(), 2, "however often it was stopped, one leaf for each Release");
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}
