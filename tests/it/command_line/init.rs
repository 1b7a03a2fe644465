//! `ddb-deploy init` in all sorts of folders: it never overwrites.

use super::super::client::as_root;
use super::super::sandbox::Sandbox;
use super::{shell, workshop};

/// The state of a folder: every path with its kind, mode and digest.
fn state(sandbox: &Sandbox, folder: &str) -> String {
    shell(sandbox, &format!("cd {folder} && find . -path ./.git/objects -prune -o -printf '%p %y %m ' -a \\( -type f -exec sha256sum {{}} \\; -o -print \\) | sort")).ok().out
}

#[test]
fn init_never_overwrites() {
    let sandbox = workshop();
    // An archive.
    sandbox.deploy(&["init", "archive"]).ok();
    let before = state(&sandbox, "archive");
    sandbox.deploy(&["init", "archive", "--suite", "sid"]).exits(4).says("is an archive already");
    sandbox.deploy(&["-C", "archive", "init"]).exits(4).says("is an archive already");
    assert_eq!(state(&sandbox, "archive"), before);
    // A folder in it, also one that does not exist yet.
    sandbox.deploy(&["init", "archive/keys"]).exits(4).says("is inside the repository");
    sandbox.deploy(&["init", "archive/new"]).exits(4).says("is inside the repository");
    assert!(!sandbox.archive().join("new").exists());
    assert_eq!(state(&sandbox, "archive"), before);
    // Files in the way.
    for file in ["ddb.toml", ".gitattributes", ".gitignore", "keys/README"] {
        sandbox.run("rm", &["-rf", "folder"]).ok();
        sandbox.write(format!("folder/{file}"), "precious\n");
        sandbox.deploy(&["init", "folder"]).exits(4).says(file).says("is in the way");
        assert_eq!(std::fs::read_to_string(sandbox.path("folder").join(file)).unwrap(), "precious\n");
        let left = sandbox.run("git", &["-C", "folder", "for-each-ref"]).out;
        assert_eq!(left, "", "{file}: a commit was made");
    }
    sandbox.run("rm", &["-rf", "folder"]).ok();
    sandbox.write("folder/keys", "a file where a folder belongs\n");
    let run = sandbox.deploy(&["init", "folder"]);
    assert_ne!(run.code, 0, "{}", run.out);
    assert!(std::fs::read_to_string(sandbox.path("folder/keys")).unwrap().starts_with("a file"));
    sandbox.write("file", "x");
    assert_ne!(sandbox.deploy(&["init", "file"]).code, 0);
    assert_eq!(std::fs::read_to_string(sandbox.path("file")).unwrap(), "x");
    // Other files are no obstacle and stay as they are.
    sandbox.write("notes/README", "mine\n");
    sandbox.deploy(&["init", "notes"]).ok();
    assert_eq!(std::fs::read_to_string(sandbox.path("notes/README")).unwrap(), "mine\n");
    assert_eq!(sandbox.run("git", &["-C", "notes", "status", "--porcelain"]).ok().out, "?? README\n");
}

#[test]
fn a_git_repository_that_is_no_archive_becomes_one_and_keeps_its_content() {
    let sandbox = workshop();
    shell(&sandbox, "git init -q -b trunk project && cd project && printf '*.bin filter=x' >.gitattributes && echo /build >.gitignore && mkdir keys && echo mine >keys/README && echo source >main.c && git add -A && git commit -q -m first && echo edited >>main.c && echo new >staged && git add staged").ok();
    let run = sandbox.deploy(&["init", "project", "--json"]).ok();
    assert_eq!(run.json()["branch"], "refs/heads/trunk");
    let show = |path: &str| sandbox.run("git", &["-C", "project", "show", &format!("trunk:{path}")]).ok().out;
    assert_eq!(show(".gitattributes"), "*.bin filter=x\npool/** filter=lfs diff=lfs merge=lfs -text\n");
    assert_eq!(show(".gitignore"), "/build\n/public/\n");
    assert_eq!((show("keys/README"), show("main.c")), ("mine\n".to_owned(), "source\n".to_owned()));
    assert_eq!(sandbox.run("git", &["-C", "project", "status", "--porcelain"]).ok().out, " M main.c\nA  staged\n");
    assert_eq!(
        sandbox.run("git", &["-C", "project", "log", "--format=%s"]).ok().out,
        "Make an apt archive with the suite trixie.\nfirst\n"
    );
    sandbox.deploy(&["-C", "project", "commit", "out"]).ok();
    // From a folder below, too.
    std::fs::create_dir_all(sandbox.path("project/deep/er")).unwrap();
    sandbox.deploy(&["-C", "project/deep/er", "fsck"]).ok();
    // A committed file that is edited is in the way.
    shell(&sandbox, "git init -q other && cd other && echo x >.gitignore && git add -A && git commit -q -m first && echo y >.gitignore")
        .ok();
    sandbox.deploy(&["init", "other"]).exits(4).says(".gitignore");
    assert_eq!(std::fs::read_to_string(sandbox.path("other/.gitignore")).unwrap(), "y\n");
    // A bare one and one without any commit.
    shell(&sandbox, "git init -q --bare bare.git && git init -q empty").ok();
    sandbox.deploy(&["init", "bare.git"]).ok();
    sandbox.deploy(&["-C", "bare.git", "commit", "out"]).ok();
    sandbox.deploy(&["init", "empty"]).ok();
    assert_eq!(sandbox.run("git", &["-C", "empty", "status", "--porcelain"]).ok().out, "");
}

#[test]
fn init_says_what_to_do_next_and_that_works() {
    let sandbox = workshop();
    let run = sandbox.deploy(&["init", "archive"]).ok();
    let commands: Vec<&str> = run.out.lines().filter_map(|line| line.strip_prefix("  ddb-")).collect();
    assert_eq!(commands.len(), 3, "{}", run.out);
    for command in commands {
        let command = command.split("   ").next().unwrap();
        shell(&sandbox, &format!("ddb-{command}")).ok();
    }
    assert!(sandbox.public().join("dists/trixie/InRelease").exists());
}

#[test]
fn a_repository_of_another_user_is_named_with_the_remedy() {
    let sandbox = Sandbox::with_archive();
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
    let owner = sandbox.run("id", &["-u"]).ok().out;
    as_root(&sandbox, &["chown", "-R", "nobody", "archive"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck"]).exits(4).says("safe.directory");
    as_root(&sandbox, &["chown", "-R", owner.trim(), "archive"]).ok();
    sandbox.deploy(&["-C", "archive", "fsck"]).ok();
}
