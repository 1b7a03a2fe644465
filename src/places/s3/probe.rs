//! Requests that only a probe makes: bytes under a digest that is not theirs, and reading by a signed address as strangers do.

use std::time::Duration;

use aws_sdk_s3::config::Builder;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Client, Failed, S3Error};
use crate::words::digest::{Md5, Sha256};

/// Which digest of an upload is not that of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// `Content-MD5`.
    Md5,
    /// `x-amz-checksum-sha256`.
    Sha256,
}

/// How a stranger asks for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// By a signed address.
    Signed,
    /// By a signed address whose signature was changed.
    Forged,
    /// Without any signature.
    Anonymous,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Client {
    /// Writes bytes to a key with the digest of other bytes, once; tells whether the server refused them.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses for another reason.
    pub fn refuses_wrong(&self, key: &str, bytes: &'static [u8], wrong: Wrong) -> Result<bool, S3Error> {
        let other = b"other bytes than those that are sent";
        let request = self.sdk().put_object().bucket(self.bucket()).key(self.key(key)).body(ByteStream::new(SdkBody::from(bytes)));
        let request = match wrong {
            Wrong::Md5 => request.content_md5(STANDARD.encode(Md5::of(other).as_bytes())),
            Wrong::Sha256 => request.checksum_sha256(STANDARD.encode(Sha256::of(other).as_bytes())),
        };
        // What is damaged on its way is usually sent again.
        let once = request.customize().config_override(Builder::new().retry_config(RetryConfig::disabled()));
        match self.send("write", key, once.send()) {
            Ok(_) => Ok(false),
            Err(fault) if fault.status == Some(400) => Ok(true),
            Err(fault) => Err(fault),
        }
    }

    /// Reads the bytes 2 to 4 of a key as a stranger does; returns the status and what came.
    ///
    /// # Errors
    /// There is nothing to sign with, or no answer comes.
    pub fn read_as(&self, stranger: Stranger, key: &str) -> Result<(u16, Vec<u8>), S3Error> {
        let mut address = self.presign_get(key, 60)?;
        match stranger {
            Stranger::Signed => {}
            Stranger::Forged => address = forged(&address),
            Stranger::Anonymous => address.truncate(address.find('?').unwrap_or(address.len())),
        }
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build().into();
        let answer = agent.get(&address).header("Range", "bytes=2-4").call();
        let read = answer.and_then(|mut answer| Ok((answer.status().as_u16(), answer.body_mut().read_to_vec()?)));
        // Other words of the HTTP client may hold the address, which is a secret.
        read.map_err(|fault| {
            let said = if let ureq::Error::Io(fault) = fault { fault.to_string() } else { "no usable answer came".to_owned() };
            self.fault("read", key, Failed::Unreachable, said)
        })
    }
}

/// Returns a signed address with another signature.
fn forged(address: &str) -> String {
    let (before, rest) = address.split_once("X-Amz-Signature=").unwrap_or((address, ""));
    let swapped = rest.chars().map(|letter| if letter == '0' { '1' } else { '0' }).take(64);
    let after = rest.get(64..).unwrap_or_default();
    format!("{before}X-Amz-Signature={}{after}", swapped.collect::<String>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_address_differs_in_the_signature_alone() {
        let signature = "0a".repeat(32);
        let address = format!("https://s/b/k?X-Amz-Date=1&X-Amz-Signature={signature}&x-id=GetObject");
        let forged = forged(&address);
        assert_ne!(forged, address);
        assert!(forged.starts_with("https://s/b/k?X-Amz-Date=1&X-Amz-Signature=") && forged.ends_with("&x-id=GetObject"));
        assert_eq!(forged.len(), address.len());
    }
}
