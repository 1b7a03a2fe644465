//! The Release beside Packages and Sources: a few lines for people and old clients (format as in Debian's archive).
//!
//! It repeats what the suite's Release says and names the component and architecture; it lists no files and is itself listed.

use std::fmt::Write as _;

use super::Index;
use crate::words::archive::{Identity, Suite};
use crate::words::name::Codename;

/// Returns path and text of the Release in an index's folder; `None` where Debian has none (translations).
pub fn folder_release(index: &Index, codename: &Codename, suite: &Suite, identity: &Identity) -> Option<(String, String)> {
    let (path, architecture) = index.folder_release()?;
    let mut text = String::new();
    let mut line = |field: &str, value: Option<&str>| {
        if let Some(value) = value {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{field}: {value}");
        }
    };
    line("Archive", Some(suite.suite.as_deref().unwrap_or(codename.as_str())));
    line("Origin", identity.origin.as_deref());
    line("Label", identity.label.as_deref());
    line("Version", suite.version.as_deref());
    line("NotAutomatic", suite.not_automatic.then_some("yes"));
    line("ButAutomaticUpgrades", suite.but_automatic_upgrades.then_some("yes"));
    line("Acquire-By-Hash", suite.acquire_by_hash.then_some("yes"));
    line("Component", Some(index.component.as_str()));
    line("Architecture", Some(&architecture));
    Some((path, text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::formats::release::IndexKind;
    use crate::formats::suite::place::IndexName;
    use crate::words::archive::Archive;
    use crate::words::name::Component;

    #[test]
    fn it_is_the_one_of_debian() {
        let archive = Archive::parse(
            "[archive]\norigin = \"Debian\"\nlabel = \"Debian\"\n[suites.trixie]\nsuite = \"stable\"\nversion = \"13.7\"\narchitectures = [\"amd64\"]\n",
        )
        .unwrap();
        let (codename, suite) = archive.suites.first_key_value().unwrap();
        let index = Index { component: Component::main(), kind: IndexKind::Records(IndexName::Binary("amd64".parse().unwrap())) };
        let (path, text) = folder_release(&index, codename, suite, &archive.archive).unwrap();
        assert_eq!(path, "main/binary-amd64/Release");
        // dists/trixie/main/binary-amd64/Release of Debian 13.7, whole.
        let debians =
            "Archive: stable\nOrigin: Debian\nLabel: Debian\nVersion: 13.7\nAcquire-By-Hash: yes\nComponent: main\nArchitecture: amd64\n";
        assert_eq!(text, debians);
    }
}
