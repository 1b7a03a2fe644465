//! `ddb-publish serve`: its options and what it prints.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use schemars::JsonSchema;
use serde::Serialize;

use crate::people::answer::{self, Answer};
use crate::people::deploy::Common;
use crate::people::environment;
use crate::people::exit::Exit;
use crate::people::failure::Failure;
use crate::people::progress::Progress;
use crate::places::http::{self, Limits};
use crate::stories::archive::OpenArchive;
use crate::stories::event::SharedListener;
use crate::stories::serve::{Refresh, ServeError, ServeOptions, TreePlace, serve, serve_tree};
use crate::stories::upstream::Purpose;
use crate::words::archive::BucketSettings;
use crate::words::date::Span;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: String,
    /// Serve the files of this published folder, or s3://BUCKET/PREFIX, instead of the repository
    #[arg(long, value_name = "DIR", conflicts_with_all = ["redirect", "url"])]
    tree: Option<String>,
    /// With --tree s3://…: the server's address; default is AWS_ENDPOINT_URL, else Amazon's
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL")]
    endpoint: Option<String>,
    /// Send clients to the object store itself where that has addresses; a presigned one is good for an hour
    #[arg(long)]
    redirect: bool,
    /// The address that clients use, where a proxy stands before this server; default is what they say in Host
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Serve this many connections at once; as many again wait, others are told to come again
    #[arg(long, value_name = "NUMBER", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Fetch so often from the archive's address, where -C names one
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    refresh: Span,
    /// Keep at most this many MiB of indices in memory
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    cache: u16,
    /// Close a connection that takes longer for a request's header, or rests longer between two requests
    #[arg(long, value_name = "SPAN", default_value = "20s")]
    idle: Span,
    /// Close a connection whose client takes nothing of an answer for so long
    #[arg(long, value_name = "SPAN", default_value = "30s")]
    stall: Span,
    /// Let running answers take so long when the server is to stop
    #[arg(long, value_name = "SPAN", default_value = "10s")]
    grace: Span,
}

/// What `ddb-publish serve` says when it is ready.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ServeAnswer {
    /// The server's own address.
    pub address: String,
    /// The port that it listens at.
    pub port: u16,
}

impl Answer for ServeAnswer {
    fn text(&self) -> String {
        format!("Listening on {}\n", self.address)
    }
}

/// Reads `--tree`.
fn place(tree: &str, endpoint: Option<String>) -> Result<TreePlace, Failure> {
    let Some(bucket) = tree.strip_prefix("s3://") else { return Ok(TreePlace::Folder(PathBuf::from(tree))) };
    let (bucket, prefix) = bucket.trim_end_matches('/').split_once('/').unwrap_or((bucket.trim_end_matches('/'), ""));
    let settings = BucketSettings { bucket: bucket.to_owned(), endpoint, region: None, prefix: prefix.to_owned(), path_style: None };
    settings.check("--tree").map_err(|fault| Failure::usage(&fault))?;
    Ok(TreePlace::Bucket(settings))
}

pub(super) fn run(common: &Common, options: Serve) -> Result<ExitCode, Failure> {
    let duration = |span: Span| Duration::from_secs(span.seconds().unsigned_abs());
    let limits = Limits {
        connections: usize::from(options.connections),
        header_time: duration(options.idle),
        stall: duration(options.stall),
        grace: duration(options.grace),
        ..Limits::default()
    };
    let progress = Progress::new(common.verbose);
    let events: SharedListener = Arc::new(move |event| progress.show(event));
    let listener = http::listen(&options.listen).map_err(ServeError::from)?;
    let local = listener.local_addr().map_err(|fault| Failure::new(&fault, Exit::Failed, Vec::new()))?;
    let ready = || answer::print(&ServeAnswer { address: format!("http://{local}/"), port: local.port() }, common.json);
    if let Some(tree) = &options.tree {
        serve_tree(listener, &limits, &place(tree, options.endpoint)?, events, ready)?;
        return Ok(Exit::Done.into());
    }
    let folder = common.folder(Purpose::Whole)?;
    let (fetched, every) = (common.clone(), duration(options.refresh).max(Duration::from_secs(1)));
    let fetch = move || fetched.follow(Purpose::Whole);
    let refresh = common.is_remote().then(|| Refresh { every, fetch: Box::new(fetch) });
    let (branch, now) = (common.branch.clone(), common.now);
    let reopen = move || OpenArchive::open(&folder, branch.as_deref());
    let clock = move || environment::now(now);
    let options = ServeOptions { limits, redirect: options.redirect, url: options.url, cache: usize::from(options.cache) << 20 };
    serve(listener, options, Arc::new(reopen), refresh, Arc::new(clock), events, ready)?;
    Ok(Exit::Done.into())
}
