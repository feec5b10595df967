//! Image configs.

use anyhow::Result;
use oci_spec::image::{
    ConfigBuilder, HistoryBuilder, ImageConfiguration, ImageConfigurationBuilder, Os, RootFsBuilder,
};

use crate::date::rfc3339;
use crate::image::{LayerBlob, Spec};

/// The config of an image: what a runtime starts, for which platform, of which layers (lowest first).
///
/// # Errors
/// Only what `oci-spec` refuses to build, which would be a bug here.
pub fn build(spec: &Spec, layers: &[LayerBlob]) -> Result<ImageConfiguration> {
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
        .architecture(spec.platform.architecture())
        .config(run.build()?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build()?)
        .history(history);
    if let Some(variant) = spec.platform.variant() {
        config = config.variant(variant);
    }
    Ok(config.build()?)
}
