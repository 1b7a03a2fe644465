//! The certificate authorities that servers are believed by: those of a given file, else the machine's, else Mozilla's.

use std::io;
use std::path::Path;

use ureq::tls::{PemItem, RootCerts, parse_pem};

/// Returns the authorities of a PEM file; without one, of the machine's.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn trusted(authorities: Option<&Path>) -> io::Result<RootCerts> {
    let usual = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"].map(Path::new);
    let file = authorities.or_else(|| usual.into_iter().find(|path| path.is_file()));
    let Some(file) = file else { return Ok(RootCerts::WebPki) };
    let named = |fault: io::Error| io::Error::new(fault.kind(), format!("certificate authorities in {}: {fault}", file.display()));
    let bytes = std::fs::read(file).map_err(named)?;
    let certificates = parse_pem(&bytes).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    Ok(RootCerts::from(certificates))
}
