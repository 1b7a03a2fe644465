//! pdiffs: both apts fetch what changed and have the index byte by byte, `rred` and `ed` apply the scripts.

mod site;

use std::collections::BTreeMap;

use ddb::formats::pdiff::{History, ed, paragraph_edits};
use ddb::words::digest::Sha256;

use crate::client::Apt;
use crate::gateway::Gateway;
use crate::sandbox::{Sandbox, cache};
use site::{Fetched, PACKAGES, SOURCES, Site, TRANSLATION, Texts};

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Paragraphs of an index, and changes as an archive sees them.
#[derive(Clone)]
struct Paragraphs(Vec<String>);

impl Paragraphs {
    fn of(text: &str) -> Self {
        Self(text.split_inclusive("\n\n").map(str::to_owned).collect())
    }

    /// Debian's Packages, those of the corpus.
    fn of_debian() -> Self {
        Self::of(&corpus("Packages.main"))
    }

    fn text(&self) -> String {
        self.0.concat()
    }

    /// A new version of a package: other version, size, file and digests.
    fn update(&mut self, at: usize, version: usize) {
        let digest = Sha256::of(&[at.to_le_bytes(), version.to_le_bytes()].concat()).to_hex();
        let lines = self.0[at].split_inclusive('\n').map(|line| match line.split_once(": ") {
            Some(("Version", _)) => format!("Version: {version}.0-1\n"),
            Some(("Installed-Size", _)) => format!("Installed-Size: {}\n", version + at),
            Some(("Filename", _)) => format!("Filename: pool/main/x/x_{version}.0-1_amd64.deb\n"),
            Some(("Size", _)) => format!("Size: {}\n", version * 1000 + at),
            Some(("MD5sum", _)) => format!("MD5sum: {}\n", &digest[32..]),
            Some(("SHA256", _)) => format!("SHA256: {digest}\n"),
            _ => line.to_owned(),
        });
        self.0[at] = lines.collect();
    }

    /// A package more, by another name.
    fn add(&mut self, at: usize, name: usize) {
        let (_, rest) = self.0[at].split_once('\n').unwrap();
        self.0.insert(at, format!("Package: added-{name}\n{rest}"));
    }

    /// One change of any kind.
    fn change(&mut self, numbers: &mut Numbers) {
        let at = numbers.below(self.0.len());
        match numbers.below(5) {
            0 => drop(self.0.remove(at)),
            1 => self.add(at, numbers.below(1000)),
            2 => self.0.swap(0, at),
            _ => self.update(at, numbers.below(1000)),
        }
    }
}

fn corpus(name: &str) -> String {
    std::fs::read_to_string(cache("corpus").join(name)).unwrap()
}

/// The indices of a suite with these packages, and with sources that never change.
fn packages(paragraphs: &Paragraphs) -> Texts {
    indices([paragraphs.text(), corpus("Sources.main"), corpus("Translation-en.main")])
}

/// Packages, Sources, Translation-en.
fn indices(texts: [String; 3]) -> Texts {
    [PACKAGES, SOURCES, TRANSLATION].map(str::to_owned).into_iter().zip(texts).collect()
}

/// How many patches of Packages were fetched, and nothing whole.
#[track_caller]
fn patches(fetched: &Fetched) -> usize {
    assert_eq!(fetched.whole, [""; 0]);
    fetched.patches.get(PACKAGES).copied().unwrap_or_default()
}

/// The indices of trixie that ddb published, by path.
fn published(sandbox: &Sandbox) -> Texts {
    let text = |path: &str| {
        let file = sandbox.public().join("dists/trixie").join(format!("{path}.xz"));
        sandbox.run("xz", &["-dc", file.to_str().unwrap()]).ok().out
    };
    indices([PACKAGES, SOURCES, TRANSLATION].map(text))
}

#[test]
fn both_apts_follow_ten_publishes_by_patches() {
    let sandbox = Sandbox::with_archive();
    let mut site = Site::new(&sandbox, 8);
    let configuration = sandbox.archive().join("ddb.toml");
    let text = std::fs::read_to_string(&configuration).unwrap();
    std::fs::write(&configuration, text.replacen("architectures", "pdiffs = 8\nkeep-generations = 2\nkeep-for = \"0s\"\narchitectures", 1))
        .unwrap();
    sandbox.git(&["commit", "-qam", "Make patches."]).ok();
    let deb = |number: usize, version: &str| {
        let fields = format!("Description: package {number}\n the long text of {number} at {version}\n");
        sandbox.deb("out", &format!("package-{number}"), version, "amd64", &fields);
    };
    // Enough that a patch is smaller than the index.
    for number in 0..60 {
        deb(number, "1.0-1");
    }
    let clients = |name: &str| Apt::both(&sandbox).map(|apt| (name.to_owned(), apt));
    let (always, sometimes, once) = (clients("always"), clients("sometimes"), clients("once"));
    for state in 0..=10 {
        if state > 0 {
            std::fs::remove_dir_all(sandbox.path("out")).unwrap();
            deb(state * 5, "1.1-1");
            if state % 3 == 0 {
                deb(100 + state, "2.0-1");
            }
        }
        sandbox.commit("out", &[]).ok();
        let plan = sandbox.dists(&["--dry-run"]).ok().out;
        assert_eq!(plan.contains("Packages.diff/0"), state > 0, "{plan}");
        sandbox.dists(&[]).ok();
        site.serves(&sandbox, published(&sandbox));
        for (client, apt) in always
            .iter()
            .chain(sometimes.iter().filter(|_| [0, 4, 10].contains(&state)))
            .chain(once.iter().filter(|_| [0, 10].contains(&state)))
        {
            site.serve(apt);
            let fetched = site.updates(apt);
            match (state, &**client) {
                // apt asks for no empty index, which Sources is.
                (0, _) => assert_eq!(fetched.whole.len(), 2),
                (10, "once") => assert!(fetched.whole.contains(&"main/binary-amd64".to_owned()), "its state is older than the history"),
                (_, "always") => assert_eq!(patches(&fetched), 1),
                (4, _) => assert_eq!(patches(&fetched), 4),
                (_, _) => assert_eq!(patches(&fetched), 6),
            }
        }
    }
    // Patches that no list names any more are removed with the generations that named them; those that one names are there.
    let folder = sandbox.public().join("dists/trixie/main/binary-amd64/Packages.diff");
    let index = History::parse_index(&std::fs::read(folder.join("Index")).unwrap()).unwrap();
    let there = std::fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('0'));
    assert_eq!((index.steps.len(), there.count()), (8, 9), "one generation more is kept");
    for step in &index.steps {
        assert!(folder.join(format!("{}.gz", step.name)).is_file());
    }
    sandbox.deploy(&["-C", "archive", "fsck", "--full"]).ok();
    // One that somebody removed is missed, and comes back.
    let lost = folder.join(format!("{}.gz", index.steps[3].name));
    let bytes = std::fs::read(&lost).unwrap();
    std::fs::remove_file(&lost).unwrap();
    assert!(sandbox.deploy(&["-C", "archive", "fsck"]).exits(8).out.contains(&index.steps[3].name));
    sandbox.dists(&[]).ok();
    assert_eq!(std::fs::read(&lost).unwrap(), bytes);
    // The gateway and an export have them too.
    sandbox.publish(&["-C", "archive", "export", "exported"]).ok();
    let exported = sandbox.path("exported/dists/trixie/main/binary-amd64/Packages.diff");
    for step in &index.steps {
        let name = format!("{}.gz", step.name);
        assert_eq!(std::fs::read(exported.join(&name)).unwrap(), std::fs::read(folder.join(&name)).unwrap());
    }
    assert_eq!(std::fs::read(exported.join("Index.gz")).unwrap(), std::fs::read(folder.join("Index.gz")).unwrap());
    let gateway = Gateway::of(&sandbox, &[]);
    let name = format!("{}.gz", index.steps[0].name);
    let path = "/dists/trixie/main/binary-amd64/Packages.diff";
    assert_eq!(gateway.body(&format!("{path}/{name}")), std::fs::read(folder.join(&name)).unwrap());
    assert_eq!(gateway.body(&format!("{path}/Index.gz")), std::fs::read(folder.join("Index.gz")).unwrap());
    assert_eq!(gateway.status(&format!("{path}/00000001-00000000.gz")), 404);
    gateway.stop();
}

#[test]
fn both_apts_follow_any_change_and_go_back_to_an_older_state() {
    let sandbox = Sandbox::new();
    let mut site = Site::new(&sandbox, 8);
    let mut numbers = Numbers(4);
    let mut state = ["Packages.main", "Sources.main", "Translation-en.main"].map(|name| Paragraphs::of(&corpus(name)));
    let first = state.clone();
    let clients = Apt::both(&sandbox);
    let mut fetched = |state: &[Paragraphs; 3]| {
        site.publish(&indices(state.each_ref().map(Paragraphs::text)));
        clients.each_ref().map(|apt| {
            site.serve(apt);
            site.updates(apt)
        })
    };
    let each_by = |patches: usize, fetched: [Fetched; 2]| {
        for fetched in fetched {
            let expected: BTreeMap<String, usize> =
                [PACKAGES, SOURCES, TRANSLATION].iter().filter(|_| patches > 0).map(|path| ((*path).to_owned(), patches)).collect();
            assert_eq!((&fetched.patches, fetched.whole.len()), (&expected, 0), "{fetched:?}");
        }
    };
    assert_eq!(fetched(&state).map(|fetched| fetched.whole.len()), [3, 3]);
    for changes in [1, 2, 5] {
        state.iter_mut().for_each(|index| (0..changes).for_each(|_| index.change(&mut numbers)));
        each_by(1, fetched(&state));
    }
    // Back to the state that all began with, and on from there: it stands in the history twice.
    each_by(1, fetched(&first));
    state = first.clone();
    state.iter_mut().for_each(|index| index.add(7, 7));
    each_by(1, fetched(&state));
    // Nothing changed but the date: nothing to do.
    each_by(0, fetched(&state));
}

#[test]
fn a_patch_that_is_changed_on_the_way_or_missing_costs_the_whole_index_and_nothing_else() {
    let sandbox = Sandbox::new();
    let mut site = Site::new(&sandbox, 8);
    let mut index = Paragraphs::of_debian();
    site.publish(&packages(&index));
    let clients = Apt::both(&sandbox);
    for apt in &clients {
        site.serve(apt);
        site.updates(apt);
        apt.keep_lists();
    }
    index.update(3, 7);
    site.publish(&packages(&index));
    let patch = site.newest_patch(PACKAGES);
    let mut changed = site.read(&patch);
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    for apt in &clients {
        for bytes in [None, Some(changed.clone())] {
            apt.forget();
            apt.use_kept_lists();
            match bytes {
                None => site.server.hide(&patch),
                Some(bytes) => site.server.change(&patch, bytes),
            }
            site.take_fetched();
            apt.update(&[]).ok();
            site.has_everything(apt);
            assert_eq!(site.take_fetched().whole, ["main/binary-amd64"]);
            site.server.change_nothing();
        }
        apt.forget();
        apt.use_kept_lists();
        assert_eq!(patches(&site.updates(apt)), 1);
    }
}

#[test]
fn a_client_that_keeps_its_lists_compressed_takes_patches_too() {
    let sandbox = Sandbox::new();
    let mut site = Site::new(&sandbox, 8);
    let mut index = Paragraphs::of_debian();
    for (number, apt) in Apt::both(&sandbox).into_iter().enumerate() {
        site.serve(&apt);
        for state in 0..3 {
            index.update(state * 2, number * 100 + state);
            site.publish(&packages(&index));
            site.take_fetched();
            apt.update(&["-o", "Acquire::GzipIndexes=true"]).ok();
            let fetched = site.take_fetched();
            assert_eq!((fetched.whole.len(), fetched.patches.get(PACKAGES).copied()), if state == 0 { (3, None) } else { (0, Some(1)) });
            let names = apt.run(&["sh", "-c", "echo \"$0\"/*_Packages.[!d]*", &format!("{}/var/lib/apt/lists", apt.inside())]).ok().out;
            assert!(names.trim_end().ends_with(".lz4"), "{names}");
            let helper = apt.run(&["/usr/lib/apt/apt-helper", "cat-file", names.trim_end()]).ok();
            assert!(helper.out == index.text(), "{:?}", apt.kind);
        }
    }
}

#[test]
fn contents_are_patched_line_by_line() {
    const CONTENTS: &str = "main/Contents-amd64";
    let sandbox = Sandbox::new();
    let mut site = Site::new(&sandbox, 8);
    let mut lines: Vec<String> = (0..900).map(|number| format!("usr/share/file-{number:04} section/package-{}\n", number / 7)).collect();
    let target = "Acquire::IndexTargets::deb::Contents-deb::";
    let options = [
        format!("{target}MetaKey=$(COMPONENT)/Contents-$(ARCHITECTURE)"),
        format!("{target}ShortDescription=Contents"),
        format!("{target}Description=Contents"),
    ];
    let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
    let clients = Apt::both(&sandbox);
    for state in 0..4 {
        if state > 0 {
            drop(lines.remove(state * 100));
            lines.insert(state * 200, format!("usr/share/file-{:04}a section/package\n", state * 200));
            lines[state * 50] = format!("usr/share/file-{:04} section/other,section/package\n", state * 50);
        }
        let mut texts = packages(&Paragraphs::of_debian());
        texts.insert(CONTENTS.to_owned(), lines.concat());
        site.publish(&texts);
        for apt in &clients {
            site.serve(apt);
            site.take_fetched();
            apt.update(&options).ok();
            site.has_everything(apt);
            let fetched = site.take_fetched();
            assert_eq!((fetched.whole.len(), fetched.patches.get(CONTENTS).copied()), if state == 0 { (4, None) } else { (0, Some(1)) });
        }
    }
}

#[test]
fn rred_of_both_apts_and_ed_apply_the_scripts() {
    let sandbox = Sandbox::new();
    let mut numbers = Numbers(9);
    let mut states = vec![Paragraphs::of_debian()];
    for round in 0..24 {
        let mut next = states.last().unwrap().clone();
        (0..=round % 6).for_each(|_| next.change(&mut numbers));
        states.push(next);
    }
    // From nothing, to nothing, and all of it turned round.
    let mut turned = states[0].clone();
    turned.0.reverse();
    states.extend([Paragraphs(Vec::new()), states[3].clone(), turned, states[5].clone()]);
    let texts: Vec<String> = states.iter().map(Paragraphs::text).collect();
    // Half of them by parts that were compared alone, whose edits touch where the parts meet.
    let edits = |(number, pair): (usize, &[Paragraphs])| {
        let [old, new] = pair else { unreachable!() };
        let middle = if number % 2 == 0 { 0 } else { numbers.below(1 + old.0.len().min(new.0.len())) };
        let part = |paragraphs: &[String]| paragraphs.concat();
        let (old, new) = (old.0.split_at(middle), new.0.split_at(middle));
        let lines = part(old.0).lines().count();
        [paragraph_edits(&part(old.0), &part(new.0), 0), paragraph_edits(&part(old.1), &part(new.1), lines)].concat()
    };
    let edits: Vec<_> = states.windows(2).enumerate().map(edits).collect();
    assert!(edits.iter().flat_map(|edits| edits.windows(2)).any(|pair| pair[0].at + pair[0].removed == pair[1].at), "some touch");
    let scripts: Vec<Vec<u8>> = edits.iter().map(|edits| ed::to_ed(edits).unwrap()).collect();
    for apt in Apt::both(&sandbox) {
        let mut names = Vec::new();
        for (number, script) in scripts.iter().enumerate() {
            names.push(format!("patch-{number:02}"));
            apt.write(&format!("work/{}", names[number]), script);
            apt.write("work/old", &texts[number]);
            apt.run(&["/usr/lib/apt/methods/rred", "-t", "old", "new", &names[number]]).ok();
            assert!(std::fs::read_to_string(apt.path("work/new")).unwrap() == texts[number + 1], "{:?} patch {number}", apt.kind);
        }
        // All of them in one go, as apt applies them.
        apt.write("work/old", &texts[0]);
        let all: Vec<&str> =
            ["/usr/lib/apt/methods/rred", "-t", "old", "new"].into_iter().chain(names.iter().map(String::as_str)).collect();
        apt.run(&all).ok();
        assert!(std::fs::read_to_string(apt.path("work/new")).unwrap() == *texts.last().unwrap(), "{:?}", apt.kind);
    }
    for (number, script) in scripts.iter().enumerate().skip(18) {
        sandbox.write("text", &texts[number]);
        sandbox.write("script", [script.as_slice(), b"w\nq\n"].concat());
        sandbox.run("sh", &["-c", "ed -s text <script"]).ok();
        assert!(std::fs::read_to_string(sandbox.path("text")).unwrap() == texts[number + 1], "ed, patch {number}");
    }
}

#[test]
fn a_script_is_no_larger_than_that_of_diff() {
    let sandbox = Sandbox::new();
    let mut numbers = Numbers(1);
    let (mut ours, mut diffs) = (0, 0);
    for _ in 0..12 {
        let old = Paragraphs::of_debian();
        let mut new = old.clone();
        for _ in 0..6 {
            let at = numbers.below(new.0.len());
            match numbers.below(4) {
                0 => drop(new.0.remove(at)),
                1 => new.add(at, numbers.below(1000)),
                _ => new.update(at, numbers.below(1000)),
            }
        }
        sandbox.write("old", old.text());
        sandbox.write("new", new.text());
        diffs += sandbox.run("diff", &["--ed", "old", "new"]).exits(1).out.len();
        ours += ed::to_ed(&paragraph_edits(&old.text(), &new.text(), 0)).unwrap().len();
    }
    assert!(ours * 100 <= diffs * 102, "{ours} bytes, diff --ed {diffs}");
}

/// How many states a client was behind, and what it fetched.
fn fetched_when_behind(index: &mut Paragraphs, kept: usize) -> Vec<(usize, [Fetched; 2])> {
    let sandbox = Sandbox::new();
    let mut site = Site::new(&sandbox, kept);
    let behind = [1, kept / 2, kept];
    let clients = behind.map(|behind| (behind, Apt::both(&sandbox)));
    for state in 0..=kept {
        let at = (state * 7919 + 13) % index.0.len();
        index.update(at, kept * 100 + state);
        site.publish(&BTreeMap::from([(PACKAGES.to_owned(), index.text()), (SOURCES.to_owned(), String::new())]));
        for (_, apts) in clients.iter().filter(|(behind, _)| kept - behind == state) {
            for apt in apts {
                site.serve(apt);
                site.updates(apt);
            }
        }
    }
    clients.iter().map(|(behind, apts)| (*behind, apts.each_ref().map(|apt| site.updates(apt)))).collect()
}

/// With `DDB_SLOW=1` and `DDB_TEST_INDICES=folder` also for long histories of a whole Packages: the table of README.
#[test]
#[allow(clippy::print_stdout)]
fn one_change_costs_a_client_two_kilobytes_however_large_the_index_is() {
    let slow = std::env::var_os("DDB_SLOW").is_some();
    let folder = std::env::var_os("DDB_TEST_INDICES").filter(|_| slow).map_or_else(|| cache("corpus"), std::path::PathBuf::from);
    let mut index = Paragraphs::of(&std::fs::read_to_string(folder.join("Packages.main")).unwrap());
    for kept in if slow { vec![8, 24, 56] } else { vec![8] } {
        for (behind, fetched) in fetched_when_behind(&mut index, kept) {
            for fetched in &fetched {
                println!("{kept} kept, {behind} behind, {} packages: {fetched:?}", index.0.len());
                assert_eq!(patches(fetched), behind);
                assert!(kept > 8 || behind > 1 || fetched.bytes <= 2048, "{fetched:?}");
            }
        }
    }
}
