//! Whether an entry of a log carries certain bytes, in whatever encoding: plain, JSON, base64 of both alphabets, PEM, hexadecimal, and
//! those within each other.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How deep encodings are looked into: base64 of PEM, which is base64 of DER, in a JSON text, and one more.
const DEPTH: u32 = 4;

/// Standard base64, with or without padding, whatever the last bits are.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// Tells whether bytes hold others.
pub(crate) fn carries(bytes: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && look(bytes, needle, DEPTH)
}

fn look(bytes: &[u8], needle: &[u8], depth: u32) -> bool {
    if bytes.windows(needle.len()).any(|window| window == needle) {
        return true;
    }
    if depth == 0 || bytes.len() < needle.len() {
        return false;
    }
    if let Ok(value) = serde_json::from_slice(bytes)
        && in_json(&value, needle, depth)
    {
        return true;
    }
    // Line ends, as they are and as JSON has them, and a slash that JSON escapes, are no part of what is encoded.
    let text = String::from_utf8_lossy(bytes).replace("\\n", "").replace("\\r", "").replace("\\/", "/");
    let text: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
    text.split("-----").flat_map(|part| part.split(|letter: char| !is_base64(letter))).any(|run| in_run(run, needle, depth))
}

fn in_json(value: &serde_json::Value, needle: &[u8], depth: u32) -> bool {
    match value {
        serde_json::Value::String(text) => look(text.as_bytes(), needle, depth - 1),
        serde_json::Value::Array(values) => values.iter().any(|value| in_json(value, needle, depth)),
        serde_json::Value::Object(values) => {
            values.iter().any(|(name, value)| look(name.as_bytes(), needle, depth - 1) || in_json(value, needle, depth))
        }
        _ => false,
    }
}

fn is_base64(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '-' | '_')
}

/// Looks into what letters encode, wherever that begins among them.
fn in_run(run: &str, needle: &[u8], depth: u32) -> bool {
    if run.len() < needle.len() {
        return false;
    }
    let standard = run.replace('-', "+").replace('_', "/");
    let decoded = (0..4).filter_map(|skipped| {
        let rest = standard.get(skipped..)?;
        // One letter alone encodes nothing.
        let whole = if rest.len() % 4 == 1 { rest.len() - 1 } else { rest.len() };
        LENIENT.decode(rest.get(..whole)?).ok()
    });
    let hexadecimal = (0..2).filter_map(|skipped| hex(run.get(skipped..)?));
    decoded.chain(hexadecimal).any(|bytes| look(&bytes, needle, depth - 1))
}

/// Returns the bytes that hexadecimal digits mean; `None` where there are other letters.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|letter| letter.to_digit(16)).collect();
    let pairs = digits?;
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte * 16 + digit);
    pairs.chunks_exact(2).map(|pair| u8::try_from(byte(pair)).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    use super::*;

    const NEEDLE: [u8; 32] = [
        0xfb, 0xef, 0xbe, 3, 4, 5, 0xff, 7, 8, 9, 10, 0xfa, 12, 13, 14, 15, 16, 17, 18, 0xf9, 20, 21, 22, 23, 24, 0xf8, 26, 27, 28, 29, 30,
        31,
    ];

    fn within(before: usize, after: usize) -> Vec<u8> {
        [vec![1; before], NEEDLE.to_vec(), vec![2; after]].concat()
    }

    #[test]
    fn bytes_are_found_in_every_encoding_and_wherever_they_begin() {
        for (before, after) in [(0, 0), (1, 0), (2, 5), (27, 32), (28, 31), (300, 301)] {
            let der = within(before, after);
            let (base, url) = (STANDARD.encode(&der), URL_SAFE_NO_PAD.encode(&der));
            let lines: Vec<String> = base.as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
            let hexadecimal: String = der.iter().map(|byte| format!("{byte:02x}")).collect();
            let json = serde_json::json!({ "spec": [{ "key": pem }] }).to_string();
            let slashed = serde_json::json!({ "key": base }).to_string().replace('/', "\\/");
            let texts = [
                base.clone(),
                url,
                pem.clone(),
                hexadecimal.to_uppercase(),
                hexadecimal,
                STANDARD.encode(&pem),
                json.clone(),
                STANDARD.encode(json.as_bytes()),
                format!("{json} and more, so that it is no JSON"),
                slashed.clone(),
                format!("{slashed}]"),
                format!("abc{base}"),
                serde_json::json!({ pem: 1 }).to_string(),
                format!("{{\"key\":\"{}\"}}", base.chars().map(|letter| format!("\\u{:04x}", letter as u32)).collect::<String>()),
            ];
            for text in texts {
                assert!(carries(text.as_bytes(), &NEEDLE), "{before} {after}: {text}");
            }
            assert!(carries(&der, &NEEDLE));
        }
    }

    #[test]
    fn other_bytes_are_not_found() {
        let mut other = within(3, 3);
        *other.get_mut(20).unwrap() ^= 1;
        for text in [STANDARD.encode(&other), "A".repeat(10_000), String::new(), "-----".repeat(50)] {
            assert!(!carries(text.as_bytes(), &NEEDLE), "{text}");
        }
        assert!(!carries(&other, &NEEDLE) && !carries(&NEEDLE, &[]));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_looked_through_in_time(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            let _ = carries(&bytes, &NEEDLE);
            let _ = carries(STANDARD.encode(&bytes).as_bytes(), &NEEDLE);
        }
    }
}
