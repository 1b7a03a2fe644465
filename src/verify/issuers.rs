//! Who a detached signature says made it, read so strictly that no other reader can see more in the same bytes.
//!
//! gpgv passes over text around armor, reads several armor blocks and unpacks what is compressed (RFC 9580 section 6.2). Here
//! there are blocks with nothing between them, base64 without anything else in it, and signature packets that name a key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sequoia_openpgp::parse::{PacketParser, PacketParserResult, Parse as _};
use sequoia_openpgp::{KeyHandle, Packet};

use super::openpgp::SIGNATURE;

const BEGIN: &str = "-----BEGIN PGP SIGNATURE-----";
const END: &str = "-----END PGP SIGNATURE-----";

/// Longest line in bytes; gpgv passes over the end of a line of more than 20000.
const LINE: usize = 1000;

/// Returns the fingerprints and key IDs of all makers that an armored signature names, without checking anything. Fails with
/// what is wrong, as a fragment behind "its signature", where another reader might find another maker.
pub(super) fn issuers(armored: &[u8]) -> Result<Vec<KeyHandle>, String> {
    if armored.len() > SIGNATURE {
        return Err(format!("has more than {SIGNATURE} bytes"));
    }
    let text = std::str::from_utf8(armored).map_err(|_| "is not armored")?;
    if text.split('\n').any(|line| line.len() > LINE) {
        return Err(format!("has a line of more than {LINE} bytes"));
    }
    let mut lines = text.lines().map(|line| line.trim_end_matches([' ', '\t', '\r']));
    let mut makers = Vec::new();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        if line != BEGIN {
            return Err(format!("has something that does not begin with {BEGIN}"));
        }
        let packets = block(&mut lines)?;
        makers.extend(packet_issuers(&packets)?);
    }
    if makers.is_empty() { Err("is empty".to_owned()) } else { Ok(makers) }
}

/// Reads a block behind its first line, to its last.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Vec<u8>, String> {
    for header in lines.by_ref().take_while(|line| !line.is_empty()) {
        let named = header.split_once(": ").is_some_and(|(name, _)| name.bytes().all(|letter| letter.is_ascii_alphanumeric()));
        if !named || header.contains(char::is_control) {
            return Err("has an armor header that is none".to_owned());
        }
    }
    let mut body: Vec<&str> = Vec::new();
    loop {
        match lines.next() {
            Some(END) => break,
            Some(line) => body.push(line),
            None => return Err(format!("has no line {END}")),
        }
    }
    // The last line may be a checksum, which nobody needs.
    body.pop_if(|line| line.len() == 5 && line.starts_with('='));
    STANDARD.decode(body.concat()).map_err(|fault| format!("is not base64: {fault}"))
}

fn packet_issuers(packets: &[u8]) -> Result<Vec<KeyHandle>, String> {
    let mut makers = Vec::new();
    let mut next = PacketParser::from_bytes(packets).map_err(unreadable)?;
    while let PacketParserResult::Some(parser) = next {
        let (packet, rest) = parser.next().map_err(unreadable)?;
        let Packet::Signature(signature) = packet else { return Err("holds something that is no readable signature".to_owned()) };
        let own = signature.get_issuers();
        if own.is_empty() || own.iter().any(KeyHandle::is_invalid) {
            return Err("does not say who made it".to_owned());
        }
        makers.extend(own);
        next = rest;
    }
    Ok(makers)
}

fn unreadable(fault: impl std::fmt::Display) -> String {
    format!("cannot be read: {fault:#}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn armored(packets: &[u8]) -> String {
        format!("{BEGIN}\n\n{}\n{END}\n", STANDARD.encode(packets))
    }

    #[test]
    fn what_is_no_signature_that_names_its_maker_is_refused() {
        // Version 4, type 0, EdDSA, SHA-512; no subpackets; two numbers of one bit.
        let bare = [0xc2, 16, 4, 0, 22, 10, 0, 0, 0, 0, 1, 2, 0, 1, 1, 0, 1, 1];
        let issuer = |value: &[u8]| {
            let area = [&[0, value.len() as u8 + 2, value.len() as u8 + 1, 16], value].concat();
            [&[0xc2, 16 + value.len() as u8 + 2, 4, 0, 22, 10, 0, 0], &area[..], &[1, 2, 0, 1, 1, 0, 1, 1]].concat()
        };
        let named = issuer(&[7; 8]);
        assert_eq!(issuers(armored(&named).as_bytes()).unwrap().len(), 1);
        assert_eq!(issuers(armored(&[&named[..], &named].concat()).as_bytes()).unwrap().len(), 2);
        // gpgv takes the first eight bytes of a longer key ID.
        for bad in [bare.to_vec(), issuer(&[7; 9]), [&named[..], &bare].concat(), [&named[..], &[0xca, 3], b"PGP"].concat(), b"x".to_vec()]
        {
            assert!(issuers(armored(&bad).as_bytes()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = issuers(&bytes);
            let _ = issuers(armored(&bytes).as_bytes());
        }
    }
}
