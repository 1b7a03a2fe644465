//! What apt fetched on this machine: `/var/lib/apt/lists`, where each Release is a byte-exact copy and each index stands unpacked
//! or as it was fetched. Names are apt's (`URItoFileName` in apt-pkg): quoted, with `_` for `/`.

use std::path::Path;

use super::answer::{Class, VerifyAnswer};
use super::indices::File;
use super::openpgp::Frame;
use super::release::{self, Release};
use super::site::Site;
use super::stream;
use super::suite::{Look, Signed};
use super::{VerifyError, VerifyRequest, proofs};

/// Checks every Release in the folder, or those of one location and of some suites, with the indices beside it.
pub(super) fn check(request: &VerifyRequest, folder: &Path, said: &(dyn Fn(String) + Sync)) -> Result<VerifyAnswer, VerifyError> {
    let site = Site::of(&folder.display().to_string(), None, request.patience)?;
    let fault = |source| VerifyError::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        names.extend(entry.map_err(fault)?.file_name().into_string());
    }
    names.sort();
    let mut answer = VerifyAnswer::of(site.to_string());
    let above = request.location.as_deref().map(|location| file_name(&format!("{}/dists/", location.trim_end_matches('/'))));
    let mut there: Vec<&String> = Vec::new();
    for name in &names {
        let Some(prefix) = prefix_of(name) else { continue };
        let asked = request.suites.iter().find(|suite| match &above {
            Some(above) => *prefix == format!("{above}{}_", file_name(suite)),
            None => prefix.ends_with(&format!("_dists_{}_", file_name(suite))),
        });
        let wanted = above.as_ref().is_none_or(|above| prefix.starts_with(above.as_str()));
        if !wanted || (asked.is_none() && !request.suites.is_empty()) {
            continue;
        }
        there.extend(asked);
        said(format!("checking {name}"));
        let mut look = Look::new(name);
        if let Some(signed) = opened(&mut look, request, &site, prefix, name)
            && let Some(release) = look.read(request, &site.to_string(), name, &signed.text)?
        {
            if let Some(suite) = asked {
                look.is_of(suite, name, &release);
            }
            if request.sigsum.is_none() && request.sigstore.is_none() {
                proofs::note_missing_pins(&mut look);
            }
            proofs::sigsum(&mut look, request.sigsum.as_ref(), name, &signed, None);
            proofs::sigstore(&mut look, request.sigstore.as_ref(), name, &signed, None);
            indices(&mut look, &site, prefix, &release, &names);
        }
        look.remember(request)?;
        answer.findings.append(&mut look.findings);
        answer.suites.push(look.answer);
    }
    for suite in request.suites.iter().filter(|suite| !there.contains(suite)) {
        let reason = format!("has no Release of {suite}: apt has not fetched it, or keeps its lists elsewhere");
        answer.findings.push(super::Finding::new(Class::Unreachable, folder.display().to_string(), reason));
    }
    if answer.suites.is_empty() && request.suites.is_empty() {
        let reason = "has no Release of that archive: apt has not fetched it, or keeps its lists elsewhere";
        answer.findings.push(super::Finding::new(Class::Unreachable, folder.display().to_string(), reason));
    }
    Ok(answer.judged())
}

fn opened(look: &mut Look, request: &VerifyRequest, site: &Site, prefix: &str, name: &str) -> Option<Signed> {
    let mut read = |name: &str| match site.read(name, release::LIMIT) {
        Ok(bytes) => Some(bytes),
        Err(missing) => {
            look.find(Class::Signature, name, missing.reason());
            None
        }
    };
    let bytes = read(name)?;
    if name.ends_with("_InRelease") {
        return look.opened(request, name, &bytes);
    }
    let detached = format!("{prefix}Release.gpg");
    let signature = read(&detached)?;
    let signed = look.signed(request, Frame::Detached, &detached, &bytes, &signature);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    signed.then(|| Signed { text: text(bytes), signature: text(signature) })
}

fn indices(look: &mut Look, site: &Site, prefix: &str, release: &Release, names: &[String]) {
    for (path, listed) in &release.files {
        let name = format!("{prefix}{}", file_name(path));
        if names.binary_search(&name).is_err() {
            continue;
        }
        let (base, suffix) = stream::split_suffix(path);
        let file = File { site, path: &name, listed, suffix, plain: release.files.get(base).filter(|_| !suffix.is_empty()) };
        match file.check(base, None, &mut Vec::new()) {
            Ok(()) => {
                look.answer.indices.files += 1;
                look.answer.indices.bytes += listed.size;
            }
            Err(fault) => look.findings.push(fault.finding(Class::Index, &name)),
        }
    }
    let listed: std::collections::BTreeSet<String> = release.files.keys().map(|path| format!("{prefix}{}", file_name(path))).collect();
    // The longest prefix is a file's own: that of trixie/updates begins with that of trixie.
    let own = |name: &String| {
        names.iter().filter_map(|name| prefix_of(name)).filter(|prefix| name.starts_with(prefix)).max_by_key(|own| own.len())
    };
    for name in names.iter().filter(|name| name.starts_with(prefix) && own(name) == Some(prefix) && !listed.contains(*name)) {
        let rest = name.strip_prefix(prefix).unwrap_or(name);
        if !["InRelease", "Release", "Release.gpg"].contains(&rest) {
            let reason = "was not checked: Release lists no file of that name; somebody put it there, or apt keeps it compressed anew";
            look.find(Class::Index, name, reason);
        }
    }
}

/// Returns what the names of a suite's files begin with, if this is the name of its Release.
fn prefix_of(name: &str) -> Option<&str> {
    name.strip_suffix("InRelease").or_else(|| name.strip_suffix("Release")).filter(|prefix| prefix.ends_with('_'))
}

/// Returns the name under which apt keeps what it fetched from an address or path.
fn file_name(address: &str) -> String {
    let below = address.split_once("://").map_or(address, |(_, below)| below);
    let below = below.split_once('@').filter(|(user, _)| !user.contains('/')).map_or(below, |(_, below)| below);
    let mut name = String::with_capacity(below.len());
    for letter in below.chars() {
        match letter {
            '/' => name.push('_'),
            letter if "\\|{}[]<>\"^~_=!@#$%^&*".contains(letter) || !('!'..='~').contains(&letter) => {
                let mut buffer = [0; 4];
                for byte in letter.encode_utf8(&mut buffer).bytes() {
                    name.push_str(&format!("%{byte:02x}"));
                }
            }
            letter => name.push(letter),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn names_are_apts() {
        assert_eq!(file_name("http://127.0.0.1:8080/a_b/dists/"), "127.0.0.1:8080_a%5fb_dists_");
        assert_eq!(file_name("https://user:secret@deb.example.org/debian/dists/"), "deb.example.org_debian_dists_");
        assert_eq!(file_name("main/binary-amd64/Packages"), "main_binary-amd64_Packages");
    }
}
