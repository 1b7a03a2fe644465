//! What ends soon: Valid-Until of Releases, and the keys that sign.

use super::MonitorRequest;
use super::answer::FindingKind;
use super::findings::{Findings, name_of};
use crate::formats::release::Release;
use crate::places::sign::PublicCertificate;
use crate::words::date::Timestamp;

/// Looks at how long a Release that clients get is valid.
pub(super) fn release(subject: &str, name: &str, release: &Release, request: &MonitorRequest, findings: &mut Findings) {
    let Some(until) = release.valid_until else { return };
    let name_as = |kind| name_of(kind, &[&subject, &name, &until.iso8601()]);
    let renew = "`ddb-publish dists --renew-before` signs a new one in time";
    if until <= request.now {
        let text = format!("{name} was valid until {}, and apt refuses it since; {renew}", until.iso8601());
        findings.alarm(FindingKind::Expired, subject, name_as(FindingKind::Expired), text);
    } else if until <= request.now.plus(request.limits.valid) {
        let text = format!("{name} is valid until {}, less than {} from now; {renew}", until.iso8601(), request.limits.valid);
        findings.alarm(FindingKind::Expiring, subject, name_as(FindingKind::Expiring), text);
    }
}

/// Looks at the certificates that sign.
pub(super) fn keys(certificates: &[(String, PublicCertificate)], request: &MonitorRequest, findings: &mut Findings) {
    for (path, certificate) in certificates {
        let described = certificate.describe(request.now);
        let subject = format!("{path} {}", described.fingerprint);
        let extend = "`ddb-publish key extend` makes it good for longer; clients need the new certificate before it ends";
        if let Some(refused) = described.refused {
            let name = name_of(FindingKind::KeyUnusable, &[&subject, &refused]);
            findings.alarm(FindingKind::KeyUnusable, &subject, name, format!("the key cannot sign: {refused}; {extend}"));
            continue;
        }
        let end = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Timestamp>().ok());
        // Signatures are good as long as the last key that signs is; a key without end lasts as long as its certificate.
        let last =
            described.signing_keys.iter().map(|key| end(&key.expires)).max_by_key(|end| end.unwrap_or(Timestamp(i64::MAX))).flatten();
        let until = [end(&described.expires), last].into_iter().flatten().min();
        if let Some(until) = until.filter(|until| *until <= request.now.plus(request.limits.key)) {
            let text = format!("the key that signs ends on {}, less than {} from now; {extend}", until.iso8601(), request.limits.key);
            let name = name_of(FindingKind::KeyExpiring, &[&subject, &until.iso8601()]);
            findings.alarm(FindingKind::KeyExpiring, &subject, name, text);
        }
    }
}
