//! How a web server presents the files of a published tree: `Content-Type` and `Cache-Control` of each class.
//!
//! What is named by its content never changes and may be kept for ever. What is overwritten must never be kept longer than
//! InRelease, or a cache hands out an index that the Release of the day does not know. No file has a `Content-Encoding`: a
//! client that decompresses on the way sees other bytes than Release lists.

/// What a file is presented as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presentation {
    /// `Content-Type`
    pub content_type: &'static str,
    /// `Cache-Control`
    pub cache_control: &'static str,
}

/// `Cache-Control` of what is named by its content: objects and by-hash files.
pub const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// `Cache-Control` of pool files: a name may come to mean other bytes, by `--on-conflict replace`.
pub const POOL: &str = "public, max-age=86400";

/// `Cache-Control` of what every publish overwrites.
pub const CURRENT: &str = "public, max-age=60, must-revalidate";

/// Returns how the file at this path of a published tree is presented.
pub fn presentation(path: &str) -> Presentation {
    let cache_control = match path {
        _ if is_by_hash(path) || is_logged(path) => IMMUTABLE,
        _ if path.starts_with("pool/") => POOL,
        _ if path.starts_with("dists/") || !path.contains('/') => CURRENT,
        _ => IMMUTABLE,
    };
    Presentation { content_type: content_type(path), cache_control }
}

fn is_by_hash(path: &str) -> bool {
    path.starts_with("dists/") && path.rsplit('/').nth(2) == Some("by-hash")
}

/// Tells whether it is a logged Release, or a proof of it: `dists/<codename>/tlog/<sha256>.<ending>`.
fn is_logged(path: &str) -> bool {
    path.starts_with("dists/") && path.split('/').nth(2) == Some("tlog")
}

fn content_type(path: &str) -> &'static str {
    let file = path.rsplit('/').next().unwrap_or_default();
    if is_by_hash(path) {
        return "application/octet-stream";
    }
    match file.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "deb" | "udeb" | "ddeb" => "application/vnd.debian.binary-package",
        "xz" => "application/x-xz",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        "bz2" => "application/x-bzip2",
        "lzma" => "application/x-lzma",
        "gpg" => "application/pgp-signature",
        "asc" if path.starts_with("pool/") => "application/pgp-signature",
        "asc" => "application/pgp-keys",
        "json" if path.starts_with("dists/") => "application/json",
        "dsc" | "changes" | "buildinfo" | "sources" | "proof" | "release" => "text/plain; charset=utf-8",
        _ if ["InRelease", "Release", "Packages", "Sources", "Translation-en"].contains(&file) => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_type_and_its_time() {
        let table = [
            ("dists/trixie/InRelease", "text/plain; charset=utf-8", CURRENT),
            ("dists/trixie/Release", "text/plain; charset=utf-8", CURRENT),
            ("dists/trixie/Release.gpg", "application/pgp-signature", CURRENT),
            ("dists/trixie/main/binary-amd64/Packages.gz", "application/gzip", CURRENT),
            ("dists/trixie/main/binary-amd64/Packages.xz", "application/x-xz", CURRENT),
            ("dists/trixie/main/binary-amd64/Release", "text/plain; charset=utf-8", CURRENT),
            ("dists/trixie/main/source/Sources.zst", "application/zstd", CURRENT),
            ("dists/trixie/main/binary-amd64/by-hash/SHA256/0123", "application/octet-stream", IMMUTABLE),
            ("pool/main/f/foo/foo_1_amd64.deb", "application/vnd.debian.binary-package", POOL),
            ("pool/main/f/foo/foo_1.orig.tar.gz.asc", "application/pgp-signature", POOL),
            ("pool/main/f/foo/foo_1.dsc", "text/plain; charset=utf-8", POOL),
            ("pool/main/b/by-hash/x", "application/octet-stream", POOL),
            ("dists/trixie/Release.proof", "text/plain; charset=utf-8", CURRENT),
            ("dists/trixie/tlog/0123.proof", "text/plain; charset=utf-8", IMMUTABLE),
            ("dists/trixie/tlog/0123.sigstore.json", "application/json", IMMUTABLE),
            ("trixie.sources", "text/plain; charset=utf-8", CURRENT),
            ("archive-keyring.asc", "application/pgp-keys", CURRENT),
            ("lfs/objects/01/23/0123", "application/octet-stream", IMMUTABLE),
        ];
        for (path, content_type, cache_control) in table {
            assert_eq!(presentation(path), Presentation { content_type, cache_control }, "{path}");
        }
    }
}
