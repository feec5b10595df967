//! Flags that say how to reach a registry.

use std::path::PathBuf;
use std::time::Duration;

use registry::Options;

use crate::context::Context;

/// How to reach a registry.
#[derive(clap::Args)]
pub(crate) struct Connection {
    /// Speak plain HTTP; without it only to this machine.
    #[arg(long, visible_alias = "insecure", conflicts_with = "ca")]
    plain_http: bool,
    /// Trust the certificates in this PEM file, and no others.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// How often to try a request again after status 429 or 5xx or a broken connection.
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(..=20))]
    retries: u32,
    /// How long the registry may be silent: until it answers a request, and while something is transferred.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..))]
    timeout: u16,
    /// Look for credentials in this file alone, in docker's form.
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE", hide_env_values = true)]
    auth_file: Option<PathBuf>,
}

impl Connection {
    /// For the client.
    pub(crate) fn options<'a>(&self, context: &'a Context) -> Options<'a> {
        Options {
            plain_http: self.plain_http,
            ca: self.ca.clone(),
            parallel: 1,
            retries: self.retries,
            timeout: Duration::from_secs(self.timeout.into()),
            pause: Duration::from_millis(200),
            auth_file: self.auth_file.clone().filter(|file| !file.as_os_str().is_empty()),
            mount_from: Vec::new(),
            progress: &*context.progress,
        }
    }
}

/// How to push to a registry.
#[derive(clap::Args)]
pub(crate) struct Remote {
    #[command(flatten)]
    connection: Connection,
    /// Take blobs that this repository of the same registry has from there. May be given several times.
    #[arg(long, value_name = "REPOSITORY")]
    mount_from: Vec<String>,
    /// How many blobs to send at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    parallel: u8,
}

impl Remote {
    /// For the client.
    pub(crate) fn options<'a>(&self, context: &'a Context) -> Options<'a> {
        Options {
            parallel: self.parallel.into(),
            mount_from: self.mount_from.clone(),
            ..self.connection.options(context)
        }
    }
}
