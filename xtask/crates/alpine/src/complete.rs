//! Completes a lock: packages that are pinned by Alpine's index get the SHA-256 of their files.

use anyhow::{Context, Result};
use fault::Kind;

use crate::fetch::Fetcher;
use crate::lock::Lock;
use crate::relock::Request;
use crate::rootfs::Recipe;

/// A lock with all that could be completed.
pub struct Completed {
    /// The lock.
    pub lock: Lock,
    /// How many packages got a SHA-256.
    pub added: usize,
    /// Why each of the others has none still: nobody has its file.
    pub missing: Vec<anyhow::Error>,
}

/// Fetches and verifies every package of a lock that has no SHA-256, and locks that. Worlds that have nothing missing are
/// installed, so that what is locked is known to give a root filesystem.
///
/// # Errors
/// [`Kind::Mismatch`] for a file that is not what the index pins; whatever keeps a root filesystem from being made. A file
/// that nobody has is not an error.
pub fn complete(lock: &Lock, request: &Request<'_>, fetcher: &Fetcher<'_>) -> Result<Completed> {
    let mut done = Completed { lock: lock.clone(), added: 0, missing: Vec::new() };
    for arch in done.lock.arches.values_mut() {
        for package in arch.packages.iter_mut().filter(|package| package.sha256.is_none()) {
            exec::interrupt::check()?;
            match fetcher.package(package, request.keyring, &arch.arch) {
                Ok((_, bytes)) => {
                    package.sha256 = Some(fetcher.keep(&package.path, &bytes)?);
                    done.added += 1;
                }
                Err(error) if fault::is(&error, Kind::Unavailable) => done.missing.push(error),
                Err(error) => return Err(error.context(format!("completing {}", package.path))),
            }
        }
    }
    for arch in request.arches {
        for product in request.alpine.worlds.keys() {
            let locked = done.lock.arches.get(arch.name.as_str());
            if locked.is_none_or(|locked| locked.pinned_by_index(product).next().is_some()) {
                continue;
            }
            Recipe::of(&done.lock, request.alpine, arch, product, request.keyring)?
                .make(fetcher, request.keyring, 0)
                .with_context(|| format!("the packages of {product} for {}", arch.name))?;
        }
    }
    Ok(done)
}
