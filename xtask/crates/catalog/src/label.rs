//! The names by which an image says what it is.

/// What it is called.
pub const TITLE: &str = "org.opencontainers.image.title";
/// The release.
pub const VERSION: &str = "org.opencontainers.image.version";
/// Its licences.
pub const LICENSES: &str = "org.opencontainers.image.licenses";
/// What all our own names begin with.
pub const OWN: &str = "io.containerized-kubelet.";
/// After [`OWN`]: `true` for Kubernetes as released, which is another image than the attribute's.
pub const UNEDITED: &str = "unedited";
/// After [`OWN`]: the components that were left out, with commas between them.
pub const OMITTED: &str = "omitted";
