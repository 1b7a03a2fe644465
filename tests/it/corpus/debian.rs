//! Every published paragraph beside the one that Debian's archive has for the same file.

use std::collections::{BTreeMap, BTreeSet};

use super::paragraph::{Paragraph, read, with_tags_unfolded};
use super::{COMPONENTS, PUBLISHED, Shared, archive, cache, configure, published};
use crate::sandbox::Sandbox;

/// The indices of a component: Debian's file of the corpus, and where ours is.
const INDICES: [(&str, &str); 4] = [
    ("Packages", "binary-amd64/Packages"),
    ("Packages.udeb", "debian-installer/binary-amd64/Packages"),
    ("Sources", "source/Sources"),
    ("Translation-en", "i18n/Translation-en"),
];

/// All that may differ without override files, and why. Each of these differences really occurs.
const EXPLAINED: [(&str, &str, Difference); 6] = [
    // What the archive's override file says counts more than the control file.
    ("Packages", "Section", Difference::Value),
    ("Packages", "Priority", Difference::Value),
    // debtags, and the list of packages that every build may take for granted, are kept in the archive alone.
    ("Packages", "Tag", Difference::OnlyDebian),
    ("Packages", "Build-Essential", Difference::OnlyDebian),
    // A .dsc has neither field; without a .changes ours are `misc` and `optional`.
    ("Sources", "Section", Difference::Value),
    ("Sources", "Priority", Difference::Value),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    Value,
    OnlyDebian,
    OnlyOurs,
}

/// The whole corpus, published with Debian's override files.
pub(super) static WITH_OVERRIDES: Shared = Shared::new(|| {
    let sandbox = archive();
    add_overrides(&sandbox);
    sandbox.dists(&[]).ok();
    sandbox
});

/// The file of Debian's paragraphs for a component: `Packages.udeb` of main is `Packages.main.udeb`.
fn debian_text(index: &str, component: &str) -> String {
    let (base, rest) = index.split_once('.').map_or((index, String::new()), |(base, rest)| (base, format!(".{rest}")));
    std::fs::read_to_string(cache(&format!("corpus/{base}.{component}{rest}"))).unwrap()
}

/// Our index; empty where Debian's is empty and ours is rightly missing (installer indices of components without such packages).
fn our_text(sandbox: &Sandbox, index: &str, path: &str, component: &str) -> String {
    if index == "Packages.udeb" && debian_text(index, component).is_empty() {
        assert!(!sandbox.public().join(format!("dists/trixie/{component}/debian-installer")).exists());
        return String::new();
    }
    published(sandbox, &format!("{component}/{path}"))
}

/// Calls back with every pair of texts: index, component, ours, Debian's.
fn each_index(sandbox: &Sandbox, mut check: impl FnMut(&str, &str, &str, &str)) {
    for component in COMPONENTS {
        for (index, path) in INDICES {
            let ours = our_text(sandbox, index, path, component);
            check(index, component, &ours, &debian_text(index, component));
        }
    }
}

fn differences(ours: &Paragraph, debians: &Paragraph) -> BTreeSet<(String, Difference)> {
    let value = |paragraph: &Paragraph, name: &str| paragraph.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let names: BTreeSet<&str> = ours.names().into_iter().chain(debians.names()).collect();
    let differs = names.into_iter().filter_map(|name| {
        let difference = match (value(ours, name), value(debians, name)) {
            (Some(ours), Some(debians)) if ours == debians => return None,
            (Some(_), Some(_)) => Difference::Value,
            (Some(_), None) => Difference::OnlyOurs,
            (None, _) => Difference::OnlyDebian,
        };
        Some((name.to_owned(), difference))
    });
    differs.collect()
}

const TRANSLATION: &str = "Translation-en";

/// Debian sorts Translation-en by the first source, which is not in the text; ddb by package and digest.
fn sort_translations(index: &str, ours: &mut [Paragraph], debians: &mut [Paragraph]) {
    if index == TRANSLATION {
        debians.sort_by_key(Paragraph::identity);
        ours.sort_by_key(Paragraph::identity);
    }
}

#[test]
fn without_override_files_nothing_but_what_debian_overrides_differs() {
    let sandbox = PUBLISHED.get();
    let mut found: BTreeMap<(String, String, Difference), Vec<String>> = BTreeMap::new();
    let mut compared: BTreeMap<String, usize> = BTreeMap::new();
    each_index(&sandbox, |index, component, ours, debians| {
        let (mut ours, mut debians) = (read(ours), read(debians));
        sort_translations(index, &mut ours, &mut debians);
        let identities = |paragraphs: &[Paragraph]| paragraphs.iter().map(Paragraph::identity).collect::<Vec<_>>();
        assert_eq!(identities(&ours), identities(&debians), "{index} of {component} lists the same in the same order");
        for (ours, debians) in ours.iter().zip(&debians) {
            let differences = differences(ours, debians);
            let in_both = |paragraph: &Paragraph| {
                let only_one = |name: &str| differences.iter().any(|(field, difference)| field == name && *difference != Difference::Value);
                paragraph.names().into_iter().filter(|name| !only_one(name)).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(in_both(ours), in_both(debians), "fields of {} stand in Debian's order", ours.identity());
            for (field, difference) in differences {
                found.entry((index.to_owned(), field, difference)).or_default().push(ours.identity());
            }
            *compared.entry(index.to_owned()).or_default() += 1;
        }
    });
    let explained: BTreeSet<_> =
        EXPLAINED.iter().map(|(index, field, difference)| ((*index).to_owned(), (*field).to_owned(), *difference)).collect();
    assert_eq!(found.keys().cloned().collect::<BTreeSet<_>>(), explained, "{found:#?}");
    assert!(compared["Packages"] >= 60 && compared["Packages.udeb"] >= 3 && compared["Sources"] >= 10, "{compared:?}");
}

#[test]
fn with_debians_override_files_every_index_is_debians() {
    let sandbox = WITH_OVERRIDES.get();
    each_index(&sandbox, |index, component, ours, debians| {
        let debians = with_tags_unfolded(debians);
        let (mut paragraphs, mut theirs) = (read(ours), read(&debians));
        sort_translations(index, &mut paragraphs, &mut theirs);
        assert_eq!(paragraphs.len(), theirs.len(), "{index} of {component}");
        for (ours, debians) in paragraphs.iter().zip(&theirs) {
            assert_eq!(ours, debians, "{index} of {component}");
        }
        if index == TRANSLATION {
            return;
        }
        // Byte for byte: the order of paragraphs and what stands between them too.
        assert_eq!(ours, debians, "{index} of {component}");
    });
}

#[test]
fn arch_all_packages_are_in_binary_all_and_again_in_binary_amd64() {
    let sandbox = WITH_OVERRIDES.get();
    let mut all = 0;
    for component in COMPONENTS {
        for (index, folder) in [("Packages", ""), ("Packages.udeb", "debian-installer/")] {
            let debians = with_tags_unfolded(&debian_text(index, component));
            if debians.is_empty() && index == "Packages.udeb" {
                continue;
            }
            let expected: Vec<Paragraph> = read(&debians).into_iter().filter(|paragraph| paragraph.need("Architecture") == "all").collect();
            assert_eq!(read(&published(&sandbox, &format!("{component}/{folder}binary-all/Packages"))), expected);
            all += expected.len();
        }
    }
    assert!(all > 20, "{all} packages");
    let release = std::fs::read_to_string(sandbox.public().join("dists/trixie/Release")).unwrap();
    assert!(release.contains("\nNo-Support-for-Architecture-all: Packages\nArchitectures: all amd64\n"), "{release}");
}

#[test]
fn the_corpus_has_what_is_hard_to_get_right() {
    let paragraphs = |index: &str| COMPONENTS.iter().flat_map(|component| read(&debian_text(index, component))).collect::<Vec<_>>();
    let (packages, sources) = (paragraphs("Packages"), paragraphs("Sources"));
    let has = |what: &str, found: &dyn Fn(&Paragraph) -> bool| {
        assert!(packages.iter().chain(&sources).any(found), "no paragraph with {what}");
    };
    has("an epoch", &|paragraph| paragraph.need("Version").contains(':'));
    has("an epoch and ~", &|paragraph| paragraph.need("Version").contains(':') && paragraph.need("Version").contains('~'));
    has("a + in the name", &|paragraph| paragraph.need("Package").contains('+'));
    has("a binNMU", &|paragraph| paragraph.get("Source").is_some_and(|source| source.contains(" (")));
    has("a source named otherwise", &|paragraph| paragraph.get("Source").is_some_and(|source| !source.contains(' ')));
    has("a source beginning with lib", &|paragraph| paragraph.get("Directory").is_some_and(|folder| folder.contains("/libn/")));
    has("a folded field", &|paragraph| paragraph.get("Go-Import-Path").is_some_and(|paths| paths.contains('\n')));
    has("many binaries", &|paragraph| paragraph.get("Binary").is_some_and(|binaries| binaries.split(',').count() > 4));
    has("letters beyond ASCII", &|paragraph| !paragraph.need("Maintainer").is_ascii());
    has("a signature of a tarball", &|paragraph| paragraph.get("Files").is_some_and(|files| files.contains(".asc")));
    for field in ["Essential", "Pre-Depends", "Built-Using", "X-Cargo-Built-Using", "Ruby-Versions", "Autobuild", "Go-Import-Path", "Dgit"]
    {
        has(field, &|paragraph| paragraph.get(field).is_some());
    }
    for component in ["contrib/", "non-free/", "non-free-firmware/"] {
        has(component, &|paragraph| paragraph.need("Section").starts_with(component));
    }
}

/// Puts Debian's override files into the archive. Its own format for sources has no Priority, though Sources shows one: the
/// three-column form of dak has.
fn add_overrides(sandbox: &Sandbox) {
    let mut toml = "contents = true\n".to_owned();
    for component in COMPONENTS {
        let file = |name: &str| std::fs::read_to_string(cache(&format!("corpus/{name}"))).unwrap();
        let extra = file(&format!("extra-override.{component}.src"));
        let priorities: BTreeMap<&str, &str> = extra.lines().filter_map(|line| line.split_once("\tPriority\t")).collect();
        let sections = file(&format!("override.{component}.src"));
        let sources = sections.lines().filter_map(|line| line.split_once('\t'));
        let sources: String = sources.map(|(source, section)| format!("{source}\t{}\t{section}\n", priorities[source])).collect();
        let files = [
            ("binary", format!("override.{component}"), file(&format!("override.{component}"))),
            ("udeb", format!("override.{component}.udeb"), file(&format!("override.{component}.udeb"))),
            ("source", format!("override.{component}.src"), sources),
            ("extra", format!("extra-override.{component}"), file(&format!("extra-override.{component}"))),
        ];
        toml.push_str(&format!("\n[suites.trixie.overrides.{component}]\n"));
        for (key, name, text) in files {
            sandbox.write(format!("archive/overrides/{name}"), text);
            toml.push_str(&format!("{key} = \"overrides/{name}\"\n"));
        }
    }
    configure(sandbox, &toml);
}
