//! Copies that the server makes by itself, in parts where the file is too long for one request.

use std::fmt::Write as _;

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};
use tokio::task::JoinSet;

use super::{COPIED, Client, Failed, Headers, S3Error, bare};

impl Client {
    /// Has the server copy a key of any bucket (whole key, size as known) to a key below the prefix, with these headers in
    /// place of the source's.
    ///
    /// # Errors
    /// The source is not there, or the server cannot be reached, or refuses. The key is then as before.
    pub fn copy(&self, bucket: &str, source: &str, size: u64, key: &str, headers: Headers<'_>) -> Result<(), S3Error> {
        let from = format!("{}/{}", escaped(bucket), escaped(source));
        if size > self.inner.limits.copy_whole {
            return self.copy_in_parts(&from, size, key, headers);
        }
        let request = self
            .sdk()
            .copy_object()
            .bucket(self.bucket())
            .key(self.key(key))
            .copy_source(from)
            .metadata_directive(MetadataDirective::Replace)
            .set_content_type(headers.content_type.map(str::to_owned))
            .set_cache_control(headers.cache_control.map(str::to_owned))
            .set_metadata(headers.metadata())
            .customize()
            .config_override(self.patience(size, COPIED));
        self.send("copy an object to", key, request.send()).map(drop)
    }

    fn copy_in_parts(&self, from: &str, size: u64, key: &str, headers: Headers<'_>) -> Result<(), S3Error> {
        let upload = self.begin_parts(key, headers)?;
        let copied = self.copy_parts(from, size, key, &upload).and_then(|parts| self.finish_parts(key, &upload, parts, size));
        if copied.is_err() {
            self.abort_parts(key, &upload);
        }
        copied
    }

    fn copy_parts(&self, from: &str, size: u64, key: &str, upload: &str) -> Result<Vec<CompletedPart>, S3Error> {
        let part = self.inner.limits.copy_part.max(size.div_ceil(10_000)).max(1);
        let mut under_way = JoinSet::new();
        let mut parts = Vec::new();
        for (number, start) in (1_i32..).zip((0..size).step_by(usize::try_from(part).unwrap_or(usize::MAX))) {
            while under_way.len() >= self.inner.limits.parts {
                parts.push(self.next_part(key, &mut under_way)?);
            }
            let request = self
                .sdk()
                .upload_part_copy()
                .bucket(self.bucket())
                .key(self.key(key))
                .upload_id(upload)
                .part_number(number)
                .copy_source(from)
                .copy_source_range(format!("bytes={start}-{}", (start + part).min(size) - 1))
                .customize()
                .config_override(self.patience(part, COPIED));
            let client = self.clone();
            let key = key.to_owned();
            under_way.spawn_on(
                async move {
                    let answer = request.send().await.map_err(|error| client.error_of("copy an object to", &key, &error))?;
                    let etag = answer.copy_part_result().and_then(|result| result.e_tag());
                    Ok(CompletedPart::builder().part_number(number).e_tag(bare(etag)).build())
                },
                self.inner.runtime.handle(),
            );
        }
        while !under_way.is_empty() {
            parts.push(self.next_part(key, &mut under_way)?);
        }
        Ok(parts)
    }

    /// Waits for one part of an upload or copy.
    pub(super) fn next_part(&self, key: &str, under_way: &mut JoinSet<Result<CompletedPart, S3Error>>) -> Result<CompletedPart, S3Error> {
        match super::runtime::block_on(self.inner.runtime, under_way.join_next()) {
            Some(Ok(part)) => part,
            Some(Err(fault)) => Err(self.fault("write", key, Failed::Other, fault.to_string())),
            None => Err(self.fault("write", key, Failed::Other, "no part is under way")),
        }
    }

    pub(super) fn begin_parts(&self, key: &str, headers: Headers<'_>) -> Result<String, S3Error> {
        let request = self
            .sdk()
            .create_multipart_upload()
            .bucket(self.bucket())
            .key(self.key(key))
            .set_content_type(headers.content_type.map(str::to_owned))
            .set_cache_control(headers.cache_control.map(str::to_owned))
            .set_metadata(headers.metadata());
        let answer = self.send("write", key, request.send())?;
        answer.upload_id().map(str::to_owned).ok_or_else(|| self.fault("write", key, Failed::Other, "the server names no upload"))
    }

    pub(super) fn finish_parts(&self, key: &str, upload: &str, mut parts: Vec<CompletedPart>, size: u64) -> Result<(), S3Error> {
        parts.sort_by_key(|part| part.part_number());
        let request = self
            .sdk()
            .complete_multipart_upload()
            .bucket(self.bucket())
            .key(self.key(key))
            .upload_id(upload)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(parts)).build())
            .customize()
            .config_override(self.patience(size, COPIED));
        self.send("write", key, request.send()).map(drop)
    }

    /// Has the server forget an upload. What cannot be aborted now is found and aborted, or gone on with, by the next upload
    /// of the same object.
    pub(super) fn abort_parts(&self, key: &str, upload: &str) {
        let _ = self.try_abort(key, upload);
    }

    pub(super) fn try_abort(&self, key: &str, upload: &str) -> Result<(), S3Error> {
        let request = self.sdk().abort_multipart_upload().bucket(self.bucket()).key(self.key(key)).upload_id(upload);
        self.send("abort the upload of", key, request.send()).map(drop)
    }
}

/// Returns a key as it stands in a header: the SDK sends `x-amz-copy-source` as it is.
fn escaped(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => text.push(char::from(byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_with_odd_letters_is_escaped_and_slashes_stay() {
        assert_eq!(escaped("pool/a+b_1%3a2~rc1 ü.deb"), "pool/a%2Bb_1%253a2~rc1%20%C3%BC.deb");
    }
}
