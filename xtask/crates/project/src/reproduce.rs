//! Builds everything a second time, out of nothing but the files from outside, and compares.

use anyhow::{Context as _, Result};
use attest::compare;
use executor::Built;
use plan::Plan;

use crate::Session;

/// Demands that what was built is built again, by `plan`, from neither the store's objects nor Go's or zig's caches.
///
/// # Errors
/// [`fault::Kind::Mismatch`] with the first difference, and whatever building gives.
pub fn all(
    session: &Session<'_>,
    built: &[Built],
    plan: impl Fn(&Session<'_>) -> Result<Plan>,
) -> Result<()> {
    let scratch = session.store.scratch_dir()?;
    let anew = session.anew(scratch.path())?;
    session.checkout.progress.note("building everything a second time, from inputs alone");
    let again = anew.executor()?.build(&plan(&anew)?, &scratch.path().join("layouts"))?;
    for (first, second) in built.iter().zip(&again) {
        let [one, other] = [first, second].map(|built| sizes::measure::open(&built.layout));
        let (one, other) = (one?, other?);
        for (image, same) in one.images.iter().zip(&other.images) {
            compare::images((&one, image), (&other, same))
                .with_context(|| format!("`{}`, built a second time", first.attribute))?;
        }
        if first.digest != second.digest {
            let what = format!("the index `{}`, built a second time,", first.attribute);
            return Err(fault::Fault::mismatch(what, &first.digest, &second.digest).into());
        }
    }
    Ok(())
}
