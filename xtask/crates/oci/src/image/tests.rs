use super::*;
use crate::compress::{Compression, Gzip};
use crate::index::Index;

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn image(platform: &str) -> Image {
    checked(platform, None)
}

fn checked(platform: &str, healthcheck: Option<Healthcheck>) -> Image {
    let layer = Layer {
        media_type: Compression::Gzip(Gzip::Best).media_type().to_string(),
        digest: Digest::of(b"blob"),
        size: 4,
        diff_id: Digest::of(b"tar"),
        tar_size: 1024,
        unpacked_size: 300,
        encoder: "x 1/2".to_owned(),
    };
    let spec = Spec {
        platform: platform.parse().unwrap(),
        created: 1_670_529_103,
        env: map(&[("PATH", "/usr/bin"), ("HOME", "/")]),
        entrypoint: vec!["/entrypoint".to_owned()],
        cmd: vec!["kubelet".to_owned()],
        healthcheck,
        labels: map(&[("b", "2"), ("a", "1"), ("c", "3")]),
        annotations: map(&[
            ("org.opencontainers.image.version", "v1.26.0"),
            ("org.opencontainers.image.created", "2022-12-08T19:51:43Z"),
        ]),
    };
    Image::new(&spec, vec![LayerBlob { layer, path: "blob".into(), created_by: "base".to_owned() }]).unwrap()
}

/// The bytes are what the digest of every image hangs on.
#[test]
fn the_documents_are_these_bytes() {
    let image = image("linux/arm/v7");
    assert_eq!(
        String::from_utf8(image.config.clone()).unwrap(),
        r#"{"architecture":"arm","config":{"Cmd":["kubelet"],"Entrypoint":["/entrypoint"],"Env":["HOME=/","PATH=/usr/bin"],"Labels":{"a":"1","b":"2","c":"3"}},"created":"2022-12-08T19:51:43Z","history":[{"created":"2022-12-08T19:51:43Z","created_by":"base"}],"os":"linux","rootfs":{"diff_ids":["sha256:DIFF"],"type":"layers"},"variant":"v7"}"#
            .replace("DIFF", &Digest::of(b"tar").hex())
    );
    let (config, blob) = (Digest::of(&image.config), Digest::of(b"blob"));
    assert_eq!(
        String::from_utf8(image.manifest.clone()).unwrap(),
        format!(
            r#"{{"annotations":{{"org.opencontainers.image.created":"2022-12-08T19:51:43Z","org.opencontainers.image.version":"v1.26.0"}},"config":{{"digest":"{config}","mediaType":"application/vnd.oci.image.config.v1+json","size":{}}},"layers":[{{"digest":"{blob}","mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":4}}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
            image.config.len()
        )
    );
    assert_eq!(image.sizes(), Sizes { compressed: 4 + image.config.len() as u64, extracted: 300 });
}

/// As Docker's image specification spells it, and nothing else changes.
#[test]
fn a_health_check_is_in_the_config() {
    let seconds = std::time::Duration::from_secs;
    let check = Healthcheck {
        command: vec!["/entrypoint".to_owned(), "probe".to_owned()],
        interval: seconds(15),
        timeout: seconds(5),
        start_period: seconds(60),
        retries: 3,
    };
    let [without, with] =
        [None, Some(check)].map(|check| String::from_utf8(checked("linux/amd64", check).config).unwrap());
    let added = r#""Healthcheck":{"Interval":15000000000,"Retries":3,"StartPeriod":60000000000,"Test":["CMD","/entrypoint","probe"],"Timeout":5000000000},"#;
    assert!(with.contains(added), "{with}");
    assert_eq!(with.replace(added, ""), without);
}

#[test]
fn an_index_lists_platforms_as_they_are_given_and_each_once() {
    let [amd64, arm64, arm] = ["linux/amd64", "linux/arm64/v8", "linux/arm/v7"].map(image);
    let none = BTreeMap::new();
    let index = Index::new(vec![amd64.clone(), arm64.clone(), arm], &none).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&index.bytes).unwrap();
    let platforms: Vec<_> =
        value["manifests"].as_array().unwrap().iter().map(|m| m["platform"].to_string()).collect();
    assert_eq!(
        platforms,
        [
            r#"{"architecture":"amd64","os":"linux"}"#,
            r#"{"architecture":"arm64","os":"linux","variant":"v8"}"#,
            r#"{"architecture":"arm","os":"linux","variant":"v7"}"#,
        ]
    );
    assert!(Index::new(vec![amd64.clone(), arm64, amd64], &none).is_err());
    assert!(Index::new(Vec::new(), &none).is_err());
}
