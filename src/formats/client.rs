//! What a client needs to use the archive: the deb822 sources stanza with the keyring in it (sources.list(5)).
//!
//! The stanza holds the certificates themselves, so that one file copied to `/etc/apt/sources.list.d/` is all there is to do.

use crate::words::archive::Suite;
use crate::words::name::{Codename, Component};

/// Returns the text of `<codename>.sources`; `keyring` is ASCII-armored, `address` an URI with or without trailing slash.
pub fn sources_stanza(address: &str, codename: &Codename, suite: &Suite, keyring: &str) -> String {
    let components: Vec<&str> = suite.components.iter().map(Component::as_str).collect();
    // No `Architectures`: it would make a client fetch all those named, and take an arch:all package that another
    // architecture's newer build brought and that its own build does not fit.
    let mut text = format!(
        "Types: deb deb-src\nURIs: {}/\nSuites: {codename}\nComponents: {}\nSigned-By:\n",
        address.trim_end_matches('/'),
        components.join(" ")
    );
    for line in keyring.trim_end().lines() {
        text.push_str(if line.is_empty() { " ." } else { " " });
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Returns a local folder as an URI (RFC 8089), with every byte outside the unreserved set percent-encoded.
pub fn file_uri(path: &str) -> String {
    let mut uri = String::from("file://");
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' => uri.push(char::from(byte)),
            other => uri.push_str(&format!("%{other:02x}")),
        }
    }
    uri
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::words::archive::Archive;

    #[test]
    fn the_stanza_holds_the_keyring_with_its_empty_lines() {
        let archive = Archive::parse("[suites.trixie]\narchitectures = [\"amd64\", \"all\"]\n").unwrap();
        let (codename, suite) = archive.suites.first_key_value().unwrap();
        let text = sources_stanza(&file_uri("/srv/my archive"), codename, suite, "-----BEGIN-----\n\nxyz\n-----END-----\n");
        assert_eq!(
            text,
            "Types: deb deb-src\nURIs: file:///srv/my%20archive/\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN-----\n .\n xyz\n -----END-----\n"
        );
    }
}
