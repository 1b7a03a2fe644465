//! The pipelines of `examples/gitlab/`, run by gitlab-ci-local as GitLab would run them: each job in a folder of its own, with the
//! variables that the README names, against a real S3 server and a Git remote that wants a token.

use std::path::Path;

use ddb::places::s3::Limits;

use crate::client::Apt;
use crate::git_server::GitServer;
use crate::sandbox::{Run, Sandbox, cache};
use crate::seaweed::{Bucket, Seaweed, WRITER, give};
use crate::specimens::{commit_by_hand, only};

const TOKEN: &str = "glpat-the-token-of-the-archive";

/// What is secret in these pipelines and must never be in a log.
struct Secrets(Vec<String>);

/// A forge, a store, an archive that lives on them, and nothing else of it on this machine.
fn archive(bucket: &Bucket) -> (Sandbox, GitServer, Secrets) {
    let mut sandbox = Sandbox::new();
    give(&mut sandbox, WRITER);
    let server = GitServer::start(&sandbox);
    let url = format!("{}/{}/deb/", bucket.endpoint, bucket.name);
    sandbox.deploy(&["init", "archive", "--suite", "trixie", "--architecture", "amd64", "--origin", "Test", "--url", &url]).ok();
    let toml = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    let places = bucket.table("store.s3", "deb/lfs/objects") + &bucket.table("target.s3", "deb");
    std::fs::write(sandbox.archive().join("ddb.toml"), format!("{toml}{places}\n[inbox]\nprotected = true\n")).unwrap();
    commit_by_hand(&sandbox, "Name the places.");
    let generated = sandbox.publish(&["-C", "archive", "key", "generate", "--one-line"]).ok().out;
    let key = generated.lines().map(str::trim).find(|line| line.len() > 200).unwrap().to_owned();
    sandbox.git(&["push", "--quiet", &server.url(), "main"]).ok();
    server.require_token(Some(TOKEN));
    // The variables of the README's table, as gitlab-ci-local reads them: a file of the person who runs it.
    let toml = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    let text = |text: &str| serde_json::to_string(text).unwrap();
    sandbox.write("home/.gitlab-ci-local/variables.yml", format!(
        "---\nglobal:\n  DDB_ARCHIVE: {}\n  DDB_GIT_TOKEN: {TOKEN}\n  DDB_SIGNING_KEY: {}\n  DDB_SUITE: trixie\n  DDB_BUILD_DEPENDENCIES: \"no\"\n  AWS_ACCESS_KEY_ID: {}\n  AWS_SECRET_ACCESS_KEY: {}\n  AWS_EC2_METADATA_DISABLED: \"true\"\n  DDB_TOML:\n    type: file\n    values:\n      \"*\": {}\n",
        text(&server.url()), text(&key), WRITER.0, WRITER.1, text(&toml),
    ));
    // What only jobs may have is not in the environment of this test any more, nor is the clone.
    sandbox.environment.retain(|name, _| !name.starts_with("AWS_"));
    std::fs::remove_dir_all(sandbox.archive()).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_ddb-deploy")).parent().unwrap();
    let path = format!("{}:{}:/usr/sbin:/sbin", programs.display(), std::env::var("PATH").unwrap());
    sandbox.environment.insert("PATH".to_owned(), path);
    (sandbox, server, Secrets(vec![TOKEN.to_owned(), key, WRITER.1.to_owned()]))
}

/// A project with a file of `examples/gitlab/` as its pipeline.
fn project(sandbox: &Sandbox, name: &str, pipeline: &str) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitlab");
    std::fs::create_dir_all(sandbox.path(name)).unwrap();
    std::fs::copy(examples.join(pipeline), sandbox.path(name).join(".gitlab-ci.yml")).unwrap();
    std::fs::write(sandbox.path(name).join(".gitignore"), ".gitlab-ci-local/\n").unwrap();
    let git = |arguments: &[&str]| sandbox.run("git", &[&["-C", name], arguments].concat()).ok();
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["remote", "add", "origin", &format!("https://gitlab.example.org/packages/{name}.git")]);
    git(&["add", "-A"]);
    git(&["commit", "--quiet", "-m", "Import"]);
}

fn pipeline(sandbox: &Sandbox, name: &str, more: &[&str], secrets: &Secrets) -> Run {
    let program = cache("gitlab-ci-local/node_modules/.bin/gitlab-ci-local");
    let fixed = ["--cwd", name, "--force-shell-executor", "--shell-isolation", "--no-color"];
    let run = sandbox.run(program.to_str().unwrap(), &[&fixed, more].concat());
    for secret in &secrets.0 {
        assert!(!run.out.contains(secret.as_str()) && !run.err.contains(secret.as_str()), "a secret is in a job's log");
    }
    run
}

#[test]
fn a_package_is_built_deployed_and_published_by_gitlab_and_apt_installs_it() {
    let bucket = Seaweed::shared().bucket("public-pipeline");
    let (sandbox, server, secrets) = archive(&bucket);
    let dsc = only(&cache("source/small"), ".dsc");
    sandbox.run("dpkg-source", &["--no-check", "--extract", dsc.to_str().unwrap(), "hostname"]).ok();
    project(&sandbox, "hostname", "package.gitlab-ci.yml");
    let run = pipeline(&sandbox, "hostname", &[], &secrets).ok();
    for job in ["build", "deploy", "publish"] {
        assert!(run.out.contains(&format!("PASS  {job}")), "{}{}", run.out, run.err);
    }
    // The artifacts hold no package, only what names it.
    let artifacts = sandbox.path("hostname/.gitlab-ci-local/artifacts/build/out");
    let deb = std::fs::read_to_string(artifacts.join("hostname_3.23+nmu1_amd64.deb")).unwrap();
    assert!(deb.starts_with("version https://git-lfs.github.com/spec/v1\n"), "{deb}");
    let branches = server.git(&sandbox, &["for-each-ref", "--format=%(refname)"]).ok().out;
    assert_eq!(branches, "refs/heads/ddb/releases/trixie\nrefs/heads/main\n");
    let message = server.git(&sandbox, &["log", "-1", "--format=%B", "main"]).ok().out;
    assert!(message.contains("Ddb-Job: https://"), "{message}");
    let stanza = bucket.client("deb", Limits::default()).get("trixie.sources").unwrap().map(std::io::read_to_string).unwrap().unwrap();
    let apt = Apt::of_own_trixie(&sandbox);
    apt.use_stanza(&stanza);
    apt.updates();
    assert_eq!(apt.versions("hostname"), ["3.23+nmu1"]);
    apt.get(&["install", "hostname"]).ok();
    apt.get(&["source", "--download-only", "hostname"]).ok();

    // The archive's own pipeline has nothing to do, and says so.
    project(&sandbox, "scheduled", "archive.gitlab-ci.yml");
    let schedule = ["--variable", "CI_PIPELINE_SOURCE=schedule", "--variable", "DDB_FSCK=yes"];
    let archive = format!("DDB_ARCHIVE={}", server.url());
    let run = pipeline(&sandbox, "scheduled", &[&schedule[..], &["--variable", &archive]].concat(), &secrets).ok();
    assert!(run.out.contains("PASS  publish") && run.out.contains("PASS  fsck") && run.out.contains("clean"), "{}{}", run.out, run.err);
    // A project that is not the archive's watches it, and remembers what it saw.
    project(&sandbox, "watch", "monitor.gitlab-ci.yml");
    // What is remembered is not there: a pipeline fails until somebody says that it never was.
    let run = pipeline(&sandbox, "watch", &["--variable", &archive], &secrets);
    assert!(run.out.contains("FAIL  monitor") && run.out.contains("ALARM no-memory"), "{}{}", run.out, run.err);
    let first = ["--variable", &archive, "--variable", "DDB_FIRST=--first"];
    let run = pipeline(&sandbox, "watch", &first, &secrets).ok();
    assert!(run.out.contains("PASS  monitor") && run.out.contains("serves Release 1"), "{}{}", run.out, run.err);
    // What says that it is the first run does no harm where that one is tried again.
    let run = pipeline(&sandbox, "watch", &first, &secrets).ok();
    assert!(run.out.contains("No alarm.") && !run.out.contains("This was the first look"), "{}{}", run.out, run.err);
    // A deploy job that is run again finds its work done; with a token that has expired it fails and says what to set.
    let run = pipeline(&sandbox, "hostname", &["deploy"], &secrets).ok();
    assert!(run.out.contains("hostname 3.23+nmu1: already landed"), "{}{}", run.out, run.err);
    server.require_token(Some("another than that of the variables"));
    let run = pipeline(&sandbox, "hostname", &["deploy"], &secrets);
    let said = format!("{}{}", run.out, run.err);
    assert!(said.contains("FAIL  deploy") && said.contains("refuses access") && said.contains("DDB_GIT_TOKEN"), "{said}");
}
