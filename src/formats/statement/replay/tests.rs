//! Scenarios of deploying, one after another, on a tip that lives in memory.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::formats::statement::SourcePart;
use crate::formats::suite::record::{self, Placement};
use crate::words::digest::{ExtraDigests, FileFacts};
use crate::words::name::Component;
use proptest::prelude::*;

const SUITE: &str = "trixie";

fn pooled(name: &str, content: &str) -> PooledFile {
    let path = PoolPath::new(Component::main(), "foo".parse().unwrap(), name.parse().unwrap());
    PooledFile { path, facts: FileFacts::of(content.as_bytes(), ExtraDigests::default()) }
}

/// `foo 1.0-1 amd64` with content "…": one binary of the source foo.
fn binary(package: &str, version: &str, source_version: &str, architecture: &str, content: &str) -> Binary {
    let file = pooled(&format!("{package}_{}_{architecture}.deb", version.replace(':', "%3a")), content);
    let source = if version == source_version { String::new() } else { format!("Source: foo ({source_version})\n") };
    let source = if source.is_empty() && package != "foo" { "Source: foo\n".to_owned() } else { source };
    let control = format!("Package: {package}\n{source}Version: {version}\nArchitecture: {architecture}\n");
    Binary {
        package: package.parse().unwrap(),
        version: version.parse().unwrap(),
        architecture: architecture.parse().unwrap(),
        udeb: false,
        record: record::write_binary(&control, &file.path, &file.facts),
        file,
    }
}

fn source(version: &str, content: &str) -> SourcePackage {
    let file = pooled(&format!("foo_{version}.dsc"), content);
    let tarball = format!("orig of {version}");
    let text = format!(
        "Source: foo\nVersion: {version}\nChecksums-Sha256:\n {} {} foo_{version}.tar.xz\n",
        Sha256::of(tarball.as_bytes()),
        tarball.len()
    );
    SourcePackage {
        record: record::write_source(&text, &file.path, &file.facts, &Placement::default()),
        parts: vec![SourcePart {
            path: pooled(&format!("foo_{version}.tar.xz"), "").path,
            size: tarball.len() as u64,
            sha256: Sha256::of(tarball.as_bytes()),
            here: true,
        }],
        file,
    }
}

/// A build of foo: the source where a text for it is given, and binaries as `package architecture content`.
fn build(version: &str, dsc: Option<&str>, binaries: &[(&str, &str, &str)]) -> Build {
    Build {
        source: "foo".parse().unwrap(),
        version: version.parse().unwrap(),
        source_package: dsc.map(|content| source(version, content)),
        binaries: binaries
            .iter()
            .map(|(package, architecture, content)| binary(package, version, version, architecture, content))
            .collect(),
        evidence: Vec::new(),
        provenance: Vec::new(),
    }
}

fn statement(builds: Vec<Build>) -> Statement {
    Statement { suite: SUITE.parse().unwrap(), builds, job: None, signed_by: Vec::new() }
}

/// A tip that statements are landed on.
#[derive(Default, Clone, PartialEq, Debug)]
struct Archive {
    tip: BTreeMap<String, String>,
}

impl Archive {
    fn tip(&self) -> Tip {
        let mut tip = Tip::default();
        for (path, text) in &self.tip {
            match path.parse::<PoolPath>() {
                Ok(path) => drop(tip.pool.insert(path, Pointer::decode(text.as_bytes()).unwrap())),
                Err(_) => drop(tip.records.insert(path.parse().unwrap(), text.clone())),
            }
        }
        tip
    }

    fn try_land(&mut self, build: &Build, rules: Rules) -> Result<BuildOutcome, Vec<Conflict>> {
        let outcome = replay(&statement(vec![build.clone()]), &self.tip(), rules)?;
        for (path, content) in &outcome.edits {
            match content {
                Some(text) => drop(self.tip.insert(path.clone(), text.clone())),
                None => drop(self.tip.remove(path)),
            }
        }
        Ok(outcome.builds[0].clone())
    }

    fn land(&mut self, build: &Build) -> Verdict {
        self.try_land(build, Rules::default()).unwrap().verdict
    }

    /// What the suite offers, as `index/package_version` without the folders between.
    fn offers(&self) -> Vec<String> {
        let places = self.tip.keys().filter_map(|path| path.parse::<RecordPlace>().ok());
        places.map(|place| format!("{}/{}_{}", place.index, place.package, place.version)).collect()
    }
}

const REPLACE: Rules = Rules { on_conflict: OnConflict::Replace, downgrade: false };
const KEEP: Rules = Rules { on_conflict: OnConflict::Keep, downgrade: false };
const DOWNGRADE: Rules = Rules { on_conflict: OnConflict::Refuse, downgrade: true };

#[test]
fn a_build_lands_once_and_its_retry_changes_nothing() {
    let mut archive = Archive::default();
    let full = build("1.0-1", Some("dsc"), &[("foo", "amd64", "a"), ("foo-data", "all", "d")]);
    assert_eq!(archive.land(&full), Verdict::Landed);
    assert_eq!(archive.offers(), ["binary-all/foo-data_1.0-1", "binary-amd64/foo_1.0-1", "source/foo_1.0-1"]);
    let before = archive.clone();
    assert_eq!(archive.land(&full), Verdict::AlreadyLanded);
    assert_eq!(archive, before);
}

#[test]
fn a_newer_build_replaces_and_an_older_one_is_superseded() {
    let mut archive = Archive::default();
    let old = build("1.0-1", Some("dsc"), &[("foo", "amd64", "a"), ("foo-data", "all", "d")]);
    let new = build("1.0-2", Some("dsc2"), &[("foo", "amd64", "a2"), ("foo-data", "all", "d2")]);
    archive.land(&old);
    assert_eq!(archive.land(&new), Verdict::Landed);
    let offers = ["binary-all/foo-data_1.0-2", "binary-amd64/foo_1.0-2", "source/foo_1.0-2"];
    assert_eq!(archive.offers(), offers);
    let before = archive.clone();
    assert_eq!(archive.land(&old), Verdict::Superseded);
    assert_eq!(archive, before, "a superseded build leaves no trace");

    let mut other_order = Archive::default();
    other_order.land(&new);
    assert_eq!(other_order.land(&old), Verdict::Superseded);
    assert_eq!(other_order.offers(), offers);

    assert_eq!(archive.try_land(&old, DOWNGRADE).unwrap().verdict, Verdict::Landed);
    assert_eq!(archive.offers(), ["binary-all/foo-data_1.0-1", "binary-amd64/foo_1.0-1", "source/foo_1.0-1"]);
}

#[test]
fn an_architecture_that_lags_behind_keeps_its_source_and_arch_all_packages() {
    let mut archive = Archive::default();
    archive.land(&build("1", Some("dsc"), &[("foo", "amd64", "a"), ("foo-data", "all", "d")]));
    archive.land(&build("1", None, &[("foo", "arm64", "r")]));
    archive.land(&build("2", Some("dsc2"), &[("foo", "amd64", "a2"), ("foo-data", "all", "d2")]));
    assert_eq!(
        archive.offers(),
        ["binary-all/foo-data_1", "binary-all/foo-data_2", "binary-amd64/foo_2", "binary-arm64/foo_1", "source/foo_1", "source/foo_2"]
    );
    archive.land(&build("2", None, &[("foo", "arm64", "r2")]));
    assert_eq!(archive.offers(), ["binary-all/foo-data_2", "binary-amd64/foo_2", "binary-arm64/foo_2", "source/foo_2"]);
}

#[test]
fn two_full_builds_of_two_architectures_agree_whichever_is_first() {
    let amd64 = build("1", Some("dsc"), &[("foo", "amd64", "a"), ("foo-data", "all", "first")]);
    let arm64 = build("1", Some("other dsc"), &[("foo", "arm64", "r"), ("foo-data", "all", "second")]);
    for (one, two, kept) in [(&amd64, &arm64, "first"), (&arm64, &amd64, "second")] {
        let mut archive = Archive::default();
        assert_eq!(archive.land(one), Verdict::Landed);
        let outcome = archive.try_land(two, Rules::default()).unwrap();
        assert_eq!(outcome.verdict, Verdict::Landed);
        assert_eq!(outcome.differing.len(), 2, "{:?}", outcome.notes);
        assert_eq!(archive.offers(), ["binary-all/foo-data_1", "binary-amd64/foo_1", "binary-arm64/foo_1", "source/foo_1"]);
        let all = archive.tip.iter().find(|(path, _)| path.ends_with("/foo-data_1")).unwrap().1;
        assert!(all.contains(&Sha256::of(kept.as_bytes()).to_hex()));
        assert_eq!(archive.land(two), Verdict::AlreadyLanded, "the second one's retry");
    }
}

#[test]
fn the_same_name_with_other_bytes_is_refused_kept_or_replaced() {
    let mut archive = Archive::default();
    archive.land(&build("1", None, &[("foo", "amd64", "a")]));
    let other = build("1", None, &[("foo", "amd64", "other")]);
    let before = archive.clone();
    let conflicts = archive.try_land(&other, Rules::default()).unwrap_err();
    assert_eq!(conflicts[0].path.to_string(), "pool/main/f/foo/foo_1_amd64.deb");
    assert_eq!(archive, before);
    assert_eq!(archive.try_land(&other, KEEP).unwrap().verdict, Verdict::AlreadyLanded);
    assert_eq!(archive, before);
    assert_eq!(archive.try_land(&other, REPLACE).unwrap().verdict, Verdict::Landed);
    assert!(archive.tip.values().any(|text| text.contains(&Sha256::of(b"other").to_hex())));
    for alone in [build("1", Some("dsc"), &[]), build("1", None, &[("foo-data", "all", "d")])] {
        let mut changed = alone.clone();
        archive.land(&alone);
        for binary in &mut changed.binaries {
            binary.file.facts = FileFacts::of(b"x", ExtraDigests::default());
        }
        if let Some(source) = &mut changed.source_package {
            source.file.facts = FileFacts::of(b"x", ExtraDigests::default());
        }
        assert!(archive.try_land(&changed, Rules::default()).is_err(), "no other architecture brought it");
    }
}

#[test]
fn bytes_that_another_suite_offers_are_not_replaced() {
    let mut archive = Archive::default();
    archive.land(&build("1", None, &[("foo", "amd64", "a")]));
    let copies: Vec<(String, String)> = archive
        .tip
        .iter()
        .filter(|(path, _)| path.starts_with("suites"))
        .map(|(path, text)| (path.replace("trixie", "stable"), text.clone()))
        .collect();
    archive.tip.extend(copies);
    assert!(archive.try_land(&build("1", None, &[("foo", "amd64", "other")]), REPLACE).is_err());
}

#[test]
fn a_rebuild_replaces_the_first_build_and_is_not_displaced_by_it() {
    let mut archive = Archive::default();
    let first = build("1", Some("dsc"), &[("foo", "amd64", "a"), ("foo-dbgsym", "amd64", "s"), ("foo-data", "all", "d")]);
    archive.land(&first);
    let mut rebuild = build("1", None, &[]);
    rebuild.binaries.push(binary("foo", "1+b1", "1", "amd64", "b"));
    assert_eq!(archive.land(&rebuild), Verdict::Landed);
    assert_eq!(archive.offers(), ["binary-all/foo-data_1", "binary-amd64/foo_1+b1", "source/foo_1"]);
    assert_eq!(archive.land(&first), Verdict::Superseded);
    assert_eq!(archive.land(&rebuild), Verdict::AlreadyLanded);
}

#[test]
fn a_build_delivered_in_parts_is_united() {
    let mut archive = Archive::default();
    archive.land(&build("1", None, &[("foo", "amd64", "a")]));
    archive.land(&build("1", None, &[("foo-dbgsym", "amd64", "s")]));
    archive.land(&build("1", Some("dsc"), &[]));
    assert_eq!(archive.offers(), ["binary-amd64/foo-dbgsym_1", "binary-amd64/foo_1", "source/foo_1"]);
}

#[test]
fn a_package_that_moves_to_another_component_is_offered_once() {
    let mut archive = Archive::default();
    archive.land(&build("1", None, &[("foo", "amd64", "a")]));
    let mut moved = build("1", None, &[("foo", "amd64", "a")]);
    let contrib = PoolPath::new("contrib".parse().unwrap(), moved.source.clone(), moved.binaries[0].file.path.file().clone());
    moved.binaries[0].file.path = contrib;
    archive.land(&moved);
    assert_eq!(archive.offers().len(), 1);
}

#[test]
fn a_file_that_the_dsc_names_may_be_in_the_pool_already_but_not_nowhere() {
    let mut archive = Archive::default();
    let mut second = build("2", Some("dsc2"), &[]);
    let orig = build("1", Some("dsc"), &[]).source_package.unwrap().parts[0].clone();
    second.source_package.as_mut().unwrap().parts.push(SourcePart { here: false, ..orig });
    let conflicts = archive.try_land(&second, Rules::default()).unwrap_err();
    assert!(conflicts[0].reason.contains("neither in the build output nor in the pool"), "{conflicts:?}");
    archive.land(&build("1", Some("dsc"), &[]));
    assert_eq!(archive.land(&second), Verdict::Landed);
    second.source_package.as_mut().unwrap().parts[1].sha256 = Sha256::of(b"x");
    second.version = "3".parse().unwrap();
    second.source_package.as_mut().unwrap().file = pooled("foo_3.dsc", "dsc3");
    assert!(archive.try_land(&second, REPLACE).is_err(), "version 1 needs the tarball that is there");
}

#[test]
fn evidence_never_conflicts() {
    let mut archive = Archive::default();
    let mut first = build("1", None, &[("foo", "amd64", "a")]);
    first.evidence = vec![pooled("foo_1_amd64.buildinfo", "one"), pooled("foo_1_amd64.log", "")];
    archive.land(&first);
    first.evidence[0] = pooled("foo_1_amd64.buildinfo", "two");
    assert_eq!(archive.land(&first), Verdict::Landed);
    assert_eq!(archive.land(&first), Verdict::AlreadyLanded);
    let digest: String = Sha256::of(b"two").to_hex().chars().take(12).collect();
    assert!(archive.tip.contains_key("pool/main/f/foo/foo_1_amd64.buildinfo"));
    assert!(archive.tip.contains_key(&format!("pool/main/f/foo/foo_1_amd64.{digest}.buildinfo")));
    assert!(!archive.tip.keys().any(|path| path.ends_with(".log")), "an empty file has no pointer");
}

#[test]
fn several_sources_are_independent_and_one_conflict_stops_all() {
    let mut archive = Archive::default();
    archive.land(&build("1", None, &[("foo", "amd64", "a")]));
    let bar = Build { source: "bar".parse().unwrap(), ..build("1", None, &[]) };
    let mut bar_binary = binary("bar", "1", "1", "amd64", "b");
    bar_binary.file.path = PoolPath::new(Component::main(), bar.source.clone(), "bar_1_amd64.deb".parse().unwrap());
    let bar = Build { binaries: vec![bar_binary], ..bar };
    let bad = build("1", None, &[("foo", "amd64", "other")]);
    assert_eq!(replay(&statement(vec![bar.clone(), bad]), &archive.tip(), Rules::default()).unwrap_err().len(), 1);
    let good = replay(&statement(vec![bar, build("2", None, &[("foo", "amd64", "a2")])]), &archive.tip(), Rules::default()).unwrap();
    assert_eq!(good.builds.iter().map(|build| build.verdict).collect::<Vec<_>>(), [Verdict::Landed, Verdict::Landed]);
}

proptest! {
    /// Whatever comes in whatever order, no binary is lost; once every build was seen again, nothing depends on the order.
    #[test]
    fn the_order_of_deploying_does_not_matter(order in Just(vec![0usize, 1, 2, 3, 4, 5]).prop_shuffle()) {
        let builds = [
            build("1", Some("dsc"), &[("foo", "amd64", "a"), ("foo-data", "all", "d")]),
            build("1", None, &[("foo", "arm64", "r")]),
            build("2", Some("dsc2"), &[("foo", "amd64", "a2"), ("foo-data", "all", "d2")]),
            build("2", None, &[("foo", "arm64", "r2")]),
            build("1", None, &[("foo", "riscv64", "v")]),
            build("1", None, &[("foo-dbgsym", "riscv64", "s")]),
        ];
        let mut archive = Archive::default();
        let round = |archive: &mut Archive| order.iter().map(|index| archive.land(&builds[*index])).collect::<Vec<_>>();
        round(&mut archive);
        let binaries = ["binary-amd64/foo_2", "binary-arm64/foo_2", "binary-riscv64/foo-dbgsym_1", "binary-riscv64/foo_1"];
        let offers = archive.offers();
        for wanted in binaries.iter().chain(&["source/foo_2", "binary-all/foo-data_2"]) {
            prop_assert!(offers.iter().any(|offer| offer == wanted), "{} missing in {:?}", wanted, offers);
        }
        // riscv64 may have come after version 1 was dropped with its source; the retry of that build brings it back.
        round(&mut archive);
        let mut expected = binaries.to_vec();
        expected.extend(["source/foo_1", "source/foo_2", "binary-all/foo-data_1", "binary-all/foo-data_2"]);
        expected.sort_unstable();
        prop_assert_eq!(archive.offers(), expected);
        prop_assert!(!round(&mut archive).contains(&Verdict::Landed));
    }
}

/// The same build with provenance of this content, signed or only claimed.
fn coming_from(mut build: Build, content: &str, field: &str) -> Build {
    let file = pooled("foo_1_amd64.intoto.json", content);
    for binary in &mut build.binaries {
        record::add_object(&mut binary.record, field, &Pointer::from(&file.facts));
    }
    build.provenance.push(file);
    build
}

#[test]
fn the_first_provenance_stays_unless_signed_provenance_comes_to_a_package_that_has_none() {
    let plain = build("1", None, &[("foo", "amd64", "deb")]);
    let claimed = |content: &str| coming_from(plain.clone(), content, record::CLAIMS);
    let signed = |content: &str| coming_from(plain.clone(), content, record::PROVENANCE);
    let kept = |archive: &Archive| archive.tip.keys().filter(|path| path.contains("intoto")).count();

    let mut archive = Archive::default();
    assert_eq!(archive.land(&claimed("first job")), Verdict::Landed);
    assert_eq!((archive.land(&claimed("its second try")), kept(&archive)), (Verdict::AlreadyLanded, 1));
    assert_eq!((archive.land(&plain), kept(&archive)), (Verdict::AlreadyLanded, 1));
    assert_eq!((archive.land(&signed("a")), kept(&archive)), (Verdict::Landed, 2));
    let before = archive.clone();
    assert_eq!(archive.land(&signed("a")), Verdict::AlreadyLanded);
    assert_eq!(archive.land(&signed("b")), Verdict::AlreadyLanded);
    assert_eq!(archive.land(&claimed("c")), Verdict::AlreadyLanded);
    assert_eq!(archive, before);
    // A key that is not trusted any more: the new signature is asked for.
    let rules = Rules { on_conflict: OnConflict::Replace, downgrade: false };
    assert_eq!(archive.try_land(&signed("b"), rules).unwrap().verdict, Verdict::Landed);
    assert_eq!(kept(&archive), 3);
    // What says less takes nothing away, and what else is new in a record comes with what was known.
    for less in [&plain, &claimed("d")] {
        assert_eq!(archive.try_land(less, rules).unwrap().verdict, Verdict::AlreadyLanded);
    }
    let mut listed = plain.clone();
    listed.binaries[0].record.push_str(&format!("File-List: {}\n", Sha256::of(b"list")));
    assert_eq!(archive.land(&listed), Verdict::Landed);
    let record = archive.tip.iter().find(|(path, _)| path.starts_with("suites/")).unwrap().1;
    let b = format!("Provenance: {} 1\n", Sha256::of(b"b"));
    assert!(record.contains("File-List: ") && record.ends_with(&b), "{record}");

    // What no record names is not kept.
    let mut newer = Archive::default();
    newer.land(&build("2", None, &[("foo", "amd64", "newer")]));
    assert_eq!((newer.land(&signed("a")), kept(&newer)), (Verdict::Superseded, 0));
}
