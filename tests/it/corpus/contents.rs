//! Contents of the corpus beside Debian's own lines for the same packages.

use std::collections::{BTreeMap, BTreeSet};

use super::debian::WITH_OVERRIDES;
use super::{COMPONENTS, cache};

/// The lines of a text that name these packages, but for others in them: path and packages.
fn lines(text: &str, wanted: &BTreeSet<&str>) -> BTreeMap<String, Vec<String>> {
    let mut lines = BTreeMap::new();
    for (path, packages) in text.lines().map(|line| line.rsplit_once(' ').unwrap()) {
        let named = packages.split(',').filter(|package| wanted.contains(package.rsplit('/').next().unwrap()));
        let named: Vec<String> = named.map(str::to_owned).collect();
        if !named.is_empty() {
            lines.insert(path.trim_end().to_owned(), named);
        }
    }
    lines
}

#[test]
fn each_package_has_the_lines_that_debian_gives_it() {
    let sandbox = WITH_OVERRIDES.get();
    let mut checked = (0, BTreeSet::new());
    for (component, architecture) in COMPONENTS.iter().flat_map(|component| [(component, "amd64"), (component, "all")]) {
        let read = |name: &str| std::fs::read_to_string(cache(&format!("contents/{name}.{component}"))).unwrap();
        let (names, debian) = (read("names"), read(&format!("Contents-{architecture}")));
        let wanted: BTreeSet<&str> = names.lines().collect();
        let path = sandbox.public().join(format!("dists/trixie/{component}/Contents-{architecture}.gz"));
        let ours = sandbox.run("gzip", &["-dc", path.to_str().unwrap()]).ok().out;
        let (ours, debian) = (lines(&ours, &wanted), lines(&debian, &wanted));
        for (path, packages) in &debian {
            assert_eq!(ours.get(path), Some(packages), "{component} {architecture}: {path}");
            checked.1.extend(packages.clone());
        }
        assert_eq!(ours.len(), debian.len(), "{component} {architecture}");
        checked.0 += ours.len();
    }
    assert!(checked.0 > 1000 && checked.1.len() > 60, "{} lines of {} packages", checked.0, checked.1.len());
}

#[test]
fn the_order_of_lines_is_debians() {
    for (component, architecture) in COMPONENTS.iter().flat_map(|component| [(component, "amd64"), (component, "all")]) {
        let debian = std::fs::read_to_string(cache(&format!("contents/Contents-{architecture}.{component}"))).unwrap();
        let paths: Vec<&str> = debian.lines().map(|line| line.rsplit_once(' ').unwrap().0.trim_end()).collect();
        assert!(paths.is_sorted(), "{component} {architecture}");
    }
}
