//! The options that say what becomes of images that lie in the way of a new qube.

use clap::Arg;

use super::arguments::flag;
use super::invocation::Invocation;
use crate::lifecycle::images::ExistingImages;

/// The option that deletes them.
pub const DISCARD: &str = "discard-existing";
/// The option that takes them over.
pub const ADOPT: &str = "adopt-existing";

/// Upstream's tools have none of these options, so their usage lines do not show them.
const HEADING: &str = "Existing images";

/// Defines `--discard-existing`.
pub fn discard_existing() -> Arg {
    let help = "Delete images in the place of the new ones that no qube uses";
    flag(DISCARD, None, help).help_heading(HEADING)
}

/// Defines `--adopt-existing`.
pub fn adopt_existing() -> Arg {
    let help = "Take over images in the place of the new ones that no qube uses";
    flag(ADOPT, None, help).help_heading(HEADING)
}

/// What the command line says; nothing of them is lost when it says nothing.
pub fn existing_images(call: &Invocation) -> ExistingImages {
    let is_set = |option| {
        call.matches
            .try_get_one::<bool>(option)
            .is_ok_and(|set| set == Some(&true))
    };
    match (is_set(DISCARD), is_set(ADOPT)) {
        (true, _) => ExistingImages::Discard,
        (false, true) => ExistingImages::Adopt,
        (false, false) => ExistingImages::Refuse,
    }
}
