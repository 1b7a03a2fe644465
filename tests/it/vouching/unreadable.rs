//! Files that cannot be read, or say nonsense, on the branch of Releases: they stop nobody.

use super::*;

#[test]
fn what_cannot_be_read_is_left_behind_and_the_next_publish_goes_on() {
    let sandbox = published();
    sandbox.deb("two", "two", "1", "amd64", "");
    sandbox.commit("two", &[]).ok();
    sandbox.dists(&[]).ok();
    let mut number = 2;
    for file in ["Release", "inputs.json", "fold.json", "served.json", "InRelease", "recorded.asc", INDEX, "sheets"] {
        for bytes in [Some("garbage"), Some(""), None] {
            if (file, bytes) == ("sheets", None) {
                continue;
            }
            let mut planted = Plant::on(&sandbox, BRANCH);
            if file == "sheets" {
                planted.recorded().iter().filter(|path| path.starts_with("sheets/")).for_each(|path| planted.remove(path));
            }
            match bytes {
                Some(bytes) => planted.put(file, bytes),
                None => planted.remove(file),
            }
            planted.commit(&[BRANCH, "HEAD"]);
            number += 1;
            let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
            assert_eq!(sequence(&run), number, "{file}: {bytes:?}");
        }
    }
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!((run.json()["suites"][0]["outcome"].clone(), run.err.as_str()), ("unchanged".into(), ""));
    assert_eq!(packages(&sandbox).matches("Package: ").count(), 2);
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    sandbox.publish(&["-C", "archive", "rebuild", "trixie"]).ok();
}

#[test]
fn what_is_no_file_is_left_behind_too() {
    let sandbox = published();
    let script = |entry: &str| {
        format!(
            "set -e; cd archive; export GIT_INDEX_FILE=$PWD/.git/odd; git read-tree {BRANCH}; {entry}
             tree=$(git write-tree); git update-ref refs/heads/{BRANCH} $(git commit-tree $tree -p {BRANCH} -m Serve.); rm $GIT_INDEX_FILE"
        )
    };
    let one = "1".repeat(40);
    let mut number = 1;
    for path in ["Release", "recorded.asc", "inputs.json", "fold.json", "served.json", "Release.proof", INDEX, "sheets", "sheets/more"] {
        let below = format!("git rm -rq --cached --ignore-unmatch {path}; ");
        for entry in [
            // A submodule, a link, a folder, and a name that is no text.
            format!("git update-index --add --cacheinfo 160000,{one},{path}"),
            format!("git update-index --add --cacheinfo 120000,$(printf /etc/passwd | git hash-object -w --stdin),{path}"),
            format!("git update-index --add --cacheinfo 100644,$(git hash-object -w /dev/null),{path}/below"),
            format!("git update-index --add --cacheinfo 100644,$(git hash-object -w /dev/null),\"{path}$(printf '\\377')\""),
        ] {
            sandbox.run("bash", &["-c", &script(&(below.clone() + &entry))]).ok();
            number += 1;
            let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
            assert_eq!(sequence(&run), number, "{entry}");
        }
    }
    assert!(sandbox.dists(&[]).ok().err.is_empty());
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    sandbox.git(&["fsck", "--strict"]).ok();
}

#[test]
fn what_is_of_another_kind_than_its_tree_says_is_left_behind_too() {
    let sandbox = published();
    for (number, path) in ["Release", "inputs.json", "recorded.asc", "lists.json", "sheets", INDEX].into_iter().enumerate() {
        // A tree that nothing else names, as a file; a file, as a tree.
        let script = format!(
            "set -e; cd archive; export GIT_INDEX_FILE=$PWD/.git/odd; git read-tree {BRANCH}; git rm -rq --cached --ignore-unmatch {path}
             blob=$(echo {number} | git hash-object -w --stdin); tree=$(printf '100644 blob %s\tx{number}\n' $blob | git mktree)
             git update-index --add --cacheinfo 100644,$tree,{path}
             top=$(git write-tree --missing-ok); git update-ref refs/heads/{BRANCH} $(git commit-tree $top -p {BRANCH} -m Serve.); rm $GIT_INDEX_FILE"
        );
        sandbox.run("bash", &["-c", &script]).ok();
        let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
        assert_eq!(sequence(&run), number + 2, "{path}");
        sandbox.deploy(&["-C", "archive", "gc", "--json"]).ok();
    }
    assert!(sandbox.dists(&[]).ok().err.is_empty());
}

#[test]
fn what_is_too_large_to_be_read_is_left_behind_too() {
    let sandbox = published();
    let base = sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned();
    // Half of what is read at most, so that two names of it are too much; and a little more than all.
    for (number, (megabytes, paths)) in
        [(129, &["sheets/one", "sheets/two"][..]), (257, &["inputs.json"]), (257, &["Release"]), (257, &["recorded.asc"])]
            .into_iter()
            .enumerate()
    {
        let entries: String = paths.iter().map(|path| format!("git update-index --add --cacheinfo 100644,$blob,{path}; ")).collect();
        let script = format!(
            "set -e; cd archive; export GIT_INDEX_FILE=$PWD/.git/odd; git read-tree {BRANCH}
             blob=$(head -c {megabytes}M /dev/zero | git -c core.compression=1 hash-object -w --stdin); {entries}
             top=$(git write-tree); git update-ref refs/heads/{BRANCH} $(git commit-tree $top -p {BRANCH} -p {base} -m Serve.); rm $GIT_INDEX_FILE"
        );
        sandbox.run("bash", &["-c", &script]).ok();
        let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
        assert_eq!(sequence(&run), number + 2, "{paths:?}");
    }
    assert!(sandbox.dists(&[]).ok().err.is_empty());
}

#[test]
fn a_date_or_number_that_nobody_signed_is_not_followed() {
    let sandbox = published();
    let mut planted = Plant::on(&sandbox, BRANCH);
    let release = String::from_utf8(planted.file("Release")).unwrap();
    let date = release.lines().find(|line| line.starts_with("Date: ")).unwrap();
    planted.put("Release", release.replacen(date, "Date: Sun, 01 Jan 2096 00:00:00 UTC", 1));
    planted.edit("inputs.json", |inputs| {
        inputs["date"] = 3_976_214_400_i64.into();
        inputs["sequence"] = u64::MAX.into();
    });
    planted.commit(&[BRANCH, "HEAD"]);
    let run = sandbox.dists(&["--json"]).ok().says(UNVOUCHED);
    assert_eq!(sequence(&run), 2);
    assert!(sandbox.dists(&[]).ok().err.is_empty());
}

#[test]
fn the_same_where_no_key_vouches_for_anything_before() {
    let sandbox = published();
    // As older programs left it, with nonsense after it.
    let mut planted = Plant::on(&sandbox, BRANCH);
    planted.remove("recorded.asc");
    planted.commit(&["HEAD"]);
    for file in ["Release", "inputs.json", "fold.json"] {
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.put(file, "garbage");
        planted.commit(&[BRANCH]);
    }
    let run = sandbox.dists(&["--json"]).ok().says("everything is made from the records");
    assert_eq!(sequence(&run), 2);
    assert!(sandbox.dists(&[]).ok().err.is_empty());
    assert_eq!(packages(&sandbox).matches("Package: ").count(), 1);
}
