//! Names by content: `<folder>/by-hash/<algorithm>/<digest>` beside each index (DebianRepository/Format, `Acquire-By-Hash`).
//!
//! apt asks for an index by the strongest digest that Release lists, so that it gets the index that Release means while a
//! newer one is being published. Every listed algorithm needs its file.

use super::Listed;

/// Returns the by-hash paths of the index at this path, strongest algorithm first, one for each digest that Release lists.
pub fn by_hash_paths(path: &str, listed: &Listed) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let sha512 = listed.sha512.map(|digest| ("SHA512", digest.to_hex()));
    let sha256 = Some(("SHA256", listed.sha256.to_hex()));
    let sha1 = listed.sha1.map(|digest| ("SHA1", digest.to_hex()));
    let md5 = listed.md5.map(|digest| ("MD5Sum", digest.to_hex()));
    let digests = [sha512, sha256, sha1, md5].into_iter().flatten();
    digests.map(|(algorithm, digest)| format!("{folder}by-hash/{algorithm}/{digest}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::digest::{Md5, Sha256};

    #[test]
    fn every_listed_digest_has_its_file_in_the_indexs_folder() {
        let mut listed = Listed { size: 0, sha256: Sha256::of(b""), md5: None, sha1: None, sha512: None };
        let sha256 = "main/binary-amd64/by-hash/SHA256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(by_hash_paths("main/binary-amd64/Packages.xz", &listed), [sha256]);
        listed.md5 = Some(Md5::of(b""));
        let md5 = "main/binary-amd64/by-hash/MD5Sum/d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(by_hash_paths("main/binary-amd64/Packages", &listed), [sha256, md5]);
    }
}
