//! Contents come out the same on every road, whatever they start from.

use std::collections::BTreeMap;

use ddb::formats::blocks::sheet::Sheet;
use ddb::places::git::Author;
use ddb::places::git::land::Edits;
use ddb::places::store::fs::FolderStore;
use ddb::stories::fold::{FoldError, Last, Wanted};
use ddb::words::date::Timestamp;

use super::{Numbers, Site, contents_are_those_of_packages, last_of, same, spoil};

#[test]
fn contents_that_are_to_stay_do_and_are_made_again_from_their_own_commit() {
    let mut site = Site::new(false);
    site.bytes = 3000;
    site.configure("contents = true\ncontents-every = \"1d\"\npdiffs = 0\n");
    let mut numbers = Numbers(11);
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    (0..60).for_each(|_| site.change(&mut numbers));
    let at = |hours: i64, again: bool| Wanted { now: Timestamp(1_000_000 + hours * 3600), from_records: again, ..Wanted::default() };
    let mut last: Option<Last> = None;
    let mut refreshed: Option<Last> = None;
    let contents = |last: &Last| -> Vec<_> {
        last.listed.iter().filter(|(path, _)| path.contains("Contents-")).map(|(path, listed)| (path.clone(), listed.clone())).collect()
    };
    let mut times = 0;
    for hours in [0, 5, 23, 24, 30, 47, 49, 60, 80] {
        (0..3).for_each(|_| site.change(&mut numbers));
        let commit = site.commit();
        let bytes = site.bytes(&store, None, true);
        let due = refreshed.as_ref().is_none_or(|last| last.record.contents.as_ref().unwrap().at.0 + 86_400 <= at(hours, false).now.0);
        // As a publisher does: what is older than the rest is read where it is recorded.
        let start = last.clone().map(|last| {
            let older = last.record.contents.as_ref().unwrap().base != last.base.to_string();
            Last { earlier: refreshed.clone().filter(|_| older).map(Box::new), ..last }
        });
        let fold = site.fold_of("sid", commit, start.as_ref(), &bytes, at(hours, false)).unwrap();
        let now = last_of(commit, "sid", &fold);
        let whole = site.fold_of("sid", commit, start.as_ref(), &site.bytes(&store, None, false), at(hours, true)).unwrap();
        same(&format!("{hours} hours"), &fold, &whole);
        // A stranger has what is recorded and no blocks, at any time.
        let nothing = FolderStore::new(&site.folder.path().join("nothing"));
        let again = site.fold_of("sid", commit, Some(&now), &site.bytes(&nothing, None, false), Wanted::again()).unwrap();
        same(&format!("{hours} hours, again"), &fold, &again);
        if due {
            contents_are_those_of_packages(&format!("{hours} hours"), &site, &fold, &bytes);
            assert!(refreshed.as_ref().is_none_or(|before| contents(before) != contents(&now)), "{hours}");
            assert_eq!(fold.record.contents.as_ref().unwrap().base, commit.to_string());
            refreshed = Some(now.clone());
            times += 1;
        } else {
            assert_eq!(contents(last.as_ref().unwrap()), contents(&now), "{hours} hours: they stay");
        }
        last = Some(now);
    }
    assert_eq!(times, 4, "after 0, 24, 49 and 80 hours");
    // A clock that ran ahead made them once; as soon as it goes right, they are made anew.
    let (bytes, commit) = (site.bytes(&store, None, true), site.tip.unwrap());
    let ahead = site.fold_of("sid", commit, last.as_ref(), &bytes, at(90_000, false)).unwrap();
    let last = last_of(commit, "sid", &ahead);
    assert_eq!(ahead.record.contents.as_ref().unwrap().at, at(90_000, false).now);
    let right = site.fold_of("sid", commit, Some(&last), &bytes, at(81, false)).unwrap();
    assert_eq!(right.record.contents.unwrap().at, at(81, false).now);
    let again = site.fold_of("sid", commit, Some(&last), &bytes, Wanted::again()).unwrap();
    same("made again with its own date", &ahead, &again);
}

#[test]
fn a_file_list_that_is_not_the_recorded_one_is_not_used() {
    let mut site = Site::new(false);
    let mut numbers = Numbers(5);
    (0..30).for_each(|_| site.change(&mut numbers));
    let commit = site.commit();
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    assert!(site.fold_of("sid", commit, None, &site.bytes(&store, None, true), Wanted::default()).is_ok());
    assert!(spoil(&site.folder.path().join("lists")) > 3);
    let fault = site.fold_of("sid", commit, None, &site.bytes(&store, None, true), Wanted::default()).err().unwrap();
    // The packages are not there, from which lists would be made again.
    let FoldError::List { record, fault } = fault else { panic!("{fault}") };
    assert!(record.starts_with("suites/sid/") && fault.contains("deploy that build output again"), "{record}: {fault}");
}

#[test]
fn contents_that_become_long_at_once_are_cut_the_same_on_every_road() {
    let mut site = Site::new(false);
    site.bytes = 4000;
    let mut numbers = Numbers(21);
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    let nothing = FolderStore::new(&site.folder.path().join("nothing"));
    let empty = site.commit();
    let none = site.fold_of("sid", empty, None, &site.bytes(&store, None, true), Wanted::default()).unwrap();
    assert!(none.sheets["main/Contents-all"].blocks.is_empty());
    let last = last_of(empty, "sid", &none);
    (0..60).for_each(|_| site.change(&mut numbers));
    let commit = site.commit();
    let (warm, cold) = (site.bytes(&store, None, true), site.bytes(&nothing, None, false));
    let incremental = site.fold_of("sid", commit, Some(&last), &warm, Wanted::default()).unwrap();
    let sizes: Vec<u64> = incremental.sheets["main/Contents-all"].blocks.iter().map(|block| block.bytes).collect();
    let total: u64 = sizes.iter().sum();
    assert!(sizes.len() > 1 && total > 64 << 10, "{sizes:?}");
    // As few blocks as can be, of about the same size: a line is short.
    let even = total / sizes.len() as u64;
    assert!(sizes.len() as u64 == total.div_ceil(64 << 10) && sizes.iter().all(|size| size.abs_diff(even) < 500), "{sizes:?}");
    same("along with the records", &incremental, &site.fold_of("sid", commit, Some(&last), &cold, Wanted::again()).unwrap());
    same("from nothing", &incremental, &site.fold_of("sid", commit, None, &cold, Wanted::again()).unwrap());
}

#[test]
fn packages_are_made_again_without_any_file_list() {
    let mut site = Site::new(false);
    let mut numbers = Numbers(5);
    (0..30).for_each(|_| site.change(&mut numbers));
    let commit = site.commit();
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    let bytes = site.bytes(&store, None, true);
    let fold = site.fold_of("sid", commit, None, &bytes, Wanted::default()).unwrap();
    let last = last_of(commit, "sid", &fold);
    std::fs::remove_dir_all(site.folder.path().join("lists")).unwrap();
    assert!(matches!(
        site.fold_of("sid", commit, Some(&last), &bytes, Wanted::again_for("main/Contents-amd64.gz")),
        Err(FoldError::List { .. })
    ));
    let path = "main/binary-amd64/Packages.gz";
    let again = site.fold_of("sid", commit, Some(&last), &bytes, Wanted::again_for(path)).unwrap();
    assert_eq!(again.listed[path], fold.listed[path]);
    assert_eq!(again.content(path, &bytes).unwrap(), fold.content(path, &bytes).unwrap());
    assert!(!again.listed.keys().any(|path| path.contains("Contents-")));
}

#[test]
fn a_suite_that_becomes_another_one_brings_its_own_contents_up_to_date() {
    let mut site = Site::new(false);
    site.bytes = 8000;
    let mut numbers = Numbers(9);
    let store = FolderStore::new(&site.folder.path().join("objects")).derived("blocks-v1");
    let copied = |site: &mut Site| {
        let files = site.files();
        let gone = site.committed.keys().filter(|path| path.starts_with("suites/other/")).map(|path| (path.clone(), None));
        let mut edits: Edits = gone.collect();
        edits.extend(
            files
                .into_iter()
                .filter(|(path, _)| path.starts_with("suites/sid/"))
                .map(|(path, bytes)| (path.replacen("suites/sid/", "suites/other/", 1), Some(bytes))),
        );
        site.committed.extend(edits.iter().filter_map(|(path, bytes)| Some((path.clone(), bytes.clone()?))));
        let author = Author { name: "Test".into(), email: "test@example.org".into(), time: 2 };
        let commit = site.repository.commit(site.tip, &edits, "copy\n", &author).unwrap();
        site.tip = Some(commit);
        commit
    };
    (0..60).for_each(|_| site.change(&mut numbers));
    site.commit();
    let commit = copied(&mut site);
    let first = site.fold_of("other", commit, None, &site.bytes(&store, None, true), Wanted::default()).unwrap();
    let own = last_of(commit, "other", &first);
    (0..2).for_each(|_| site.change(&mut numbers));
    let commit = site.commit();
    let bytes = site.bytes(&store, None, true);
    let sid = last_of(commit, "sid", &site.fold_of("sid", commit, None, &bytes, Wanted::default()).unwrap());
    let commit = copied(&mut site);
    let bytes = site.bytes(&store, None, true);
    let nothing = FolderStore::new(&site.folder.path().join("nothing"));
    let contents = |sheets: &BTreeMap<String, Sheet>| -> BTreeMap<String, Sheet> {
        sheets.iter().filter(|(path, _)| path.contains("/Contents-")).map(|(path, sheet)| (path.clone(), sheet.clone())).collect()
    };
    for has in [true, false] {
        let mut last = Last { own: Some(Box::new(own.clone())), ..sid.clone() };
        if !has {
            last.sheets.retain(|path, _| !path.contains("/Contents-"));
            last.listed.retain(|path, _| !path.contains("/Contents-"));
        }
        let incremental = site.fold_of("other", commit, Some(&last), &bytes, Wanted::default()).unwrap();
        let whole = site.fold_of("other", commit, Some(&last), &site.bytes(&nothing, None, false), Wanted::again()).unwrap();
        same(&format!("the other has Contents: {has}"), &incremental, &whole);
        let (of_sid, of_own) = (contents(&sid.sheets), contents(&own.sheets));
        let found = contents(&incremental.sheets);
        assert_eq!(found == of_sid, has, "they are the other's where that has some");
        let kept = |path: &String| {
            let blocks = &of_own[path].blocks;
            found[path].blocks.iter().filter(|block| blocks.contains(block)).count()
        };
        assert!(has || found.keys().any(|path| found[path].blocks.len() > 1 && kept(path) > 0), "own blocks stay");
        for (path, listed) in &sid.listed {
            let plain = path.contains("/Contents-") && !path.ends_with(".gz");
            assert!(!plain || incremental.listed[path] == *listed, "{path}");
        }
    }
}
