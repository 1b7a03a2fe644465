//! Writing a pack: many new objects in two files instead of a file for each.
//!
//! Objects are named as they come, compressed some megabytes at a time on all threads, and written one after another; only
//! names and offsets stay in memory. Nothing is a delta: that is `git gc`'s work. The pack is on disk before its index names
//! it, and what a killed run leaves (`tmp_*`) `git gc` removes.

use std::collections::HashSet;
use std::fs::{File, Permissions};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use git2::{ObjectType, Oid};
use rayon::prelude::*;
use sha1::{Digest as _, Sha1};
use tempfile::NamedTempFile;

/// Objects are compressed in batches of about this many bytes.
const BATCH: usize = 4 << 20;

/// How hard.
const LEVEL: u32 = 4;

/// Pointers and most trees are shorter than this in bytes, and gain nothing from more than the least effort.
const SHORT: usize = 400;

/// The largest offset that fits into four bytes of an index.
const SMALL_OFFSET: u64 = 0x7fff_ffff;

/// A pack that is being written.
pub(super) struct PackWriter {
    folder: PathBuf,
    file: BufWriter<NamedTempFile>,
    length: u64,
    written: Vec<Entry>,
    names: HashSet<Oid>,
    pending: Vec<(Oid, ObjectType, Vec<u8>)>,
    pending_bytes: usize,
}

struct Entry {
    oid: Oid,
    crc: u32,
    offset: u64,
}

impl PackWriter {
    /// Begins a pack in a Git folder.
    pub(super) fn begin(git_dir: &Path) -> io::Result<Self> {
        let folder = git_dir.join("objects/pack");
        std::fs::create_dir_all(&folder)?;
        let mut file = BufWriter::with_capacity(1 << 20, temporary(&folder, "tmp_pack_")?);
        file.write_all(b"PACK\0\0\0\x02\0\0\0\0")?;
        Ok(Self { folder, file, length: 12, written: Vec::new(), names: HashSet::new(), pending: Vec::new(), pending_bytes: 0 })
    }

    /// Takes an object, unless it is in the pack already.
    pub(super) fn write(&mut self, oid: Oid, kind: ObjectType, bytes: Vec<u8>) -> io::Result<()> {
        if !self.names.insert(oid) {
            return Ok(());
        }
        self.pending_bytes += bytes.len() + 64;
        self.pending.push((oid, kind, bytes));
        if self.pending_bytes >= BATCH { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pending_bytes = 0;
        let batch = std::mem::take(&mut self.pending);
        let packed: Vec<io::Result<Vec<u8>>> =
            batch.par_iter().map_init(Compressors::new, |both, (_, kind, bytes)| packed(both.of(bytes), *kind, bytes)).collect();
        for ((oid, _, _), packed) in batch.iter().zip(packed) {
            let packed = packed?;
            let mut crc = Crc::new();
            crc.update(&packed);
            self.written.push(Entry { oid: *oid, crc: crc.sum(), offset: self.length });
            self.file.write_all(&packed)?;
            self.length += packed.len() as u64;
        }
        Ok(())
    }

    /// Writes what is left and lets Git see the pack; returns the names of its objects.
    pub(super) fn finish(mut self) -> io::Result<HashSet<Oid>> {
        self.flush()?;
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let count = u32::try_from(self.written.len()).map_err(|_| io::Error::other("more objects than a pack can hold"))?;
        file.seek(SeekFrom::Start(8))?;
        file.write_all(&count.to_be_bytes())?;
        file.rewind()?;
        // The digest covers the number of objects, which was not known at the beginning.
        let name = sha1_of(file.as_file())?;
        file.seek(SeekFrom::End(0))?;
        file.write_all(&name)?;
        let index = index(&self.folder, &mut self.written, &name)?;
        let hex: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        settle(file, &self.folder.join(format!("pack-{hex}.pack")))?;
        settle(index, &self.folder.join(format!("pack-{hex}.idx")))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(self.names)
    }
}

fn temporary(folder: &Path, prefix: &str) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(prefix).tempfile_in(folder)
}

/// Gives a file its name, once its bytes are on disk.
fn settle(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().set_permissions(Permissions::from_mode(0o444))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn sha1_of(file: &File) -> io::Result<[u8; 20]> {
    let mut reader = BufReader::new(file);
    let mut hasher = Sha1::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let length = reader.read(&mut buffer)?;
        if length == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(buffer.get(..length).unwrap_or_default());
    }
}

/// One that is quick to begin, and one that looks harder.
struct Compressors {
    quick: Compress,
    thorough: Compress,
}

impl Compressors {
    fn new() -> Self {
        Self { quick: Compress::new(Compression::fast(), true), thorough: Compress::new(Compression::new(LEVEL), true) }
    }

    fn of(&mut self, bytes: &[u8]) -> &mut Compress {
        if bytes.len() < SHORT { &mut self.quick } else { &mut self.thorough }
    }
}

/// Returns an object as a pack holds it: kind and length, then the bytes as a zlib stream.
fn packed(compressor: &mut Compress, kind: ObjectType, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let number: u8 = match kind {
        ObjectType::Commit => 1,
        ObjectType::Tree => 2,
        _ => 3,
    };
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    let mut rest = bytes.len();
    let mut byte = number << 4 | low_bits(rest, 4);
    rest >>= 4;
    while rest > 0 {
        out.push(byte | 0x80);
        byte = low_bits(rest, 7);
        rest >>= 7;
    }
    out.push(byte);
    compressor.reset();
    let mut taken = 0;
    loop {
        out.reserve(bytes.len() / 2 + 64);
        let rest = bytes.get(taken..).unwrap_or_default();
        let before = compressor.total_in();
        let status = compressor.compress_vec(rest, &mut out, FlushCompress::Finish).map_err(io::Error::other)?;
        taken += usize::try_from(compressor.total_in() - before).unwrap_or_default();
        if status == Status::StreamEnd {
            return Ok(out);
        }
    }
}

fn low_bits(number: usize, bits: u32) -> u8 {
    u8::try_from(number & ((1 << bits) - 1)).unwrap_or_default()
}

/// Writes the index of a pack (version 2).
fn index(folder: &Path, entries: &mut [Entry], pack: &[u8; 20]) -> io::Result<NamedTempFile> {
    entries.sort_unstable_by(|left, right| left.oid.as_bytes().cmp(right.oid.as_bytes()));
    let mut bytes = Vec::with_capacity(1100 + entries.len() * 28);
    bytes.extend(b"\xfftOc\0\0\0\x02");
    let first = |entry: &Entry| entry.oid.as_bytes().first().copied().unwrap_or_default();
    for byte in 0..=u8::MAX {
        let count = entries.partition_point(|entry| first(entry) <= byte);
        bytes.extend(u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    }
    entries.iter().for_each(|entry| bytes.extend(entry.oid.as_bytes()));
    entries.iter().for_each(|entry| bytes.extend(entry.crc.to_be_bytes()));
    let mut large: Vec<u64> = Vec::new();
    for entry in entries.iter() {
        let small = u32::try_from(entry.offset).ok().filter(|_| entry.offset <= SMALL_OFFSET);
        let offset = small.unwrap_or_else(|| {
            large.push(entry.offset);
            0x8000_0000 | u32::try_from(large.len() - 1).unwrap_or_default()
        });
        bytes.extend(offset.to_be_bytes());
    }
    large.iter().for_each(|offset| bytes.extend(offset.to_be_bytes()));
    bytes.extend(pack);
    let name: [u8; 20] = Sha1::digest(&bytes).into();
    bytes.extend(name);
    let mut file = temporary(folder, "tmp_idx_")?;
    file.write_all(&bytes)?;
    Ok(file)
}
