//! The path of a request: percent-decoded strictly, and never a way out of a tree or to a hidden file.

/// Longest path in bytes that is read.
const LIMIT: usize = 4096;

/// Why a request's path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Longer than any path of an archive.
    #[error("the path is longer than {LIMIT} bytes")]
    TooLong,
    /// It does not begin with a slash, or two slashes follow each other.
    #[error("the path is not names joined by single slashes")]
    Shape,
    /// A percent sign without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the path is not percent-encoded UTF-8")]
    Encoding,
    /// A slash, backslash or control character that was percent-encoded, or stands there raw.
    #[error("the path holds a character that no name has")]
    Character,
    /// A name that begins with a dot: this folder, the one above, hidden files.
    #[error("names that begin with a dot are not served")]
    Hidden,
}

/// A path whose parts are names: no empty ones, none that begins with a dot, none with a slash or control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPath {
    /// The names.
    pub names: Vec<String>,
    /// Whether a slash stands at the end, or nothing but one: a folder is asked for.
    pub folder: bool,
}

impl RequestPath {
    /// Reads the path of a request target, without its query.
    ///
    /// # Errors
    /// See `PathFault`.
    pub fn parse(raw: &str) -> Result<Self, PathFault> {
        if raw.len() > LIMIT {
            return Err(PathFault::TooLong);
        }
        let below = raw.strip_prefix('/').ok_or(PathFault::Shape)?;
        let (below, folder) = match below.strip_suffix('/') {
            Some(above) => (above, true),
            None => (below, below.is_empty()),
        };
        if below.is_empty() {
            return if raw == "/" { Ok(Self { names: Vec::new(), folder: true }) } else { Err(PathFault::Shape) };
        }
        let names = below.split('/').map(name).collect::<Result<_, _>>()?;
        Ok(Self { names, folder })
    }

    /// Returns the names joined by slashes.
    pub fn joined(&self) -> String {
        self.names.join("/")
    }
}

fn name(raw: &str) -> Result<String, PathFault> {
    if raw.is_empty() {
        return Err(PathFault::Shape);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next())? << 4 | digit(rest.next())?,
            plain if plain.is_ascii() => plain,
            _ => return Err(PathFault::Encoding),
        });
    }
    let name = String::from_utf8(bytes).map_err(|_| PathFault::Encoding)?;
    if name.chars().any(|letter| letter.is_control() || letter == '/' || letter == '\\') {
        return Err(PathFault::Character);
    }
    if name.starts_with('.') { Err(PathFault::Hidden) } else { Ok(name) }
}

fn digit(byte: Option<u8>) -> Result<u8, PathFault> {
    let value = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(PathFault::Encoding)?;
    u8::try_from(value).map_err(|_| PathFault::Encoding)
}

/// Returns a name for use in a path, with everything but letters, digits and `-._~` percent-encoded.
pub fn encode(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("%{other:02x}")),
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(raw: &str) -> Vec<String> {
        RequestPath::parse(raw).unwrap().names
    }

    #[test]
    fn what_apt_sends_is_read() {
        let file = "odd+name_2.0~rc1+dfsg-1+b2_all.deb";
        for raw in [
            "/pool/main/o/odd+name/odd+name_2.0~rc1+dfsg-1+b2_all.deb",
            "/pool/main/o/odd%2bname/odd%2bname_2.0%7erc1%2bdfsg-1%2bb2_all.deb",
            "/pool/main/o/odd%2Bname/odd%2Bname_2.0%7Erc1%2Bdfsg-1%2Bb2_all.deb",
        ] {
            assert_eq!(names(raw), ["pool", "main", "o", "odd+name", file]);
        }
        assert_eq!(names("/x/1%3a2"), ["x", "1:2"]);
        assert_eq!(RequestPath::parse("/").unwrap(), RequestPath { names: Vec::new(), folder: true });
        assert!(RequestPath::parse("/dists/").unwrap().folder);
        assert!(!RequestPath::parse("/dists").unwrap().folder);
    }

    #[test]
    fn no_way_leads_out_or_to_hidden_files() {
        for (raw, fault) in [
            ("", PathFault::Shape),
            ("x", PathFault::Shape),
            ("//", PathFault::Shape),
            ("//x", PathFault::Shape),
            ("/x//y", PathFault::Shape),
            ("/..", PathFault::Hidden),
            ("/x/../y", PathFault::Hidden),
            ("/x/%2e%2e/y", PathFault::Hidden),
            ("/x/.%2E/y", PathFault::Hidden),
            ("/.ddb-lock", PathFault::Hidden),
            ("/%2egit/config", PathFault::Hidden),
            ("/x%2fy", PathFault::Character),
            ("/x%5c..%5cy", PathFault::Character),
            ("/x\\y", PathFault::Character),
            ("/x%00", PathFault::Character),
            ("/x%0d%0aSet-Cookie", PathFault::Character),
            ("/x%7f", PathFault::Character),
            ("/x%", PathFault::Encoding),
            ("/x%2", PathFault::Encoding),
            ("/x%zz", PathFault::Encoding),
            ("/x%+1", PathFault::Encoding),
            ("/x%c0%ae", PathFault::Encoding),
            ("/xü", PathFault::Encoding),
        ] {
            assert_eq!(RequestPath::parse(raw), Err(fault), "{raw}");
        }
        assert_eq!(RequestPath::parse(&format!("/{}", "x".repeat(LIMIT))), Err(PathFault::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_again(name in "[^\\.\\pC/\\\\][^\\pC/\\\\]{0,30}") {
            prop_assert_eq!(names(&format!("/{}", encode(&name))), [name]);
        }

        #[test]
        fn names_are_harmless_whatever_comes(raw in "/[ -~]{0,60}") {
            if let Ok(path) = RequestPath::parse(&raw) {
                for name in path.names {
                    prop_assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']));
                }
            }
        }
    }
}
