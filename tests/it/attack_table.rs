//! README's tables of attacks: every row names the tests that mount it, and every test that is named is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The heading above the tables.
const HEADING: &str = "### Who notices which attack";

/// What a row says that has no test because there is nothing to show.
const NOTHING: [&str; 2] = ["not noticed", "not tried"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every test below a folder, by the modules that it is in.
fn tests_below(folder: &Path, modules: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let below = |name: &str| if modules.is_empty() { name.to_owned() } else { format!("{modules}::{name}") };
        if path.is_dir() {
            tests_below(&path, &below(&name), found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let own = if name == "mod" { modules.to_owned() } else { below(&name) };
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines().map(str::trim);
            while let Some(line) = lines.next() {
                if line == "#[test]" {
                    let line = lines.by_ref().find(|line| line.contains("fn ")).unwrap();
                    let test = line.split_once("fn ").unwrap().1.split('(').next().unwrap();
                    found.insert(format!("{own}::{test}"));
                }
            }
        }
    }
}

/// The rows of all tables of the section.
fn rows(readme: &str) -> Vec<String> {
    let (_, section) = readme.split_once(HEADING).unwrap_or_else(|| panic!("README has no \"{HEADING}\""));
    let section = section.split("\n### ").next().unwrap().split("\n## ").next().unwrap();
    let lines: Vec<&str> = section.lines().collect();
    let is_rule = |line: &str| line.starts_with("| ---");
    let in_table = |at: &usize| lines[*at].starts_with('|') && !is_rule(lines[*at]) && !lines.get(at + 1).is_some_and(|next| is_rule(next));
    (0..lines.len()).filter(in_table).map(|at| lines[at].to_owned()).collect()
}

/// The names of tests in a text: in backticks, whole or with an ellipsis at the end.
fn named(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        word.contains("::") && word.trim_end_matches('…').bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte))
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// What is wrong with a row.
fn fault(row: &str, tests: &BTreeSet<String>) -> Option<String> {
    let names = named(row);
    if names.is_empty() && !NOTHING.iter().any(|word| row.contains(word)) {
        return Some(format!("names no test: {row}"));
    }
    let exists = |name: &String| match name.strip_suffix('…') {
        Some(begin) => tests.range(begin.to_owned()..).next().is_some_and(|test| test.starts_with(begin)),
        None => tests.contains(name),
    };
    names.into_iter().find(|name| !exists(name)).map(|name| format!("there is no test {name}: {row}"))
}

#[test]
fn every_row_names_tests_that_are_there() {
    let mut tests = BTreeSet::new();
    tests_below(&root().join("tests/it"), "", &mut tests);
    assert!(tests.contains("attack_table::every_row_names_tests_that_are_there") && tests.len() > 200, "{} tests", tests.len());
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let rows = rows(&readme);
    assert!(rows.len() > 20, "the table has {} rows", rows.len());
    let faults: Vec<String> = rows.iter().filter_map(|row| fault(row, &tests)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_row_without_a_test_or_with_one_that_is_gone_is_a_fault() {
    let tests = BTreeSet::from(["verify::attacks::a_thing_is_noticed".to_owned()]);
    for (row, good) in [
        ("| a | 20 | `verify::attacks::a_thing_is_noticed` |", true),
        ("| a | 20 | `verify::attacks::a_thing…` |", true),
        ("| a | not noticed | |", true),
        ("| a | 20 | `--pool` |", false),
        ("| a | 20 | `verify::attacks::a_thing` |", false),
        ("| a | not noticed | `verify::attacks::another…` |", false),
        ("| a | 20 | `verify::attacks::a_thing…`, `verify::attacks::gone` |", false),
    ] {
        assert_eq!(fault(row, &tests).is_none(), good, "{row}");
    }
    let table = format!("{HEADING}\n\n| attack | who |\n| --- | --- |\n| one | a |\n| two | b |\n\n### Next\n| three | c |\n");
    assert_eq!(rows(&table), ["| one | a |", "| two | b |"]);
}
