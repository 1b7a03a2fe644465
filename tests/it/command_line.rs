//! What people and programs see: help whose examples run, JSON that fits its schemas, exit codes, and never a secret.

mod init;
mod keys;
mod leaks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory as _};
use ddb::people::exit::{self, Exit};
use ddb::people::{deploy::Deploy, publish::Publish, schemas};

use super::gateway::Gateway;
use super::sandbox::{Run, Sandbox, cache};
use super::specimens::{CONTROL, DEB, commit_by_hand, configure, copy, deb};

/// The help pages in the order in which somebody who begins reads them.
const PAGES: [&[&str]; 24] = [
    &["ddb-deploy", "init"],
    &["ddb-publish", "key", "generate"],
    &["ddb-deploy", "commit"],
    &["ddb-deploy", "upload"],
    &["ddb-publish", "dists"],
    &["ddb-publish", "verify"],
    &["ddb-publish", "apt-verify-hook"],
    &["ddb-publish", "serve"],
    &["ddb-publish", "export"],
    &["ddb-publish", "rebuild"],
    &["ddb-publish", "promote"],
    &["ddb-publish", "log"],
    &["ddb-publish", "monitor"],
    &["ddb-deploy", "fsck"],
    &["ddb-deploy", "gc"],
    &["ddb-deploy", "adopt"],
    &["ddb-deploy", "fetch"],
    &["ddb-deploy", "lfs-agent"],
    &["ddb-deploy", "doctor"],
    &["ddb-publish", "key", "show"],
    &["ddb-publish", "key", "extend"],
    &["ddb-deploy", "inbox", "list"],
    &["ddb-deploy", "inbox", "land"],
    &["ddb-deploy", "inbox", "withdraw"],
];

/// Commands that run until they are told to stop: their examples are started, asked for something and stopped.
const SERVERS: [&[&str]; 1] = [&["ddb-publish", "serve"]];

fn manifest(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A sandbox whose shell finds the programs, with a build output in `out/`.
fn workshop() -> Sandbox {
    let mut sandbox = Sandbox::new();
    let programs = Path::new(env!("CARGO_BIN_EXE_ddb-deploy")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    sandbox.environment.insert("PATH".to_owned(), path);
    copy(&cache("out/small"), &sandbox.path("out"));
    sandbox
}

fn shell(sandbox: &Sandbox, script: &str) -> Run {
    sandbox.run("bash", &["-c", script])
}

/// The pages of a program, each with the words that lead there; only those that do something.
fn pages(command: &Command, words: &[String]) -> Vec<(Vec<String>, Command)> {
    let words: Vec<String> = words.iter().cloned().chain([command.get_name().to_owned()]).collect();
    let below: Vec<_> = command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    if below.is_empty() {
        return vec![(words, command.clone())];
    }
    below.into_iter().flat_map(|command| pages(command, &words)).collect()
}

fn all_pages() -> Vec<(Vec<String>, Command)> {
    [Deploy::command(), Publish::command()].iter().flat_map(|command| pages(command, &[])).collect()
}

fn examples(help: &str) -> Vec<String> {
    help.lines().filter_map(|line| line.strip_prefix("  $ ")).map(str::to_owned).collect()
}

/// Gives the archive a remote with an inbox.
fn share(sandbox: &Sandbox) {
    sandbox.run("git", &["init", "-q", "--bare", "--initial-branch=main", "remote.git"]).ok();
    configure(sandbox, "", "\n[inbox]\nprotected = true\n");
    sandbox.git(&["remote", "add", "origin", sandbox.path("remote.git").to_str().unwrap()]).ok();
    sandbox.git(&["push", "-q", "-u", "origin", "main"]).ok();
}

/// Makes a folder a system that apt's hook can be installed in.
fn system_below(sandbox: &Sandbox, root: &str) {
    let program = env!("CARGO_BIN_EXE_ddb-publish");
    shell(sandbox, &format!("mkdir -p {root}/usr/bin && cp '{program}' /usr/bin/gpgv {root}/usr/bin && chmod -R a+rX {root}")).ok();
}

/// Gives the archive a second suite.
fn with_stable(sandbox: &Sandbox) {
    configure(sandbox, "", "\n[suites.trixie-stable]\ncomponents = [\"main\"]\narchitectures = [\"amd64\"]\n");
}

#[test]
fn every_example_of_every_help_page_works_in_order() {
    let known: Vec<Vec<String>> = all_pages().into_iter().map(|(words, _)| words).collect();
    for words in &known {
        assert!(PAGES.iter().any(|page| page == words), "{words:?} has no place among PAGES");
    }
    assert_eq!(known.len(), PAGES.len());
    let mut sandbox = workshop();
    sandbox.environment.insert("COLUMNS".to_owned(), "80".to_owned());
    for page in PAGES {
        match page {
            ["ddb-publish", "promote"] => with_stable(&sandbox),
            ["ddb-publish", "apt-verify-hook"] => system_below(&sandbox, "root"),
            ["ddb-deploy", "inbox", "list"] => share(&sandbox),
            ["ddb-deploy", "inbox", "withdraw"] => drop(sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/ddb/inbox/0123abcd"]).ok()),
            _ => {}
        }
        let help = sandbox.run(page[0], &[&page[1..], &["--help"]].concat()).ok().out;
        let found = examples(&help);
        assert!(!found.is_empty(), "{page:?} has no example");
        for example in found {
            assert!(example.starts_with("ddb-"), "{example}");
            if SERVERS.contains(&page) {
                let server = Gateway::start(&sandbox, sandbox.command("bash", &["-c", &format!("exec {example}")]));
                assert!(server.get("/", &[]).text().contains("apt archive"), "{example}");
                assert!(server.get("/dists/trixie/InRelease", &[]).text().starts_with("-----BEGIN PGP SIGNED"), "{example}");
                server.stop();
                continue;
            }
            let run = shell(&sandbox, &example);
            assert_eq!(run.code, 0, "{example}\n{}{}", run.out, run.err);
        }
    }
    assert!(sandbox.public().join("dists/trixie/InRelease").exists());
}

#[test]
fn examples_are_printed_as_they_are_written_on_a_narrow_terminal_too() {
    let mut sandbox = workshop();
    sandbox.environment.insert("COLUMNS".to_owned(), "80".to_owned());
    for (words, command) in all_pages() {
        let written = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let printed = sandbox.run(words[0], &[&words[1..], &["--help"]].concat()).ok().out;
        assert_eq!(examples(&printed), examples(&written), "{words:?} is wrapped");
        let broken = written
            .lines()
            .find(|line| line.len() > 60 && line.ends_with(|last: char| last.is_ascii_lowercase()) && !line.starts_with("  "));
        assert_eq!(broken, None, "{words:?}: a line break within a paragraph comes out in the wrong place");
    }
}

#[test]
fn help_texts_are_imperative_and_without_full_stop() {
    const VERBS: [&str; 17] = [
        "Make", "Store", "Send", "Check", "Generate", "Show", "Move", "Put", "Publish", "Print", "Work", "Use", "Answer", "Land", "Take",
        "Remove", "Follow",
    ];
    fn check(command: &Command, words: &str) {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let verb = about.split([' ', ',']).next().unwrap();
        assert!(VERBS.contains(&verb), "{words}: \"{about}\" begins with no verb that is known here");
        assert!(!about.ends_with('.'), "{words}: {about}");
        for argument in command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.len() > 5, "{words} {}: has no help text", argument.get_id());
            assert!(!help.ends_with('.') && !help.ends_with(' ') && !help.contains("  "), "{words}: {help}");
            assert!(help.starts_with(char::is_uppercase), "{words}: {help}");
            for value in argument.get_possible_values().iter().filter(|_| !matches!(argument.get_action(), clap::ArgAction::SetTrue)) {
                assert!(
                    value.get_help().is_some_and(|help| !help.to_string().ends_with('.')),
                    "{words} {}: {}",
                    argument.get_id(),
                    value.get_name()
                );
            }
        }
        for below in command.get_subcommands().filter(|command| command.get_name() != "help") {
            check(below, &format!("{words} {}", below.get_name()));
        }
    }
    for command in [Deploy::command(), Publish::command()] {
        check(&command, command.get_name());
    }
    // No option takes a secret: it would be seen by everybody who lists processes.
    for (words, command) in all_pages() {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            let file = argument.get_value_names().is_none_or(|names| names.iter().all(|name| ["FILE", "DIR"].contains(&name.as_str())));
            assert!(file || !["key", "pass", "secret"].iter().any(|word| name.contains(word)), "{words:?}: --{name} takes a secret");
        }
    }
}

#[test]
fn the_commands_of_the_readme_work_in_order() {
    let readme = std::fs::read_to_string(manifest("README.md")).unwrap();
    let section = readme.split("\n## Use it\n").nth(1).unwrap();
    let block: Vec<&str> =
        section.lines().skip_while(|line| line.is_empty()).take_while(|line| line.starts_with("    ")).map(str::trim).collect();
    assert!(block.len() >= 5 && block[0].starts_with("cargo build --release"), "{block:?}");
    let sandbox = workshop();
    let script = block[1..].join("\n");
    shell(&sandbox, &format!("set -ex\n{script}")).ok();
    assert!(sandbox.public().join("dists/trixie/InRelease").exists());
    assert!(std::fs::read_to_string(sandbox.public().join("trixie.sources")).unwrap().contains("Types: deb"));
    assert!(sandbox.public().join("pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb").exists());
    // The two lines at the top are the same commands.
    for line in readme.lines().filter(|line| line.starts_with("    ddb-")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let command = words[if words[1] == "-C" { 3 } else { 1 }];
        sandbox.run(words[0], &[command, "--help"]).ok();
    }
}

#[test]
fn the_readmes_table_of_exit_codes_is_that_of_the_programs() {
    let plain = |text: &str| {
        text.chars().filter(|letter| !"`(),;".contains(*letter)).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let readme = std::fs::read_to_string(manifest("README.md")).unwrap();
    let rows = readme.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let code: u8 = cells.next()?.parse().ok()?;
        Some((code, plain(cells.next()?)))
    });
    let readme: BTreeMap<u8, String> = rows.collect();
    let help: BTreeMap<u8, String> = exit::HELP
        .lines()
        .skip(1)
        .map(|line| line.trim().split_once(' ').unwrap())
        .map(|(code, text)| (code.parse().unwrap(), plain(text)))
        .collect();
    assert_eq!(readme, help);
    let codes = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::Refused,
        Exit::Archive,
        Exit::Rejected,
        Exit::Superseded,
        Exit::Key,
        Exit::Damaged,
        Exit::Contended,
        Exit::AlreadyLanded,
        Exit::NotPushed,
        Exit::Parked,
        Exit::NoProof,
        Exit::Unsigned,
        Exit::NotFresh,
        Exit::RolledBack,
        Exit::Unproven,
        Exit::WrongIndex,
        Exit::WrongPool,
        Exit::NotPublished,
        Exit::Unreachable,
        Exit::Alarm,
        Exit::NotWatched,
        Exit::Differs,
        Exit::NotWhole,
    ];
    assert_eq!(codes.map(|exit| exit as u8).to_vec(), help.keys().copied().collect::<Vec<_>>());
    for program in ["ddb-deploy", "ddb-publish"] {
        let printed = workshop().run(program, &["--help"]).ok().out;
        assert!(printed.contains(exit::HELP), "{printed}");
    }
}

#[test]
fn the_schemas_in_the_repository_are_those_of_the_types() {
    let folder = manifest("schemas");
    let update = std::env::var_os("DDB_UPDATE_SCHEMAS").is_some();
    if update {
        std::fs::create_dir_all(&folder).unwrap();
    }
    let mut names = Vec::new();
    for (name, schema) in schemas::all() {
        let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
        if update {
            std::fs::write(folder.join(name), &text).unwrap();
        }
        let there = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(there == text, "schemas/{name} is not that of the types; DDB_UPDATE_SCHEMAS=1 writes it anew");
        names.push(name.to_owned());
    }
    let mut there: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort();
    names.sort();
    assert_eq!(there, names, "schemas/ holds what no type has");
}

/// Validates documents with Debian's python3-jsonschema; each is a schema's name and the JSON (or TOML) text.
fn validate(sandbox: &Sandbox, documents: &[(&str, String)]) -> Run {
    let script = r#"
import json, jsonschema, sys, tomllib
wrong = 0
for line in open(sys.argv[1]):
    name, text = json.loads(line)
    schema = json.load(open(sys.argv[2] + "/" + name))
    jsonschema.Draft202012Validator.check_schema(schema)
    document = tomllib.loads(text) if name == "ddb.toml.json" else json.loads(text)
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        wrong += 1
        print(name, error.json_path, error.message)
sys.exit(wrong != 0)
"#;
    let lines: String = documents.iter().map(|(name, text)| serde_json::to_string(&(name, text)).unwrap() + "\n").collect();
    let file = sandbox.write("documents", lines);
    sandbox.run("/usr/bin/python3", &["-c", script, file.to_str().unwrap(), manifest("schemas").to_str().unwrap()])
}

#[test]
fn json_answers_of_every_command_fit_their_schemas() {
    let sandbox = workshop();
    let mut documents: Vec<(&str, String)> = Vec::new();
    let mut answer = |schema, run: Run| {
        assert!(run.err.is_empty() || schema == "failure.json" || !run.err.contains("error"), "{}", run.err);
        assert_eq!(run.out.matches("\n}\n").count(), 1, "one document and nothing else: {}", run.out);
        documents.push((schema, run.out));
    };
    let deploy = |arguments: &[&str]| sandbox.deploy(&[&["-C", "archive", "--json"], arguments].concat());
    let publish = |arguments: &[&str]| sandbox.publish(&[&["-C", "archive", "--json"], arguments].concat());
    answer("init.json", sandbox.deploy(&["init", "archive", "--json", "--architecture", "amd64"]).ok());
    answer("init.json", sandbox.deploy(&["init", "bare", "--bare", "--json", "--url", "https://deb.example.org/"]).ok());
    answer("failure.json", deploy(&["init"]).exits(4));
    answer("failure.json", publish(&["dists", "trixie"]).exits(7));
    answer("key-show.json", publish(&["key", "show"]).ok());
    answer("key-generate.json", publish(&["key", "generate"]).ok());
    answer("key-show.json", publish(&["key", "show"]).ok());
    answer("upload.json", deploy(&["upload", "out", "--to", "uploaded"]).ok());
    answer("commit.json", deploy(&["commit", "uploaded", "--dry-run"]).ok());
    let sent = std::fs::read_dir(sandbox.path("uploaded")).unwrap().map(|entry| entry.unwrap().path());
    let sealed = sent.filter(|path| path.to_str().unwrap().contains("ddb-manifest-")).map(|path| std::fs::read_to_string(path).unwrap());
    let payload = sealed.last().unwrap().lines().nth(1).unwrap().to_owned();
    answer("commit.json", deploy(&["commit", "out", "--dry-run"]).ok());
    answer("commit.json", deploy(&["commit", "out"]).ok());
    answer("commit.json", deploy(&["commit", "out", "--detailed-exit-code"]).exits(10));
    answer("dists.json", publish(&["dists", "--dry-run"]).ok());
    answer("dists.json", publish(&["dists", "trixie"]).ok());
    answer("dists.json", publish(&["dists", "trixie"]).ok());
    answer("dists.json", publish(&["dists", "--renew"]).ok());
    answer("log.json", publish(&["log"]).ok());
    answer("log.json", publish(&["log", "trixie", "--pending"]).ok());
    answer("failure.json", publish(&["log", "nosuch"]).exits(4));
    let watch = ["monitor", "--state", "monitor.json", "--site"];
    answer("monitor.json", publish(&[&watch[..], &["archive/public", "--first"]].concat()).ok());
    answer("monitor.json", publish(&[&watch[..], &["nowhere"]].concat()).exits(31));
    answer("monitor.json", publish(&[&watch[..], &["archive/public", "--certificate-ends", "90y"]].concat()).exits(30));
    answer("failure.json", publish(&["monitor", "nosuch", "--state", "monitor.json"]).exits(2));
    let pinned = ["--suite", "trixie", "--keyring", "archive/public/archive-keyring.asc"];
    let verify = |more: &[&str]| sandbox.publish(&[&["--json", "verify"], &pinned[..], more].concat());
    answer(
        "verify.json",
        verify(&[
            "archive/public",
            "--pool",
            "--package",
            "hostname",
            "--deb",
            "out/hostname_3.23+nmu1_amd64.deb",
            "--repository",
            "archive",
        ])
        .ok(),
    );
    answer("verify.json", verify(&["archive/public", "--package", "nosuch"]).exits(26));
    answer("failure.json", verify(&["nowhere"]).exits(2));
    system_below(&sandbox, "root");
    answer("apt-verify-hook.json", publish(&["apt-verify-hook", "--install", "--root", "root"]).ok());
    answer("fsck.json", deploy(&["fsck", "--full"]).ok());
    answer("gc.json", deploy(&["gc"]).ok());
    answer("gc.json", deploy(&["gc", "--delete", "--keep-releases", "all"]).ok());
    answer("adopt.json", deploy(&["adopt"]).ok());
    answer("fetch.json", deploy(&["fetch", "--all"]).ok());
    answer("lfs-agent.json", deploy(&["lfs-agent", "--install"]).ok());
    answer("lfs-agent.json", deploy(&["lfs-agent", "--uninstall"]).ok());
    answer("export.json", publish(&["export", "exported"]).ok());
    answer("failure.json", publish(&["export", "out"]).exits(2));
    answer("rebuild.json", publish(&["rebuild", "trixie", "--site", "archive/public", "--output", "rebuilt"]).ok());
    answer("failure.json", publish(&["rebuild", "nosuch"]).exits(2));
    let stopped = "ddb-publish -C archive serve --listen 127.0.0.1:0 --json > said & \
        until grep -qs '^}' said; do sleep 0.02; done; kill -TERM $!; wait $!; code=$?; cat said; exit $code";
    answer("serve.json", shell(&sandbox, stopped).ok());
    answer("doctor.json", deploy(&["doctor"]).ok());
    answer("key-extend.json", publish(&["key", "extend", "--valid-for", "forever"]).ok());
    answer("key-extend.json", publish(&["key", "extend", "--valid-for", "1y"]).ok());
    sandbox.write("bad/x_1_amd64.deb", "no deb");
    answer("failure.json", deploy(&["commit", "bad"]).exits(3));
    sandbox.deb("older", "hostname", "1", "amd64", "");
    answer("commit.json", deploy(&["commit", "older"]).exits(6));
    sandbox.deb("other", "hostname", "3.23+nmu1", "amd64", "");
    answer("failure.json", deploy(&["commit", "other"]).exits(5));
    answer("failure.json", publish(&["dists", "nosuch"]).exits(4));
    answer("failure.json", deploy(&["--branch", "nosuch", "fsck"]).exits(4));
    std::fs::remove_file(sandbox.public().join("pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb")).unwrap();
    answer("fsck.json", deploy(&["fsck"]).exits(8));
    answer("dists.json", publish(&["dists", "trixie"]).ok());
    share(&sandbox);
    sandbox.deb("parked", "parked", "1", "amd64", "");
    answer("commit.json", deploy(&["commit", "parked", "--local-objects", "--park", "--wait", "0s"]).exits(12));
    answer("inbox-list.json", deploy(&["inbox", "list"]).ok());
    answer("inbox-land.json", deploy(&["inbox", "land"]).ok());
    sandbox.git(&["push", "-q", "origin", "HEAD:refs/heads/ddb/inbox/0123abcd"]).ok();
    answer("inbox-list.json", deploy(&["inbox", "list"]).ok());
    answer("inbox-withdraw.json", deploy(&["inbox", "withdraw", "0123"]).ok());
    with_stable(&sandbox);
    answer("promote.json", publish(&["promote", "trixie", "trixie-stable", "hostname", "--dry-run"]).ok());
    answer("promote.json", publish(&["promote", "trixie", "trixie-stable", "--all"]).ok());
    answer("promote.json", publish(&["promote", "trixie@1", "trixie", "--all"]).ok());
    answer("failure.json", publish(&["promote", "trixie", "trixie-stable", "nosuch"]).exits(4));
    let toml = |path: &Path| std::fs::read_to_string(path).unwrap();
    documents.push(("ddb.toml.json", toml(&sandbox.archive().join("ddb.toml"))));
    documents.push(("ddb.toml.json", readme_toml()));
    documents.push(("manifest.json", payload));
    validate(&sandbox, &documents).ok();
    for (name, _) in schemas::all() {
        let needed = name == "statement.json" || documents.iter().any(|(schema, _)| *schema == name);
        assert!(needed, "{name} was not tried");
    }
    // The schemas say something: an answer of another command, one without its fields and one with another type are refused.
    for (schema, text) in [
        ("commit.json", "{}".to_owned()),
        ("dists.json", documents[0].1.clone()),
        ("failure.json", "{\"error\": 1, \"problems\": [], \"exit_code\": 1}".to_owned()),
        ("ddb.toml.json", "[suites.trixie]\narchs = 1\n".to_owned()),
    ] {
        validate(&sandbox, &[(schema, text)]).exits(1);
    }
}

/// The example of a ddb.toml in the README.
fn readme_toml() -> String {
    let readme = std::fs::read_to_string(manifest("README.md")).unwrap();
    let block = readme.split("### ddb.toml\n").nth(1).unwrap().lines().skip_while(|line| !line.starts_with("    ["));
    block.take_while(|line| line.is_empty() || line.starts_with("    ")).map(|line| format!("{}\n", line.trim())).collect()
}

#[test]
fn the_ddb_toml_of_the_readme_works() {
    let sandbox = Sandbox::with_archive();
    std::fs::write(sandbox.archive().join("ddb.toml"), readme_toml()).unwrap();
    for name in ["trixie.main", "trixie.main.src", "trixie.extra.main"] {
        sandbox.write(format!("archive/overrides/{name}"), "");
    }
    commit_by_hand(&sandbox, "Use the README's configuration.");
    sandbox.deb("out", "hello", "1", "amd64", "Section: contrib/net\n");
    sandbox.commit("out", &["--suite", "stable"]).ok();
    let run = sandbox.dists(&[]).ok();
    assert!(run.out.contains("https://deb.example.org/") && run.out.contains("Good until"), "{}", run.out);
}

#[test]
fn wrong_command_lines_exit_with_2_and_say_what_to_do() {
    let sandbox = workshop();
    for arguments in [
        &[][..],
        &["nosuch"],
        &["commit"],
        &["commit", "out", "--nosuch"],
        &["init", "--suite", "../x"],
        &["init", "--architecture", "any"],
        &["fsck", "--now", "yesterday"],
        &["commit", "out", "--on-conflict", "perhaps"],
    ] {
        let run = sandbox.deploy(arguments).exits(2);
        assert!(run.err.contains("Usage") || run.err.contains("--help"), "{arguments:?}: {}", run.err);
    }
    sandbox.publish(&["key"]).exits(2);
    sandbox.publish(&["dists", "--renew-before", "soon"]).exits(2);
    let version = sandbox.deploy(&["--version"]).ok().out;
    assert_eq!(version, format!("ddb-deploy {}\n", env!("CARGO_PKG_VERSION")));
    // No repository, and a repository that is no archive.
    sandbox.deploy(&["-C", "home", "fsck"]).exits(4).says("home");
    sandbox.deploy(&["-C", "nowhere", "fsck"]).exits(4).says("nowhere");
    sandbox.run("git", &["init", "-q", "plain"]).ok();
    sandbox.deploy(&["-C", "plain", "commit", "out"]).exits(4);
    sandbox.run("git", &["-C", "plain", "commit", "-q", "--allow-empty", "-m", "x"]).ok();
    sandbox.deploy(&["-C", "plain", "commit", "out"]).exits(4).says("ddb-deploy init");
}

#[test]
fn a_ddb_toml_that_is_wrong_is_refused_with_its_line() {
    let sandbox = Sandbox::with_archive();
    let good = std::fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
    for (bad, said) in [
        (format!("{good}nosuch = 1\n"), "nosuch"),
        (format!("{good}[["), "line"),
        (good.replace("\"amd64\"", "\"any\""), "any"),
        (String::new(), "suites"),
    ] {
        std::fs::write(sandbox.archive().join("ddb.toml"), bad).unwrap();
        commit_by_hand(&sandbox, "Spoil ddb.toml.");
        sandbox.commit(cache("out/small"), &[]).exits(4).says("ddb.toml").says(said);
        sandbox.dists(&[]).exits(4).says("ddb.toml").says(said);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let sandbox = workshop();
    let script = "set -o pipefail
        ddb-deploy init archive >/dev/null && ddb-publish -C archive key generate >/dev/null && ddb-deploy -C archive commit out >/dev/null
        for i in 1 2 3; do ddb-publish -C archive dists trixie --renew | head -c1; done
        ddb-publish -C archive dists trixie --json | true
        ddb-deploy -C archive fsck | true
        ddb-deploy --help | true
        ddb-publish -C archive dists trixie >&-
        ddb-publish -C archive dists trixie 2>&-
        ddb-deploy -C archive commit nowhere 2>&- >&-; [ $? = 3 ]";
    let run = shell(&sandbox, script);
    assert!(!run.err.contains("panicked") && !run.err.contains("Broken pipe"), "{}", run.err);
    assert_eq!(run.code, 0, "{}{}", run.out, run.err);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn logs_are_quiet_plain_lines_and_more_is_said_on_request() {
    let sandbox = workshop();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    let commit = sandbox.commit("out", &[]).ok();
    assert_eq!(commit.err, "", "nothing to say on standard error");
    let dists = sandbox.dists(&[]).ok();
    assert_eq!(dists.err, "");
    sandbox.deb("more", "more", "1", "amd64", "");
    let loud = sandbox.commit("more", &["-v", "-v"]).ok();
    assert!(loud.err.contains("more_1_amd64.deb"), "{}", loud.err);
    let loud = sandbox.dists(&["-v", "-v"]).ok();
    assert!(loud.err.contains("InRelease"), "{}", loud.err);
    for text in [commit.out, dists.out, loud.out, loud.err] {
        assert!(!text.contains(['\x1b', '\r']), "{text:?}");
    }
}

#[test]
fn the_time_that_is_given_is_the_time_that_is_used() {
    let mut sandbox = workshop();
    sandbox.environment.insert("DDB_NOW".to_owned(), "2026-11-11T11:11:11Z".to_owned());
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.write(format!("single/{DEB}"), deb(CONTROL));
    sandbox.commit("single", &[]).ok();
    assert_eq!(sandbox.git(&["log", "-1", "--format=%ct"]).ok().out, "1794395471\n");
    sandbox.dists(&[]).ok();
    let release = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap();
    assert!(
        release.contains("\nDate: Wed, 11 Nov 2026 11:11:11 +0000\n") || release.contains("\nDate: Wed, 11 Nov 2026 11:11:11 UTC\n"),
        "{release}"
    );
}
