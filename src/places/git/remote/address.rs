//! Addresses of remotes without what is secret in them.

/// Returns scheme and host of a web address, without user name and password.
pub(super) fn web_host(address: &str) -> Option<String> {
    let (scheme, rest) =
        address.split_once("://").filter(|(scheme, _)| ["http", "https"].iter().any(|web| web.eq_ignore_ascii_case(scheme)))?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    Some(format!("{scheme}://{}", authority.rsplit_once('@').map_or(authority, |(_, host)| host)))
}

/// Returns an address without user name, password and query.
pub(crate) fn without_secrets(address: &str) -> String {
    match (web_host(address), address.split_once("://")) {
        (Some(host), Some((_, rest))) => {
            let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
            format!("{host}{}", path.split(['?', '#']).next().unwrap_or_default())
        }
        (None, Some((scheme, rest))) => match rest.split_at_checked(rest.find('/').unwrap_or(rest.len())) {
            Some((authority, path)) if authority.contains('@') => {
                let (user, host) = authority.rsplit_once('@').unwrap_or_default();
                format!("{scheme}://{}@{host}{path}", user.split(':').next().unwrap_or_default())
            }
            _ => address.to_owned(),
        },
        _ => address.to_owned(),
    }
}
