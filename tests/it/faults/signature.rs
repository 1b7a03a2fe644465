//! AWS Signature Version 4, as far as a proxy needs it that takes headers away.

use sha2::{Digest as _, Sha256};

/// Takes `If-Match` and `If-None-Match` away and signs anew, with the secret of whoever signed.
pub fn without_conditions(method: &str, path: &str, headers: &mut Vec<(String, String)>, known: &[(&str, &str)]) {
    let conditions = ["if-match", "if-none-match"];
    if !headers.iter().any(|(name, _)| conditions.contains(&name.as_str())) {
        return;
    }
    headers.retain(|(name, _)| !conditions.contains(&name.as_str()));
    let value = |name: &str| headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap();
    let authorization = value("authorization");
    let part = |name: &str| authorization.split(&format!("{name}=")).nth(1).unwrap().split([',', ' ']).next().unwrap().to_owned();
    let credential = part("Credential");
    let (access, scope) = credential.split_once('/').unwrap();
    let secret = known.iter().find(|(key, _)| *key == access).unwrap().1;
    let signed = part("SignedHeaders").split(';').filter(|name| !conditions.contains(name)).collect::<Vec<_>>().join(";");

    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    let mut canonical = format!("{method}\n{path}\n{}\n", pairs.join("&"));
    for name in signed.split(';') {
        canonical.push_str(&format!("{name}:{}\n", value(name)));
    }
    canonical.push_str(&format!("\n{signed}\n{}", value("x-amz-content-sha256")));
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", value("x-amz-date"), hex(&Sha256::digest(canonical)));
    let mut key = format!("AWS4{secret}").into_bytes();
    for step in scope.split('/') {
        key = hmac(&key, step.as_bytes());
    }
    let signature = hex(&hmac(&key, text.as_bytes()));
    let line = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}");
    headers.iter_mut().find(|(name, _)| name == "authorization").unwrap().1 = line;
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut block = [0; 64];
    match key.len() {
        0..=64 => block[..key.len()].copy_from_slice(key),
        _ => block[..32].copy_from_slice(&Sha256::digest(key)),
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new_with_prefix(padded(0x36)).chain_update(message).finalize();
    Sha256::new_with_prefix(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
