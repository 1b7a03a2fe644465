//! A sealed text: what it is for, one line of JSON, and, where an uploader signed it, an armored OpenPGP signature.
//!
//! ```text
//! ddb statement v1
//! {"suite":"trixie",…}
//! -----BEGIN PGP SIGNATURE-----
//! …
//! ```
//! Signed are the first two lines, bytes for bytes. The first one says what the text is for, so that a signature over a
//! .changes, a tag or a text for another purpose never counts as one over this; the lines are stored as they were signed, so
//! that there is nothing to bring into a canonical form. A text has one encoding. Who signed is not checked here.

use crate::words::limits;

const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----\n";
const END: &str = "\n-----END PGP SIGNATURE-----\n";

/// What a sealed text is for; its first line says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// What a deploy job wants to say, parked for whoever lands it.
    Statement,
    /// What a build job sent to the object store.
    Manifest,
}

impl Purpose {
    /// Returns the first line, without line feed.
    pub fn line(self) -> &'static str {
        match self {
            Self::Statement => "ddb statement v1",
            Self::Manifest => "ddb manifest v1",
        }
    }
}

/// Why bytes are not a sealed text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealedError {
    /// Longer than any may be.
    #[error("it has {size} bytes, more than {}", limits::SEALED)]
    TooLong {
        /// Length in bytes.
        size: usize,
    },
    /// It is for something else, or nothing of ours.
    #[error("its first line is not \"{expected}\"")]
    Purpose {
        /// The line that it should have.
        expected: &'static str,
    },
    /// The second line is not JSON in one line.
    #[error("its second line is not one line of JSON with a line feed behind it")]
    Payload,
    /// What follows is not one armored signature.
    #[error("what follows its second line is not exactly one armored OpenPGP signature")]
    Signature,
}

/// A text for one purpose, signed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    purpose: Purpose,
    payload: String,
    signature: Option<String>,
}

impl Sealed {
    /// Returns the unsigned text with this JSON as payload, which must be one line.
    ///
    /// # Errors
    /// The payload is empty, too long or has a line feed.
    pub fn new(purpose: Purpose, payload: String) -> Result<Self, SealedError> {
        let size = payload.len();
        if size > limits::SEALED {
            return Err(SealedError::TooLong { size });
        }
        // JSON escapes control characters in strings; others could only be blanks between tokens.
        if !payload.starts_with('{') || !payload.ends_with('}') || payload.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(SealedError::Payload);
        }
        Ok(Self { purpose, payload, signature: None })
    }

    /// Returns the text with this armored detached signature over [`Sealed::signed_text`].
    ///
    /// # Errors
    /// It is not exactly one armored signature.
    pub fn with_signature(self, armored: String) -> Result<Self, SealedError> {
        let one_block = armored.starts_with(BEGIN)
            && armored.ends_with(END)
            && armored.matches("-----BEGIN").count() == 1
            && armored.matches("-----END").count() == 1
            && armored.len() <= limits::SEAL
            && armored.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte));
        if one_block { Ok(Self { signature: Some(armored), ..self }) } else { Err(SealedError::Signature) }
    }

    /// Reads a sealed text for a purpose.
    ///
    /// # Errors
    /// See [`SealedError`].
    pub fn decode(purpose: Purpose, bytes: &[u8]) -> Result<Self, SealedError> {
        if bytes.len() > limits::SEALED + limits::SEAL {
            return Err(SealedError::TooLong { size: bytes.len() });
        }
        let expected = purpose.line();
        let rest = bytes.strip_prefix(expected.as_bytes()).and_then(|rest| rest.strip_prefix(b"\n"));
        let rest = rest.ok_or(SealedError::Purpose { expected })?;
        let text = std::str::from_utf8(rest).map_err(|_| SealedError::Payload)?;
        let (payload, signature) = text.split_once('\n').ok_or(SealedError::Payload)?;
        let sealed = Self::new(purpose, payload.to_owned())?;
        if signature.is_empty() { Ok(sealed) } else { sealed.with_signature(signature.to_owned()) }
    }

    /// Returns the bytes of the whole text.
    pub fn encode(&self) -> String {
        self.signed_text() + self.signature.as_deref().unwrap_or_default()
    }

    /// Returns what is signed: the purpose and the payload, each with a line feed.
    pub fn signed_text(&self) -> String {
        format!("{}\n{}\n", self.purpose.line(), self.payload)
    }

    /// Returns what it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Returns the JSON.
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// Returns the armored signature, `None` where it is not signed.
    pub fn signature(&self) -> Option<&str> {
        self.signature.as_deref()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ARMOR: &str = "-----BEGIN PGP SIGNATURE-----\n\nwsB=\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn what_is_written_is_read_signed_or_not() {
        let plain = Sealed::new(Purpose::Statement, r#"{"suite":"zwölf\n"}"#.to_owned()).unwrap();
        assert_eq!(plain.encode(), "ddb statement v1\n{\"suite\":\"zwölf\\n\"}\n");
        assert_eq!(Sealed::decode(Purpose::Statement, plain.encode().as_bytes()), Ok(plain.clone()));
        let signed = plain.clone().with_signature(ARMOR.to_owned()).unwrap();
        assert_eq!(signed.signed_text(), plain.encode(), "the signature is over what stands before it");
        assert_eq!(Sealed::decode(Purpose::Statement, signed.encode().as_bytes()), Ok(signed));
    }

    #[test]
    fn a_text_for_another_purpose_or_in_another_form_is_refused() {
        let good = format!("ddb statement v1\n{{}}\n{ARMOR}");
        assert!(Sealed::decode(Purpose::Statement, good.as_bytes()).is_ok());
        let purpose = "its first line is not \"ddb statement v1\"";
        for (text, expected) in [
            (String::new(), purpose),
            (good.replace("statement", "manifest"), purpose),
            (good.replace("v1", "v10"), purpose),
            (format!("\n{good}"), purpose),
            ("Format: 1.8\nSource: hello\n".to_owned(), purpose),
            ("ddb statement v1\n{}".to_owned(), "its second line"),
            ("ddb statement v1\n\n".to_owned(), "its second line"),
            (good.replace("{}", "{}\r"), "its second line"),
            (good.replace("{}", "{\t}"), "its second line"),
            (good.replace("{}", "[]"), "its second line"),
            (good.replace("{}", "{}\n"), "what follows"),
            (format!("{good}\n"), "what follows"),
            (format!("{good}{ARMOR}"), "what follows"),
            (good.replace("wsB=", "wsB=\r"), "what follows"),
            (good.replace("PGP SIGNATURE", "PGP MESSAGE"), "what follows"),
        ] {
            let fault = Sealed::decode(Purpose::Statement, text.as_bytes()).unwrap_err().to_string();
            assert!(fault.starts_with(expected), "{text:?}: {fault}");
        }
        let long = format!("ddb statement v1\n{{{}}}\n", " ".repeat(limits::SEALED));
        assert!(matches!(Sealed::decode(Purpose::Statement, long.as_bytes()), Err(SealedError::TooLong { .. })));
        assert_eq!(Sealed::new(Purpose::Manifest, "{}\n".to_owned()), Err(SealedError::Payload));
    }
}
