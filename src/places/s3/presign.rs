//! Addresses that are signed for one use.

use std::time::Duration;

use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Client;
use super::error::{Failed, S3Error};
use crate::words::digest::Sha256;

/// An address that is signed for one use. It is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedPut {
    /// The address.
    pub url: String,
    /// Headers that must be sent with the bytes.
    pub headers: Vec<(String, String)>,
}

impl Client {
    /// Returns an address from which anybody can read a key for so many seconds (at most a week). It is a secret.
    ///
    /// # Errors
    /// There are no credentials to sign with, or the time is too long.
    pub fn presign_get(&self, key: &str, seconds: u32) -> Result<String, S3Error> {
        let until = self.presigning("sign an address of", key, seconds)?;
        let request = self.sdk().get_object().bucket(self.bucket()).key(self.key(key));
        Ok(self.send("sign an address of", key, request.presigned(until))?.uri().to_owned())
    }

    /// Returns an address to which anybody can write these bytes, by their SHA-256, for so many seconds. It is a secret.
    ///
    /// # Errors
    /// There are no credentials to sign with, or the time is too long.
    pub fn presign_put(&self, key: &str, sha256: &Sha256, size: u64, seconds: u32) -> Result<SignedPut, S3Error> {
        let until = self.presigning("sign an address of", key, seconds)?;
        let request = self
            .sdk()
            .put_object()
            .bucket(self.bucket())
            .key(self.key(key))
            .checksum_sha256(STANDARD.encode(sha256.as_bytes()))
            .content_length(i64::try_from(size).unwrap_or(i64::MAX));
        let signed = self.send("sign an address of", key, request.presigned(until))?;
        let headers = signed.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(SignedPut { url: signed.uri().to_owned(), headers })
    }

    fn presigning(&self, operation: &'static str, key: &str, seconds: u32) -> Result<PresigningConfig, S3Error> {
        PresigningConfig::expires_in(Duration::from_secs(u64::from(seconds)))
            .map_err(|fault| self.fault(operation, key, Failed::Other, fault.to_string()))
    }
}
