//! Image configs.

use std::time::Duration;

use anyhow::{Context, Result};
use oci_spec::image::{
    ConfigBuilder, HistoryBuilder, ImageConfiguration, ImageConfigurationBuilder, Os, RootFsBuilder,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::date::rfc3339;
use crate::image::{LayerBlob, Spec};

/// A command in the container that ends with 0 while that is well. OCI has no field for it; Docker's image specification,
/// which extends OCI's, has: runtimes that know it read it from an OCI config too, others pass it over.
/// Source: <https://github.com/moby/docker-image-spec>, `config.Healthcheck`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// The program and its arguments; no shell.
    pub command: Vec<String>,
    /// From one to the next.
    pub interval: Duration,
    /// After that long one has failed.
    pub timeout: Duration,
    /// After a start, how long failures do not count.
    pub start_period: Duration,
    /// How many in a row must fail.
    pub retries: u32,
}

impl Healthcheck {
    /// In Docker's words. Times are nanoseconds.
    fn document(&self) -> Value {
        let test: Vec<&str> = std::iter::once("CMD").chain(self.command.iter().map(String::as_str)).collect();
        let nanoseconds = |time: Duration| time.as_secs() * 1_000_000_000 + u64::from(time.subsec_nanos());
        json!({
            "Test": test,
            "Interval": nanoseconds(self.interval),
            "Timeout": nanoseconds(self.timeout),
            "StartPeriod": nanoseconds(self.start_period),
            "Retries": self.retries,
        })
    }
}

/// The document of an image's config: OCI's, and what Docker's has beside.
///
/// # Errors
/// Only what `oci-spec` refuses to build, which would be a bug here.
pub fn document(spec: &Spec, layers: &[LayerBlob]) -> Result<Value> {
    let mut document = serde_json::to_value(build(spec, layers)?)?;
    if let Some(check) = &spec.healthcheck {
        let run =
            document.get_mut("config").and_then(Value::as_object_mut).context("a config without `config`")?;
        run.insert("Healthcheck".to_owned(), check.document());
    }
    Ok(document)
}

/// The config of an image by OCI's specification: what a runtime starts, for which platform, of which layers (lowest first).
///
/// # Errors
/// Only what `oci-spec` refuses to build, which would be a bug here.
fn build(spec: &Spec, layers: &[LayerBlob]) -> Result<ImageConfiguration> {
    let created = rfc3339(spec.created);
    let mut run = ConfigBuilder::default();
    if !spec.env.is_empty() {
        run = run.env(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>());
    }
    if !spec.entrypoint.is_empty() {
        run = run.entrypoint(spec.entrypoint.clone());
    }
    if !spec.cmd.is_empty() {
        run = run.cmd(spec.cmd.clone());
    }
    if !spec.labels.is_empty() {
        run = run.labels(spec.labels.clone().into_iter().collect::<std::collections::HashMap<_, _>>());
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| layer.layer.diff_id.to_string()).collect();
    let history = layers
        .iter()
        .map(|layer| HistoryBuilder::default().created(&*created).created_by(&*layer.created_by).build())
        .collect::<Result<Vec<_>, _>>()?;
    let mut config = ImageConfigurationBuilder::default()
        .created(&*created)
        .os(Os::Linux)
        .architecture(spec.platform.architecture().clone())
        .config(run.build()?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build()?)
        .history(history);
    if let Some(variant) = spec.platform.variant() {
        config = config.variant(variant);
    }
    Ok(config.build()?)
}
