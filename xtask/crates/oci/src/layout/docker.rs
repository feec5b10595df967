//! Docker's media types: its images have OCI's structure under other names.

use oci_spec::image::MediaType;

/// Docker's media types and OCI's. Sources: OCI image-spec, media-types.md, "Compatibility Matrix"; `BuildKit` for zstd.
static TYPES: [(&str, MediaType); 6] = [
    ("application/vnd.docker.distribution.manifest.list.v2+json", MediaType::ImageIndex),
    ("application/vnd.docker.distribution.manifest.v2+json", MediaType::ImageManifest),
    ("application/vnd.docker.container.image.v1+json", MediaType::ImageConfig),
    ("application/vnd.docker.image.rootfs.diff.tar", MediaType::ImageLayer),
    ("application/vnd.docker.image.rootfs.diff.tar.gzip", MediaType::ImageLayerGzip),
    ("application/vnd.docker.image.rootfs.diff.tar.zstd", MediaType::ImageLayerZstd),
];

/// What OCI calls the same, if it is one of Docker's.
pub(super) fn as_oci(media_type: &MediaType) -> Option<&'static MediaType> {
    let MediaType::Other(name) = media_type else { return None };
    TYPES.iter().find(|(docker, _)| docker == name).map(|(_, oci)| oci)
}
