//! A .deb, .udeb or .ddeb as a stream: its control text and the paths that it installs (deb(5)).
//!
//! The whole file is read once and to its end, so a cut-off file is noticed wherever it was cut. Both tar members are unpacked
//! and walked, or the data passed over where only the control text is asked for. Order is deb(5)'s: `debian-binary`, control.tar, data.tar; members whose name begins with
//! `_` may stand between, others only behind. Whether the control text makes sense is the matter of `control`.

use std::cell::Cell;
use std::io::{self, BufReader, Read};

use super::ar::{self, ArError};
use super::tar::{self, Kind, TarError};
use super::unpack::{Bounded, Packing};
use crate::words::limits;

/// Longest `debian-binary` in bytes.
const FORMAT_VERSION: u64 = 100;
/// Most bytes of all paths of one package together.
const ALL_PATHS: usize = 256 << 20;
/// Packed and unpacked bytes are taken in pieces of this size.
const BUFFER: usize = 128 << 10;

/// Why a file is not a .deb.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The outer archive is malformed or cut off.
    #[error(transparent)]
    Ar(#[from] ArError),
    /// Another member than the one that must come now.
    #[error("its member {found} stands where {expected} belongs")]
    Order {
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// A member that may be there once.
    #[error("its member {member} is one too many")]
    Repeated {
        /// The member's name.
        member: String,
    },
    /// The archive ends without this member.
    #[error("it has no {member}")]
    Missing {
        /// The member's name.
        member: &'static str,
    },
    /// `debian-binary` is not `2.x`.
    #[error("its debian-binary says \"{}\", not 2.0", text.escape_debug())]
    FormatVersion {
        /// The first line, shortened.
        text: String,
    },
    /// A compression that dpkg does not know for this member.
    #[error("its member {member} is compressed in a way that dpkg does not read")]
    Compression {
        /// The member's name.
        member: String,
    },
    /// A member that cannot be unpacked.
    #[error("its member {member}")]
    Member {
        /// The member's name.
        member: String,
        /// What is wrong.
        #[source]
        fault: TarError,
    },
    /// Bytes behind the compressed stream, which dpkg would not read.
    #[error("garbage follows the compressed data of its member {member}")]
    Garbage {
        /// The member's name.
        member: String,
    },
    /// No control file.
    #[error("its control.tar holds no control file")]
    NoControl,
    /// A control file that is none.
    #[error("its control file is {kind}, not a regular file")]
    ControlKind {
        /// What it is.
        kind: &'static str,
    },
    /// Two control files.
    #[error("its control.tar holds two control files")]
    TwoControls,
    /// A control file that is not UTF-8.
    #[error("its control file is not UTF-8 (byte {offset})")]
    Encoding {
        /// Offset of the first bad byte.
        offset: usize,
    },
    /// More paths than memory should hold.
    #[error("its paths have more than {ALL_PATHS} bytes together")]
    TooManyPaths,
}

/// How much of a .deb is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Both tar members.
    Whole,
    /// control.tar; data.tar must be there in a compression that dpkg reads, and is passed over.
    Control,
}

/// What a .deb holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebContents {
    /// The control file verbatim, without empty lines around it and with one newline at its end.
    pub control: String,
    /// What the package installs, folders left out, without leading `./`, in the order of data.tar; nothing where that was passed over.
    pub paths: Vec<String>,
}

/// Reads a .deb.
///
/// # Errors
/// It is cut off, malformed, over a limit of `words::limits`, or holds what dpkg would not unpack, as far as it is unpacked.
pub fn read<R: Read>(reader: R, depth: Depth) -> Result<DebContents, DebError> {
    let mut archive = ar::Archive::open(reader)?;
    read_format_version(&mut archive)?;
    let member = next_main(&mut archive, "control.tar")?;
    let control = read_tar(&mut archive, &member, "control.tar", limits::CONTROL_TAR, read_control)?;
    let member = next_main(&mut archive, "data.tar")?;
    let paths = match depth {
        Depth::Whole => read_tar(&mut archive, &member, "data.tar", limits::DATA_TAR, read_paths)?,
        Depth::Control => packing_of(&member, "data.tar").map(|_| Vec::new())?,
    };
    while let Some(extra) = archive.next_member()? {
        if extra.name == "debian-binary" || extra.name.starts_with("control.tar") || extra.name.starts_with("data.tar") {
            return Err(DebError::Repeated { member: extra.name });
        }
    }
    Ok(DebContents { control, paths })
}

fn read_format_version<R: Read>(archive: &mut ar::Archive<R>) -> Result<(), DebError> {
    const NAME: &str = "debian-binary";
    let member = archive.next_member()?.ok_or(DebError::Missing { member: NAME })?;
    if member.name != NAME {
        return Err(DebError::Order { expected: NAME, found: member.name });
    }
    let mut bytes = Vec::new();
    archive.body(&Cell::new(0)).take(FORMAT_VERSION).read_to_end(&mut bytes).map_err(read_error)?;
    // deb(5): later minor versions may add lines, which are to be ignored.
    let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    let minor = line.strip_prefix(b"2.").and_then(|rest| rest.strip_suffix(b"\n")).unwrap_or_default();
    if minor.is_empty() || !minor.iter().all(u8::is_ascii_digit) {
        return Err(DebError::FormatVersion { text: String::from_utf8_lossy(line).trim_end().chars().take(20).collect() });
    }
    Ok(())
}

/// An ar body that ends too early carries its reason as the inner error.
fn read_error(fault: io::Error) -> DebError {
    match fault.downcast::<ArError>() {
        Ok(inner) => DebError::Ar(inner),
        Err(fault) => DebError::Ar(ArError::Read(fault)),
    }
}

/// Returns the next member whose name does not begin with `_`; it must be the one expected.
fn next_main<R: Read>(archive: &mut ar::Archive<R>, expected: &'static str) -> Result<ar::Member, DebError> {
    loop {
        let member = archive.next_member()?.ok_or(DebError::Missing { member: expected })?;
        if member.name.starts_with('_') {
            continue;
        }
        if member.name.starts_with(expected) {
            return Ok(member);
        }
        let repeated = member.name == "debian-binary" || (expected == "data.tar" && member.name.starts_with("control.tar"));
        return Err(if repeated { DebError::Repeated { member: member.name } } else { DebError::Order { expected, found: member.name } });
    }
}

type Unpacked<'a> = tar::Archive<BufReader<Bounded<'a, Box<dyn Read + 'a>>>>;

/// Unpacks one tar member within its limit, lets `visit` walk it, and checks that nothing of it is left.
fn read_tar<R: Read, T>(
    archive: &mut ar::Archive<R>,
    member: &ar::Member,
    base: &'static str,
    limit: u64,
    visit: impl FnOnce(&mut Unpacked<'_>) -> Result<T, Fault>,
) -> Result<T, DebError> {
    let named = |fault| match fault {
        Fault::Tar(TarError::Read(fault)) if fault.get_ref().is_some_and(|inner| inner.is::<ArError>()) => read_error(fault),
        Fault::Tar(fault) => DebError::Member { member: member.name.clone(), fault },
        Fault::Deb(fault) => fault,
    };
    let packing = packing_of(member, base)?;
    let taken = Cell::new(0);
    // A small member gets small buffers: clearing large ones costs more than unpacking it.
    let small = usize::try_from(member.size).unwrap_or(BUFFER).clamp(1 << 12, BUFFER);
    let mut packed = BufReader::with_capacity(small, archive.body(&taken));
    let decoder = packing.decoder(&mut packed).map_err(|fault| named(Fault::Tar(TarError::Read(fault))))?;
    let plain = BufReader::with_capacity(small.saturating_mul(4).min(BUFFER), Bounded::new(decoder, &taken, limit));
    let value = visit(&mut tar::Archive::new(plain)).map_err(named)?;
    let mut rest = [0; 1];
    match packed.read(&mut rest).map_err(read_error)? {
        0 => Ok(value),
        _ => Err(DebError::Garbage { member: member.name.clone() }),
    }
}

fn packing_of(member: &ar::Member, base: &'static str) -> Result<Packing, DebError> {
    let packing = member.name.strip_prefix(base).and_then(Packing::of_suffix);
    packing
        .filter(|packing| base == "data.tar" || !matches!(packing, Packing::Bzip2 | Packing::Lzma))
        .ok_or_else(|| DebError::Compression { member: member.name.clone() })
}

/// What goes wrong while a tar member is walked.
enum Fault {
    Tar(TarError),
    Deb(DebError),
}

impl From<TarError> for Fault {
    fn from(fault: TarError) -> Self {
        Self::Tar(fault)
    }
}

fn read_control(archive: &mut Unpacked<'_>) -> Result<String, Fault> {
    let mut control = None;
    while let Some(entry) = archive.next_entry()? {
        if entry.path != "control" {
            continue;
        }
        if entry.kind != Kind::File {
            return Err(Fault::Deb(DebError::ControlKind { kind: entry.kind.in_words() }));
        }
        if control.is_some() {
            return Err(Fault::Deb(DebError::TwoControls));
        }
        let bytes = archive.read_body(&entry, limits::CONTROL)?;
        let text = String::from_utf8(bytes).map_err(|fault| Fault::Deb(DebError::Encoding { offset: fault.utf8_error().valid_up_to() }))?;
        control = Some(format!("{}\n", text.trim_matches('\n')));
    }
    control.ok_or(Fault::Deb(DebError::NoControl))
}

fn read_paths(archive: &mut Unpacked<'_>) -> Result<Vec<String>, Fault> {
    let mut paths = Vec::new();
    let mut bytes = 0;
    while let Some(entry) = archive.next_entry()? {
        if entry.kind == Kind::Folder {
            continue;
        }
        bytes += entry.path.len() + size_of::<String>();
        if bytes > ALL_PATHS {
            return Err(Fault::Deb(DebError::TooManyPaths));
        }
        paths.push(entry.path);
    }
    Ok(paths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
