//! Keys to sign with, as people make them: by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::cmd;

/// Makes an ECDSA key on P-256 in this directory: `NAME.key`, in PKCS #8, and `NAME.pub`.
pub fn make(dir: &Path, name: &str) -> Result<[PathBuf; 2]> {
    let [private, public] = ["key", "pub"].map(|end| dir.join(format!("{name}.{end}")));
    let mut openssl = Command::new("openssl");
    openssl.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]);
    cmd::ok(openssl.arg(&private))?;
    let mut openssl = Command::new("openssl");
    cmd::ok(openssl.args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public))?;
    Ok([private, public])
}
