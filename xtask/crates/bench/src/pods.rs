//! The static pods that a kubelet is measured with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use standin::containerd::POD_IMAGE;

/// What a usual small pod has the kubelet do, with no server to talk to: limits, an environment, a volume on disk and
/// one that is rewritten when labels change. No mounts: what `mount` costs is not the kubelet's.
///
/// It sleeps, and takes no CPU of its own.
fn manifest(name: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: {POD_IMAGE}
    imagePullPolicy: Never
    env: [{{name: POD, valueFrom: {{fieldRef: {{fieldPath: metadata.name}}}}}}]
    resources: {{requests: {{cpu: 1m, memory: 1Mi}}, limits: {{memory: 64Mi}}}}
    volumeMounts:
    - {{name: scratch, mountPath: /scratch}}
    - {{name: labels, mountPath: /labels}}
  volumes:
  - name: scratch
    emptyDir: {{}}
  - name: labels
    downwardAPI: {{items: [{{path: labels, fieldRef: {{fieldPath: metadata.labels}}}}]}}
"
    )
}

fn name(number: usize) -> String {
    format!("bench-{number}")
}

/// Puts so many pods into the kubelet's directory, each by a rename, so that none is read half-written.
pub(crate) fn add(dir: &Path, pods: usize) -> Result<()> {
    (1..=pods).map(name).try_for_each(|name| {
        // The kubelet passes over names with a dot before them.
        let hidden = dir.join(format!(".{name}"));
        fs::write(&hidden, manifest(&name))?;
        fs::rename(&hidden, dir.join(format!("{name}.yaml"))).with_context(|| format!("cannot add `{name}`"))
    })
}

/// Takes them all away.
pub(crate) fn remove(dir: &Path, pods: usize) -> Result<()> {
    (1..=pods).map(name).try_for_each(|name| {
        fs::remove_file(dir.join(format!("{name}.yaml"))).with_context(|| format!("cannot remove `{name}`"))
    })
}
