//! The page at `/`: what this archive is, and how it is used. No script, nothing from elsewhere.

use std::fmt::Write as _;

use super::state::State;
use crate::formats::client;
use crate::words::date::Timestamp;

/// How many snapshots of a suite the page names.
const SNAPSHOTS: usize = 20;

/// Returns the text with everything that HTML would read escaped.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";

const STYLE: &str = "<style>body{font-family:sans-serif;max-width:50em;margin:2em auto;padding:0 1em;line-height:1.5}\
    pre{background:#f4f4f4;padding:.6em;overflow:auto}td,th{text-align:left;padding-right:1em}</style>\n";

/// Returns the page; `base` is the address of this server with a slash at its end.
pub(super) fn archive(state: &State, base: &str) -> String {
    let identity = &state.archive.archive;
    let name = identity.label.as_deref().or(identity.origin.as_deref()).unwrap_or("apt archive");
    let mut page = format!("{HEAD}<title>{name}</title>\n{STYLE}</head>\n<body>\n<h1>{name}</h1>\n", name = escape(name));
    let _ = writeln!(page, "<p>This is an apt archive. Its state is commit <code>{}</code>.</p>", state.tip);
    if state.newest.is_empty() {
        page.push_str("<p>Nothing has been published yet.</p>\n");
    }
    for (codename, whole) in &state.newest {
        let release = &whole.parsed;
        let _ = writeln!(page, "<h2>{}</h2>", escape(codename.as_str()));
        if let Some(description) = &release.description {
            let _ = writeln!(page, "<p>{}</p>", escape(description));
        }
        let valid = release.valid_until.map_or("for ever".to_owned(), |until| format!("until {}", until.iso8601()));
        let _ = writeln!(
            page,
            "<p>Release {} of {}, good {valid}. Components: {}. Architectures: {}. <a href=\"dists/{codename}/InRelease\">InRelease</a></p>",
            whole.edition.sequence,
            release.date.iso8601(),
            escape(&words(&release.components)),
            escape(&words(&release.architectures)),
        );
        if let Some(suite) = whole.archive.suite(codename) {
            let address = identity.url.as_deref().unwrap_or(base);
            let stanza = client::sources_stanza(address, codename, suite, &whole.keyring);
            let _ = writeln!(
                page,
                "<p>Put this into <code>/etc/apt/sources.list.d/{codename}.sources</code> (it is <a href=\"{codename}.sources\">{codename}.sources</a> here):</p>\n<pre>{}</pre>",
                escape(&stanza)
            );
        }
    }
    page.push_str(&snapshots(state, base));
    page.push_str("</body>\n</html>\n");
    page
}

fn snapshots(state: &State, base: &str) -> String {
    if state.histories.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "<h2>Snapshots</h2>\n<p>Every state that was published stays at <code>{base}snapshots/ID/</code>. ID is a commit of this archive (its \
         first 7 digits or more), or a time such as <code>20261125T084413Z</code>; it means what was newest then.</p>\n",
        base = escape(base)
    );
    if state.archive.archive.snapshots.is_some() {
        text.push_str(
            "<p>With apt 3: <code>apt update</code>, then <code>apt update -S ID</code> and <code>apt install -S ID PACKAGE</code>.</p>\n",
        );
    }
    for (codename, editions) in &state.histories {
        let _ = writeln!(text, "<h3>{codename}</h3>\n<table><tr><th>Release</th><th>Time</th><th>Commit</th></tr>");
        for edition in editions.iter().take(SNAPSHOTS) {
            let id = edition.date.compact();
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td><a href=\"snapshots/{id}/dists/{codename}/InRelease\">{id}</a></td><td><code>{}</code></td></tr>",
                edition.sequence, edition.base
            );
        }
        text.push_str("</table>\n");
        if editions.len() > SNAPSHOTS {
            let _ = writeln!(text, "<p>And {} older ones.</p>", editions.len() - SNAPSHOTS);
        }
    }
    text
}

fn words<T: std::fmt::Display>(names: &[T]) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// Returns the page of a plain tree.
pub(super) fn tree(suites: &[(String, Option<Timestamp>)]) -> String {
    let mut page = format!("{HEAD}<title>apt archive</title>\n{STYLE}</head>\n<body>\n<h1>apt archive</h1>\n<ul>\n");
    for (codename, date) in suites {
        let (codename, date) = (escape(codename), date.map_or_else(String::new, |date| format!(" of {}", date.iso8601())));
        let _ = writeln!(
            page,
            "<li><a href=\"dists/{codename}/InRelease\">{codename}</a>{date}: <a href=\"{codename}.sources\">{codename}.sources</a></li>"
        );
    }
    page.push_str("</ul>\n</body>\n</html>\n");
    page
}
