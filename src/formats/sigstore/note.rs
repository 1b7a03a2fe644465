//! Signed notes (C2SP `signed-note.md`): a text, an empty line, and signatures of which each names its key.

use super::{Octets, SigstoreError};

/// The longest note in bytes.
pub const LONGEST: usize = 64 << 10;

/// Most signatures of one note.
const MOST_SIGNATURES: usize = 100;

/// A text with signatures that nobody has checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What is signed, with its last line feed.
    pub text: String,
    /// The signatures, in order.
    pub signatures: Vec<NoteSignature>,
}

/// One signature of a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// The name of the key.
    pub name: String,
    /// The first four bytes of the key's hash.
    pub key_id: [u8; 4],
    /// The bytes of the signature.
    pub signature: Vec<u8>,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// It is not of the form that the specification gives.
    pub fn parse(note: &str) -> Result<Self, SigstoreError> {
        let wrong = |fault: &str| SigstoreError::malformed("the signed note", fault);
        if note.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        if note.chars().any(|letter| letter < ' ' && letter != '\n') {
            return Err(wrong("it has control characters"));
        }
        let split = note.rfind("\n\n").ok_or_else(|| wrong("it has no empty line before its signatures"))?;
        let (text, lines) = note.split_at_checked(split + 1).ok_or_else(|| wrong("it has no signatures"))?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n')).filter(|lines| !lines.is_empty());
        let signatures = lines.ok_or_else(|| wrong("it has no signatures"))?.split('\n').map(NoteSignature::parse);
        let signatures: Option<Vec<NoteSignature>> = signatures.take(MOST_SIGNATURES + 1).collect();
        let signatures = signatures.ok_or_else(|| wrong("a line after its empty line is no signature"))?;
        if signatures.len() > MOST_SIGNATURES {
            return Err(wrong("it has too many signatures"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
        if !is_name(name) {
            return None;
        }
        let bytes = Octets::decode(encoded).ok()?.0;
        let (key_id, signature) = bytes.split_first_chunk::<4>()?;
        (!signature.is_empty()).then(|| Self { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
    }
}

/// Tells whether a text can be the name of a key.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains('+') && !name.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const NOTE: &str = "rekor.example\n1\nxlOA\n\n— rekor.example 3hUnPAE=\n— witness 3hUnPAECAw==\n";

    #[test]
    fn a_note_is_split_into_its_text_and_its_signatures() {
        let note = Note::parse(NOTE).unwrap();
        assert_eq!(note.text, "rekor.example\n1\nxlOA\n");
        assert_eq!(note.signatures.len(), 2);
        assert_eq!(note.signatures[0].name, "rekor.example");
        assert_eq!(note.signatures[1].key_id, [0xde, 0x15, 0x27, 0x3c]);
        assert_eq!(note.signatures[1].signature, [1, 2, 3]);
    }

    #[test]
    fn anything_else_is_no_note() {
        for (from, to) in [
            ("\n\n", "\n"),
            ("— witness", "- witness"),
            ("— witness", "—  witness"),
            ("witness ", "wit+ness "),
            ("3hUnPAE=", "3hUnPAE"),
            ("3hUnPAE=", "3hUnPA=="),
            ("3hUnPAE=", ""),
            ("Aw==\n", "Aw=="),
            ("Aw==\n", "Aw==\n\n"),
            ("Aw==\n", "Aw==\nx\n"),
            ("example\n1", "example\r\n1"),
        ] {
            let changed = NOTE.replacen(from, to, 1);
            assert_ne!(changed, NOTE);
            assert!(Note::parse(&changed).is_err(), "{changed:?}");
        }
        assert!(Note::parse("").is_err());
        assert!(Note::parse("\n\n").is_err());
        assert!(Note::parse(&(NOTE.to_owned() + &"— w 3hUnPAE=\n".repeat(99))).is_err());
    }
}
