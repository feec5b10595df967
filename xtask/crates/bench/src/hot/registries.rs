//! Registries: tags sent, and an image taken from among many tags.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use progress::Silent;
use registry::{Options, PullScope, Reference, pull, push};
use testregistry::{Rows, Server};

use super::images::layout;
use super::layers::{compress, spread, tree};
use super::{HotPath, Setup};

pub(super) const PATHS: &[HotPath] = &[
    HotPath {
        name: "push-tags",
        unit: "tags",
        sizes: &[10, 30, 100, 300, 1_000],
        counted: None,
        prepare: |setup, size| {
            let layouts = layouts(setup, size)?;
            Ok(Box::new(move || {
                let server = Server::of(Rows::default());
                push(&layouts, &repository(&server)?, &options()).map(drop)
            }))
        },
    },
    HotPath {
        name: "pull-among-tags",
        unit: "tags",
        sizes: &[10, 30, 100, 300, 1_000],
        counted: None,
        prepare: |setup, size| {
            let server = Server::of(Rows::default());
            push(&layouts(setup, size)?, &repository(&server)?, &options())?;
            let (to, mut number) = (setup.scratch.to_owned(), 0);
            Ok(Box::new(move || {
                number += 1;
                let from = Reference { tag: Some("v0".to_owned()), ..repository(&server)? };
                pull(&from, PullScope::Image, &options(), &to.join(format!("pulled-{number}"))).map(drop)
            }))
        },
    },
];

/// Layouts of an image each, with tags of their own and one layer for all.
fn layouts(setup: &Setup<'_>, count: u64) -> Result<Vec<PathBuf>> {
    let blob = setup.scratch.join("layer");
    let layer = compress(&tree((0..10).map(spread))?, &mut fs::File::create(&blob)?)?;
    (0..count)
        .map(|number| layout(setup.scratch, layer.clone(), blob.clone(), &format!("v{number}")))
        .collect()
}

fn repository(server: &Server) -> Result<Reference> {
    format!("{}/{}", server.address, testregistry::REPOSITORY).parse()
}

fn options() -> Options<'static> {
    Options {
        plain_http: false,
        ca: None,
        parallel: 1,
        retries: 0,
        timeout: Duration::from_mins(1),
        pause: Duration::from_millis(2),
        auth_file: None,
        mount_from: Vec::new(),
        progress: &Silent,
    }
}
