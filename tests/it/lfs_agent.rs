//! Stock git-lfs, of Debian 12 and of Debian 13, through ddb's transfer agent; and clones filled by `ddb-deploy fetch`.

use std::fs;
use std::path::Path;

use super::gateway::Gateway;
use super::lfs_server::{Access, LfsServer};
use super::sandbox::{Run, Sandbox, cache};
use super::seaweed::{self, Seaweed};
use super::specimens::configure;

/// A sandbox in which `git lfs` is that of Debian 12 or of Debian 13, with its filters, and an archive that holds a package.
fn sandbox(trixie: bool, table: impl FnOnce(&mut Sandbox) -> String) -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.environment.insert("GIT_CONFIG_NOSYSTEM".to_owned(), "1".to_owned());
    if trixie {
        let path = format!("{}:{}", cache("git-lfs/bin").display(), std::env::var("PATH").unwrap());
        sandbox.environment.insert("PATH".to_owned(), path);
    }
    let version = sandbox.run("git", &["lfs", "version"]).ok().out;
    assert_eq!(version.starts_with("git-lfs/3.6."), trixie, "{version}");
    assert_eq!(version.starts_with("git-lfs/3.3."), !trixie, "{version}");
    sandbox.run("git", &["lfs", "install", "--skip-repo"]).ok();
    sandbox.deploy(&["init", "archive", "--architecture", "amd64"]).ok();
    let table = table(&mut sandbox);
    configure(&sandbox, &table, "");
    sandbox.commit(cache("out/small"), &[]).ok();
    sandbox
}

/// Objects in a folder beside the archive.
fn folder(sandbox: &mut Sandbox) -> String {
    format!("[store]\npath = \"{}\"\n", sandbox.path("objects").display())
}

/// The settings of the agent as one command takes them.
fn agent() -> Vec<String> {
    let settings = [
        "lfs.standalonetransferagent=ddb".to_owned(),
        format!("lfs.customtransfer.ddb.path={}", env!("CARGO_BIN_EXE_ddb-deploy")),
        "lfs.customtransfer.ddb.args=lfs-agent".to_owned(),
    ];
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

fn git_in(sandbox: &Sandbox, folder: &str, arguments: &[&str]) -> Run {
    sandbox.run("git", &[&["-C", folder], arguments].concat())
}

/// Clones without any object.
fn bare_clone(sandbox: &mut Sandbox) {
    sandbox.environment.insert("GIT_LFS_SKIP_SMUDGE".to_owned(), "1".to_owned());
    sandbox.run("git", &["clone", "-q", "archive", "clone"]).ok();
    sandbox.environment.remove("GIT_LFS_SKIP_SMUDGE");
}

/// Every pool file of a clone is the file that was deployed, and git-lfs is content.
#[track_caller]
fn is_whole(sandbox: &Sandbox, clone: &str) {
    let files = git_in(sandbox, clone, &["ls-files", "pool"]).ok().out;
    assert_eq!(files.lines().count(), fs::read_dir(cache("out/small")).unwrap().count());
    for file in files.lines() {
        let original = cache("out/small").join(file.rsplit('/').next().unwrap());
        assert!(fs::read(sandbox.path(clone).join(file)).unwrap() == fs::read(original).unwrap(), "{file} is not the file");
    }
    git_in(sandbox, clone, &["lfs", "fsck"]).ok();
    assert_eq!(git_in(sandbox, clone, &["status", "--porcelain"]).ok().out, "");
}

#[test]
fn a_clone_through_the_agent_takes_one_command_and_no_server() {
    for trixie in [false, true] {
        let sandbox = sandbox(trixie, folder);
        let agent = agent();
        let mut words: Vec<&str> = agent.iter().map(String::as_str).collect();
        // A remote that has no object, as every forge without Git-LFS.
        sandbox.run("git", &["clone", "-q", "--bare", "archive", "remote"]).ok();
        words.extend(["clone", "-q", "remote", "clone"]);
        let run = sandbox.run("git", &words).ok();
        is_whole(&sandbox, "clone");
        assert!(!run.err.contains("warning") && !run.err.contains("rror"), "{}", run.err);
        assert_eq!(sandbox.run("find", &["clone/.git/lfs/tmp", "-type", "f"]).out, "", "nothing is left over");
    }
}

#[test]
fn an_installed_agent_pulls_and_pushes_objects_of_every_kind_of_store() {
    let mut servers = Vec::new();
    for (trixie, kind) in [(false, "s3"), (true, "s3"), (false, "lfs"), (true, "folder")] {
        let mut sandbox = sandbox(trixie, |sandbox| match kind {
            "s3" => {
                seaweed::give(sandbox, seaweed::WRITER);
                Seaweed::shared().bucket(&format!("agent-{trixie}")).table("store.s3", "lfs/objects")
            }
            "lfs" => {
                servers.push(LfsServer::start(sandbox, &Access::Anybody));
                servers[0].table()
            }
            _ => folder(sandbox),
        });
        bare_clone(&mut sandbox);
        let installed = sandbox.deploy(&["-C", "clone", "lfs-agent", "--install", "--json"]).ok().json();
        assert_eq!(installed["settings"]["lfs.standalonetransferagent"], "ddb");
        git_in(&sandbox, "clone", &["lfs", "pull"]).ok();
        is_whole(&sandbox, "clone");
        // Somebody adds a package with git-lfs alone; its objects go to the store through the agent.
        let deb = sandbox.deb("more", "more", "1", "amd64", "");
        let name = "pool/main/m/more/more_1_amd64.deb";
        sandbox.write(format!("clone/{name}"), fs::read(&deb).unwrap());
        git_in(&sandbox, "clone", &["add", "pool"]).ok();
        git_in(&sandbox, "clone", &["commit", "-q", "-m", "Add more."]).ok();
        let run = git_in(&sandbox, "clone", &["lfs", "push", "--all", "origin"]).ok();
        assert!(!run.err.contains("rror"), "{}", run.err);
        git_in(&sandbox, "clone", &["push", "-q", "origin", "HEAD:refs/heads/more"]).ok();
        sandbox.environment.insert("GIT_LFS_SKIP_SMUDGE".to_owned(), "1".to_owned());
        sandbox.git(&["merge", "-q", "more"]).ok();
        let adopted = sandbox.deploy(&["-C", "archive", "adopt", "--json"]).ok().json();
        assert_eq!((adopted["files"].as_u64(), adopted["landed"]["new_objects"].as_u64()), (Some(1), Some(0)), "{kind}: {adopted}");
        sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
        // Once removed, git-lfs knows the agent no more.
        let removed = sandbox.deploy(&["-C", "clone", "lfs-agent", "--uninstall", "--json"]).ok().json();
        assert_eq!(removed["settings"], installed["settings"]);
        assert_eq!(git_in(&sandbox, "clone", &["config", "--local", "--get-regexp", "^lfs\\."]).out, "lfs.repositoryformatversion 0\n");
    }
}

#[test]
fn an_agent_for_an_address_serves_plain_clones_of_archives_that_name_it() {
    for trixie in [false, true] {
        let sandbox = sandbox(trixie, folder);
        let url = "https://archive.example.org/lfs";
        let toml = fs::read_to_string(sandbox.archive().join("ddb.toml")).unwrap();
        fs::write(sandbox.archive().join("ddb.toml"), format!("[lfs]\nurl = \"{url}\"\n{toml}")).unwrap();
        super::specimens::commit_by_hand(&sandbox, "Name the address.");
        // ddb.toml and .lfsconfig must agree: both commands say so, with the remedy, which works.
        let found = sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).out;
        let warned = sandbox.commit(cache("out/small"), &[]).ok().err;
        for said in [&found, &warned] {
            assert!(said.contains(".lfsconfig") && said.contains("git config -f"), "{said}");
        }
        let remedy = found.split('`').nth(1).unwrap();
        sandbox.run("sh", &["-c", &format!("cd archive && {remedy} && git commit -q -m lfsconfig")]).ok();
        sandbox.deploy(&["-C", "archive", "fsck"]).ok();
        assert_eq!(sandbox.commit(cache("out/small"), &[]).ok().err, "");

        sandbox.deploy(&["lfs-agent", "--install", "--url", url]).ok();
        sandbox.run("git", &["clone", "-q", "archive", "clone"]).ok();
        is_whole(&sandbox, "clone");
        // Other repositories are left alone.
        assert_eq!(sandbox.run("git", &["config", "--global", "lfs.standalonetransferagent"]).code, 1);
        sandbox.deploy(&["lfs-agent", "--uninstall", "--url", url]).ok();
        let left = sandbox.run("git", &["config", "--global", "--list"]).ok().out;
        assert!(!left.contains("ddb"), "{left}");
    }
}

#[test]
fn init_writes_an_lfsconfig_that_names_an_address_and_no_program() {
    let sandbox = Sandbox::new();
    sandbox.deploy(&["init", "archive", "--lfs-url", "https://deb.example.org/lfs"]).ok();
    let text = fs::read_to_string(sandbox.archive().join(".lfsconfig")).unwrap();
    let said = sandbox.run("git", &["config", "-f", "archive/.lfsconfig", "--list"]).ok().out;
    assert_eq!(said, "lfs.url=https://deb.example.org/lfs\nlfs.locksverify=false\n", "{text}");
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    let env = sandbox.git(&["lfs", "env"]).ok();
    assert!(env.out.contains("Endpoint=https://deb.example.org/lfs (auth"), "{}", env.out);
    assert!(!format!("{}{}", env.out, env.err).contains("unsafe"), "{}", env.err);
    // Another address that is there already is not overwritten.
    sandbox.run("git", &["init", "-q", "-b", "main", "own"]).ok();
    sandbox.write("own/.lfsconfig", "[lfs]\n\turl = https://elsewhere.example.org/\n");
    sandbox.run("sh", &["-c", "cd own && git add . && git commit -q -m own"]).ok();
    sandbox.deploy(&["init", "own", "--lfs-url", "https://deb.example.org/lfs"]).exits(4).says("elsewhere.example.org");
    sandbox.deploy(&["init", "own", "--lfs-url", "https://user:x@deb.example.org/lfs"]).exits(2).says("password");
    sandbox.deploy(&["init", "own"]).ok();
}

#[test]
fn the_agent_says_what_is_wrong() {
    let mut sandbox = sandbox(true, folder);
    bare_clone(&mut sandbox);
    sandbox.deploy(&["-C", "clone", "lfs-agent", "--install"]).ok();
    let listed = sandbox.git(&["lfs", "ls-files", "--long"]).ok().out;
    let oid = listed[..64].to_owned();
    let object = sandbox.path("objects").join(&oid[..2]).join(&oid[2..4]).join(&oid);
    let good = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    let run = git_in(&sandbox, "clone", &["lfs", "pull"]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("has no object") && run.err.contains(&oid), "{}", run.err);
    let mut wrong = good.clone();
    wrong[0] ^= 1;
    fs::write(&object, wrong).unwrap();
    let run = git_in(&sandbox, "clone", &["lfs", "pull"]);
    assert_ne!(run.code, 0);
    assert!(run.err.contains("what came has"), "{}", run.err);
    fs::remove_file(&object).unwrap();
    fs::write(&object, good).unwrap();
    git_in(&sandbox, "clone", &["lfs", "pull"]).ok();
    is_whole(&sandbox, "clone");

    // Objects that lie on another machine only.
    let run = sandbox.run("sh", &["-c", "cp -r clone far && git -C far remote set-url origin https://git.example.org/a.git"]);
    run.ok();
    configure_default_store(&sandbox, "far");
    sandbox.run("rm", &["-r", "far/.git/lfs/objects"]).ok();
    let run = sandbox.deploy(&["-C", "far", "fetch"]).exits(4);
    assert!(run.err.contains("on the machine where it is") && run.err.contains("store.s3"), "{}", run.err);
    let run = git_in(&sandbox, "far", &["lfs", "fetch"]);
    assert!(run.code != 0 && run.err.contains("on the machine where it is"), "{}", run.err);
    // Another agent is not displaced.
    git_in(&sandbox, "clone", &["config", "lfs.standalonetransferagent", "other"]).ok();
    sandbox.deploy(&["-C", "clone", "lfs-agent", "--install"]).exits(1).says("another agent");
    sandbox.deploy(&["-C", "home", "lfs-agent", "--install"]).exits(4);
    sandbox.deploy(&["lfs-agent", "--url", "https://a.example/"]).exits(2);
}

/// Commits a ddb.toml that names no store.
fn configure_default_store(sandbox: &Sandbox, clone: &str) {
    let path = sandbox.path(clone).join("ddb.toml");
    let text = fs::read_to_string(&path).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| *line != "[store]" && !line.starts_with("path")).collect();
    fs::write(&path, kept.join("\n") + "\n").unwrap();
    git_in(sandbox, clone, &["commit", "-q", "-a", "-m", "Keep objects here."]).ok();
}

#[test]
fn fetch_fills_a_clone_for_git_lfs_checkout() {
    for trixie in [false, true] {
        let mut sandbox = sandbox(trixie, folder);
        sandbox.commit(cache("out/two-amd64"), &[]).ok();
        bare_clone(&mut sandbox);
        let fetch = |arguments: &[&str]| sandbox.deploy(&[&["-C", "clone", "--json", "fetch"], arguments].concat()).ok().json();
        let one = fetch(&["pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb"]);
        let size = fs::metadata(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap().len();
        assert_eq!((&one["objects"], &one["fetched"], &one["bytes"]), (&1.into(), &1.into(), &size.into()));
        let source = fetch(&["--source", "hostname"]);
        let files = fs::read_dir(cache("out/small")).unwrap().count();
        assert_eq!((&source["objects"], &source["present"], &source["fetched"]), (&files.into(), &1.into(), &(files - 1).into()));
        // The suite offers packages and sources, and no evidence of builds.
        let suite = fetch(&["--suite", "trixie", "--source", "hostname"]);
        assert_eq!((&suite["objects"], &suite["fetched"]), (&(files - 3).into(), &0.into()), "{suite}");
        let all = fetch(&[]);
        assert!(all["fetched"].as_u64() > Some(5) && all["present"] == files);
        git_in(&sandbox, "clone", &["lfs", "checkout"]).ok();
        git_in(&sandbox, "clone", &["lfs", "fsck"]).ok();
        assert_eq!(git_in(&sandbox, "clone", &["status", "--porcelain"]).ok().out, "");
        let deb = sandbox.path("clone/pool/main/h/hostname/hostname_3.23+nmu1_amd64.deb");
        assert_eq!(fs::read(deb).unwrap(), fs::read(cache("out/small/hostname_3.23+nmu1_amd64.deb")).unwrap());
        sandbox.deploy(&["-C", "clone", "fetch", "--source", "nosuch"]).exits(4).says("no pool file");
        sandbox.deploy(&["-C", "clone", "fetch", "--suite", "sid"]).exits(4).says("no suite");
    }
}

#[test]
fn fetch_goes_on_where_it_was_and_keeps_nothing_that_is_wrong() {
    let mut sandbox = sandbox(false, folder);
    bare_clone(&mut sandbox);
    let listed = sandbox.git(&["lfs", "ls-files", "--long"]).ok().out;
    let oids: Vec<&str> = listed.lines().map(|line| &line[..64]).collect();
    let of = |root: &str, oid: &str| sandbox.path(root).join(&oid[..2]).join(&oid[2..4]).join(oid);
    let good = fs::read(of("objects", oids[0])).unwrap();
    fs::remove_file(of("objects", oids[0])).unwrap();
    fs::remove_file(of("objects", oids[1])).unwrap();
    fs::write(of("objects", oids[0]), vec![0; good.len()]).unwrap();
    let run = sandbox.deploy(&["-C", "clone", "fetch"]).exits(4);
    assert!(run.err.contains("2 of ") && run.err.contains(oids[1]) && run.err.contains(oids[0]), "{}", run.err);
    let there = |sandbox: &Sandbox| sandbox.run("find", &["clone/.git/lfs", "-type", "f"]).ok().out.lines().count();
    assert_eq!(there(&sandbox), oids.len() - 2, "what is good came, and no temporary file is left");
    fs::remove_file(of("objects", oids[0])).unwrap();
    sandbox.commit(cache("out/small"), &[]).ok();
    // A file cut short, as a crash of another program may leave it.
    let cut = of("clone/.git/lfs/objects", oids[2]);
    fs::remove_file(&cut).unwrap();
    fs::write(&cut, "x").unwrap();
    let answer = sandbox.deploy(&["-C", "clone", "fetch", "--json"]).ok().json();
    assert_eq!((&answer["fetched"], &answer["present"]), (&3.into(), &(oids.len() - 3).into()));
    git_in(&sandbox, "clone", &["lfs", "checkout"]).ok();
    is_whole(&sandbox, "clone");
    // The history too: what was replaced long ago.
    sandbox.deb("first", "hello", "1.0-1", "amd64", "Description: first\n");
    sandbox.commit("first", &[]).ok();
    sandbox.deb("second", "hello", "1.0-1", "amd64", "Description: second\n");
    sandbox.commit("second", &["--on-conflict", "replace"]).ok();
    sandbox.environment.insert("GIT_LFS_SKIP_SMUDGE".to_owned(), "1".to_owned());
    git_in(&sandbox, "clone", &["pull", "-q"]).ok();
    let fetched = |sandbox: &Sandbox, more: &[&str]| {
        sandbox.deploy(&[&["-C", "clone", "--json", "fetch"], more].concat()).ok().json()["fetched"].as_u64().unwrap()
    };
    assert_eq!(fetched(&sandbox, &[]), 1);
    assert_eq!(fetched(&sandbox, &["--all"]), 1);
    assert_eq!(there(&sandbox), sandbox.run("find", &["objects", "-type", "f"]).ok().out.lines().count());
    // CI jobs work on a detached HEAD.
    git_in(&sandbox, "clone", &["checkout", "-q", "--detach", "HEAD~2"]).ok();
    sandbox.run("rm", &["-r", "clone/.git/lfs/objects"]).ok();
    assert_eq!(fetched(&sandbox, &[]), oids.len() as u64);
}

#[test]
fn fetch_takes_objects_of_s3_and_of_a_forges_git_lfs() {
    let servers = Sandbox::new();
    let server = LfsServer::start(&servers, &Access::Anybody);
    for kind in ["s3", "lfs"] {
        let mut sandbox = sandbox(false, |sandbox| match kind {
            "s3" => {
                seaweed::give(sandbox, seaweed::WRITER);
                Seaweed::shared().bucket("fetched").table("store.s3", "lfs/objects")
            }
            _ => server.table(),
        });
        bare_clone(&mut sandbox);
        let files = fs::read_dir(cache("out/small")).unwrap().count();
        let answer = sandbox.deploy(&["-C", "clone", "fetch", "--json"]).ok().json();
        assert_eq!(answer["fetched"], files);
        let requests = answer["requests"]["reads"].as_u64().unwrap();
        assert_eq!(requests, files as u64, "one request for each object: {answer}");
        git_in(&sandbox, "clone", &["lfs", "checkout"]).ok();
        is_whole(&sandbox, "clone");
        assert_eq!(sandbox.deploy(&["-C", "clone", "fetch", "--json"]).ok().json()["requests"]["reads"], 0);
    }
}

#[test]
fn a_clone_of_an_archive_with_its_objects_in_it_is_filled_from_it() {
    let mut sandbox = sandbox(false, |_| String::new());
    bare_clone(&mut sandbox);
    sandbox.deploy(&["-C", "clone", "lfs-agent", "--install"]).ok();
    git_in(&sandbox, "clone", &["lfs", "pull"]).ok();
    is_whole(&sandbox, "clone");
    sandbox.run("rm", &["-r", "clone/.git/lfs/objects"]).ok();
    let answer = sandbox.deploy(&["-C", "clone", "fetch", "--json"]).ok().json();
    assert!(Path::new(answer["store"].as_str().unwrap()).starts_with(sandbox.archive()), "{answer}");
    // The archive itself lacks nothing.
    assert_eq!(sandbox.deploy(&["-C", "archive", "fetch", "--json"]).ok().json()["fetched"], 0);
    // git-lfs may be told to keep objects elsewhere.
    git_in(&sandbox, "clone", &["config", "lfs.storage", sandbox.path("elsewhere").to_str().unwrap()]).ok();
    sandbox.deploy(&["-C", "clone", "fetch"]).ok();
    assert!(sandbox.path("elsewhere/objects").is_dir());
    git_in(&sandbox, "clone", &["lfs", "fsck"]).ok();
}

#[test]
fn the_gateway_is_a_store_to_read_from_and_says_so_to_who_writes() {
    let mut sandbox = sandbox(false, |_| String::new());
    let gateway = Gateway::of(&sandbox, &[]);
    bare_clone(&mut sandbox);
    let toml = fs::read_to_string(sandbox.path("clone/ddb.toml")).unwrap();
    fs::write(sandbox.path("clone/ddb.toml"), format!("[store.lfs]\nurl = \"{}lfs\"\n{toml}", gateway.url())).unwrap();
    git_in(&sandbox, "clone", &["commit", "-q", "-a", "-m", "Read from the gateway."]).ok();
    let answer = sandbox.deploy(&["-C", "clone", "fetch", "--json"]).ok().json();
    assert_eq!(answer["fetched"], fs::read_dir(cache("out/small")).unwrap().count());
    git_in(&sandbox, "clone", &["lfs", "checkout"]).ok();
    is_whole(&sandbox, "clone");
    sandbox.deploy(&["-C", "clone", "fsck", "--full"]).ok();
    sandbox.deb("more", "more", "1", "amd64", "");
    let run = sandbox.deploy(&["-C", "clone", "commit", "more", "--no-push"]);
    assert!(run.code == 1 && run.err.contains("object store") && run.err.contains("answers"), "{}", run.err);
    assert!(gateway.log().contains("POST /lfs/objects/batch"), "{}", gateway.log());
}
