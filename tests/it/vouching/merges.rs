//! Commits with other parents than ddb gives them, and trees of the archive set back without a trace in Git.

use super::again::put_again;
use super::*;

/// Two Releases after the first one, which say the same; with the commits that served each.
fn renewed() -> (Sandbox, Vec<String>) {
    let sandbox = published();
    let head = || sandbox.git(&["rev-parse", BRANCH]).ok().out.trim().to_owned();
    let mut served = vec![head()];
    for _ in 0..2 {
        sandbox.dists(&["--renew"]).ok();
        served.push(head());
    }
    (sandbox, served)
}

fn in_release(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.public().join("dists/trixie/InRelease")).unwrap()
}

fn date(sandbox: &Sandbox) -> String {
    in_release(sandbox).lines().find(|line| line.starts_with("Date: ")).unwrap().to_owned()
}

fn merge(sandbox: &Sandbox, tree: &str, parents: [&str; 2]) {
    let [first, second] = parents;
    let script =
        format!("set -e; cd archive; git update-ref refs/heads/{BRANCH} $(git commit-tree {tree} -p {first} -p {second} -m Serve.)");
    sandbox.run("sh", &["-c", &script]).ok();
}

/// The next publish makes a new Release of this number, whose Date is later than that of clients, and the one after it has nothing to do.
fn goes_on(sandbox: &Sandbox, before: &str, number: u64) {
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!((run.json()["suites"][0]["outcome"].clone(), sequence(&run)), ("published".into(), number.into()), "{}", run.err);
    assert!(run.err.contains("warning: "), "{}", run.err);
    assert_ne!(date(sandbox), before);
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!((run.json()["suites"][0]["outcome"].clone(), run.err.as_str()), ("unchanged".into(), ""));
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
}

#[test]
fn a_merge_neither_hides_what_stands_behind_it_nor_takes_clients_back() {
    let (sandbox, served) = renewed();
    let [first, _, last] = served.as_slice() else { panic!("{served:?}") };
    let before = date(&sandbox);
    merge(&sandbox, &format!("{first}^{{tree}}"), [first, last]);
    goes_on(&sandbox, &before, 4);
    // From a root of its own, with nothing in it.
    let tree = sandbox.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]).ok().out.trim().to_owned();
    let root = sandbox.git(&["commit-tree", &tree, "-m", "Begin"]).ok().out.trim().to_owned();
    let before = date(&sandbox);
    merge(&sandbox, &tree, [&root, BRANCH]);
    goes_on(&sandbox, &before, 5);
}

#[test]
fn a_signed_release_on_top_of_a_commit_that_names_another_place_does_not_count() {
    let (sandbox, served) = renewed();
    let before = date(&sandbox);
    let old = Plant::on(&sandbox, &served[0]);
    // The place is said below, where nothing is signed, and the old one stands on it as it was.
    let (tip, base) = (&served[2], sandbox.git(&["rev-parse", "HEAD"]).ok().out.trim().to_owned());
    let mut planted = Plant::on(&sandbox, &served[0]);
    planted.edit("inputs.json", |inputs| {
        inputs["after"] = tip.as_str().into();
        inputs["base"] = base.as_str().into();
    });
    planted.commit(&[tip, &base]);
    let mut planted = Plant::on(&sandbox, BRANCH);
    planted.put("inputs.json", old.file("inputs.json"));
    planted.commit(&[BRANCH]);
    goes_on(&sandbox, &before, 4);
}

#[test]
fn signatures_that_were_taken_away_or_put_before_others_are_made_again() {
    let sandbox = published();
    sandbox.publish(&["-C", "archive", "key", "generate"]).ok();
    sandbox.git(&["add", "keys"]).ok();
    let _ = sandbox.git(&["commit", "-qm", "Another key"]);
    sandbox.dists(&[]).ok();
    let honest = Plant::on(&sandbox, BRANCH);
    assert_eq!(honest.json("served.json")["signed_by"].as_array().unwrap().len(), 2);
    let signatures = |file: &str| {
        let packets = sandbox
            .run(
                "sh",
                &["-c", &format!("sed -n '/BEGIN PGP SIGNATURE/,$p' archive/public/dists/trixie/{file} | gpg --list-packets 2>/dev/null")],
            )
            .out;
        packets.matches(":signature packet:").count()
    };
    let both = ["InRelease", "Release.gpg"].map(signatures);
    assert_eq!(both, [2, 2]);
    // As a publisher makes it that has one of the keys.
    for file in ["InRelease", "Release.gpg"] {
        let text = String::from_utf8(honest.file(file)).unwrap();
        let script = r"import sys, base64
text = open(sys.argv[1]).read()
begin = text.index('-----BEGIN PGP SIGNATURE-----')
head, body = text[:begin], text[begin:].split('\n\n', 1)[1]
raw = base64.b64decode(''.join(line for line in body.split('\n') if line and line[0] not in '=-'))
assert raw[0] in (0xc2, 0x88), raw[0]
size = 3 + ((raw[1] - 192) * 256 + raw[2] + 192) if raw[0] == 0xc2 and raw[1] >= 192 else 2 + raw[1]
lines = base64.b64encode(raw[:size]).decode()
lines = '\n'.join(lines[at:at + 64] for at in range(0, len(lines), 64))
print(head + '-----BEGIN PGP SIGNATURE-----\n\n' + lines + '\n-----END PGP SIGNATURE-----')";
        let file_of = sandbox.write(format!("one/{file}"), &text);
        let one = sandbox.run("python3", &["-c", script, file_of.to_str().unwrap()]).ok().out;
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.put(file, one);
        planted.commit(&[BRANCH]);
        let run = sandbox.dists(&["--json"]).ok();
        assert_eq!(run.json()["suites"][0]["outcome"], "published", "{file}");
        assert_eq!(["InRelease", "Release.gpg"].map(signatures), both, "{file}");
    }
}

#[test]
fn a_branch_that_is_set_back_to_a_served_release_does_not_take_clients_back() {
    let (sandbox, served) = renewed();
    let before = date(&sandbox);
    sandbox.git(&["branch", "-f", BRANCH, &served[0]]).ok();
    sandbox.dists(&["--dry-run"]).ok();
    let run = sandbox.dists(&["--json"]).ok().says("which is not on ddb/releases/trixie: that was set back");
    assert_eq!(run.json()["suites"][0]["outcome"], "published");
    assert_ne!(date(&sandbox), before);
    let run = sandbox.dists(&["--json"]).ok();
    assert_eq!((run.json()["suites"][0]["outcome"].clone(), run.err.as_str()), ("unchanged".into(), ""));
}

#[test]
fn after_a_date_was_reset_what_was_dated_later_does_not_come_back() {
    let sandbox = Sandbox::with_archive_at("2026-09-14T08:00:00Z");
    for name in ["good", "bad"] {
        sandbox.deb(name, name, "1", "amd64", "");
    }
    sandbox.commit("good", &[]).ok();
    sandbox.dists_at("2026-09-14T08:00:00Z", &[]).ok();
    sandbox.commit("bad", &[]).ok();
    // By a clock that is two days ahead.
    sandbox.dists_at("2026-09-16T08:00:00Z", &[]).ok();
    let served = sandbox.git(&["rev-parse", BRANCH]).ok().out.trim().to_owned();
    sandbox.git(&["rm", "-rq", "pool/main/b/bad", "suites/trixie/main/binary-amd64/b/bad"]).ok();
    sandbox.git(&["commit", "-qm", "Remove what is bad"]).ok();
    sandbox.dists_at("2026-09-14T09:00:00Z", &["--reset-date"]).ok();
    for (minute, back, said) in [(10, format!("{served}^"), "that was set back"), (20, served, "")] {
        sandbox.git(&["branch", "-f", BRANCH, &back]).ok();
        sandbox.dists_at(&format!("2026-09-14T09:{minute}:00Z"), &[]).ok().says(said);
        assert!(!packages(&sandbox).contains("Package: bad"));
        assert_eq!(date(&sandbox), format!("Date: Mon, 14 Sep 2026 09:{minute}:00 UTC"));
    }
}

#[test]
fn cuts_that_a_pusher_planted_take_nothing_out_of_an_index() {
    let sandbox = Sandbox::with_archive();
    for name in ["aaa", "bbb", "ccc", "ddd"] {
        sandbox.deb("out", name, "1", "amd64", "");
    }
    sandbox.commit("out", &[]).ok();
    sandbox.dists(&[]).ok();
    let text = packages(&sandbox);
    let begins: Vec<usize> = text.match_indices("Package: ").map(|(at, _)| at).collect();
    let block = |from: usize, to: usize, name: &str| {
        let text = text.get(from..to).unwrap();
        let digest = ddb::words::digest::Sha256::of(text.as_bytes());
        let (bytes, lines) = (text.len(), text.lines().count());
        format!(
            "{{\"first\":{{\"name\":\"{name}\",\"second\":\"{name}\",\"version\":\"1\"}},\"bytes\":{bytes},\"lines\":{lines},\"paragraphs\":1,\
             \"sha256\":\"{digest}\",\"effort\":\"full\",\"forms\":{{}}}}"
        )
    };
    // The block of ccc says to be that of bbb, and comes in its place.
    let blocks = [block(0, begins[1], "aaa"), block(begins[1], begins[2], "bbb"), block(begins[1], begins[2], "ccc")];
    let mut planted = Plant::on(&sandbox, BRANCH);
    planted.put(INDEX, format!("{{\"blocks\": [\n{}\n]}}\n", blocks.join(",\n")));
    // Nothing that a key vouches for stands before it.
    planted.commit(&["HEAD"]);
    sandbox.dists(&[]).ok().says("everything is made from the records");
    for (program, form) in [("xz", "xz"), ("gzip", "gz")] {
        let listed =
            sandbox.run("sh", &["-c", &format!("{program} -dc archive/public/dists/trixie/main/binary-amd64/Packages.{form}")]).ok().out;
        assert_eq!(listed, text, "{form}");
    }
    let verified = ["verify", "archive/public", "--suite", "trixie", "--keyring", "archive/keys"];
    sandbox.publish(&verified).ok();
}

#[test]
fn files_that_a_pusher_put_beside_a_release_reach_no_client() {
    let (sandbox, _) = renewed();
    let tree = || sandbox.run("find", &["archive/public/dists", "-type", "f"]).ok().out.lines().count();
    let (files, before) = (tree(), in_release(&sandbox));
    for (file, bytes) in [("Release.proof", "anything"), ("Release.sigstore.json", "{}"), ("more", "anything")] {
        let mut planted = Plant::on(&sandbox, BRANCH);
        planted.put(file, bytes);
        planted.commit(&[BRANCH]);
        sandbox.dists(&[]).ok();
        assert!(!sandbox.public().join("dists/trixie").join(file).exists(), "{file}");
        assert!(!sandbox.public().join("dists/trixie/tlog").exists(), "{file}");
    }
    assert!(tree() >= files);
    // Comments in the armor, which no signature is about.
    let mut planted = Plant::on(&sandbox, BRANCH);
    let text = String::from_utf8(planted.file("InRelease")).unwrap();
    let (head, rest) = text.split_once("-----BEGIN PGP SIGNATURE-----\n").unwrap();
    planted.put("InRelease", format!("{head}-----BEGIN PGP SIGNATURE-----\n{}{rest}", "Comment: no\n".repeat(10_000)));
    planted.commit(&[BRANCH]);
    sandbox.dists(&[]).ok().says(UNVOUCHED);
    let served = in_release(&sandbox);
    assert!(served.len() < 2 * before.len() && !served.contains("Comment: no"), "{}", served.len());
}

#[test]
fn what_is_served_again_by_a_pusher_makes_nothing_older() {
    let sandbox = published();
    keep(&sandbox, "keep-generations = 2\nkeep-for = \"1d\"\n");
    let publish = |hour: u64, name: &str| {
        sandbox.deb(name, name, "1", "amd64", "");
        sandbox.commit(name, &[]).ok();
        sandbox.dists_at(&format!("@{}", 1_796_000_000 + 3600 * hour), &[]).ok();
        let index = sandbox.run("sha256sum", &["archive/public/dists/trixie/main/binary-amd64/Packages.xz"]).ok().out;
        index.split(' ').next().unwrap().to_owned()
    };
    let by_hash = |digest: &str| sandbox.public().join("dists/trixie/main/binary-amd64/by-hash/SHA256").join(digest);
    publish(0, "one");
    publish(48, "two");
    let third = publish(96, "three");
    for commit in [0, 1] {
        put_again(&sandbox, &served_at(&sandbox, commit));
    }
    sandbox.deb("four", "four", "1", "amd64", "");
    sandbox.commit("four", &[]).ok();
    let answer = sandbox.dists_at(&format!("@{}", 1_796_000_000 + 3600 * 96 + 60), &["--json"]).ok().json();
    assert!(by_hash(&third).exists(), "it was current a minute ago");
    assert!(answer["suites"][0]["removed_files"].as_u64().unwrap() < 8, "nothing is removed twice: {answer}");
}

/// The commit that served the Release after the first one by so many.
fn served_at(sandbox: &Sandbox, number: usize) -> String {
    let served = sandbox.git(&["log", "--first-parent", "--reverse", "--format=%H", "--grep=^Serve Release", BRANCH]).ok().out;
    served.lines().nth(number + 1).unwrap().to_owned()
}

#[test]
fn the_collector_keeps_what_the_newest_release_needs_whatever_was_pushed_after_it() {
    let (sandbox, served) = renewed();
    let blocks = || sandbox.run("find", &["archive/.git", "-path", "*blocks*", "-type", "f"]).ok().out.lines().count();
    let before = blocks();
    assert!(before > 0);
    let tree = sandbox.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]).ok().out.trim().to_owned();
    let script = format!(
        "set -e; cd archive; export GIT_COMMITTER_DATE='1970-01-02T00:00:00Z' GIT_AUTHOR_DATE='1970-01-02T00:00:00Z'; commit={}
         blob=$(git hash-object -w --stdin </dev/null)
         odd=$(printf '160000 commit 1111111111111111111111111111111111111111\tlists.json\n100644 blob %s\tsheets\n' $blob | git mktree --missing)
         for number in $(seq 8); do commit=$(git commit-tree {tree} -p $commit -p main -m Stage.); done
         git update-ref refs/heads/{BRANCH} $(git commit-tree $odd -p $commit -m Serve.)",
        served[2]
    );
    sandbox.run("bash", &["-c", &script]).ok();
    let mut answers = Vec::new();
    for more in [&["--keep-releases", "1d"][..], &["--keep-releases", "1d", "--delete"]] {
        answers.push(sandbox.deploy(&[&["-C", "archive", "gc", "--json", "--now", "2027-06-01T00:00:00Z"], more].concat()).ok().json());
    }
    sandbox.deploy(&["-C", "archive", "gc", "--json", "--now", "2027-09-01T00:00:00Z", "--keep-releases", "1d", "--delete"]).ok();
    assert_eq!(blocks(), before, "{answers:?}");
}
