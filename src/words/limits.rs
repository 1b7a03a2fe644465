//! Named limits for everything that is read from outside: one place to look up what is refused as too large.

/// Largest control file (one paragraph) in bytes.
pub const CONTROL: u64 = 1 << 20;
/// Most fields in one paragraph.
pub const FIELDS: usize = 2000;
/// Largest uncompressed control.tar in bytes.
pub const CONTROL_TAR: u64 = 64 << 20;
/// Largest .dsc, .changes or .buildinfo in bytes.
pub const SIGNED_TEXT: u64 = 64 << 20;
/// Largest uncompressed data.tar in bytes.
pub const DATA_TAR: u64 = 64 << 30;
/// Most bytes that one compressed byte of a .deb member may become, once the member is over 16 MiB.
pub const EXPANSION: u64 = 2000;
/// Most entries in one tar member.
pub const TAR_ENTRIES: u64 = 4_000_000;
/// Longest path inside a tar member in bytes.
pub const TAR_PATH: usize = 4096;
/// Longest name of a package, source, component or file in bytes (a Git tree entry and most file systems allow 255).
pub const NAME: usize = 200;
/// Longest version in bytes.
pub const VERSION: usize = 200;
/// Largest record in the suites tree in bytes.
pub const RECORD: u64 = 2 << 20;
/// Largest Git-LFS pointer in bytes (Git-LFS specification: under 1024).
pub const POINTER: usize = 1023;
/// Largest ddb.toml in bytes.
pub const CONFIGURATION: u64 = 4 << 20;
/// Largest override file in bytes.
pub const OVERRIDES: u64 = 256 << 20;
/// Largest payload of a sealed statement or manifest in bytes: some 20,000 packages.
pub const SEALED: usize = 64 << 20;
/// Largest armored signature of a sealed statement or manifest in bytes.
pub const SEAL: usize = 64 << 10;
