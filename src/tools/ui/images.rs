//! The options for existing images in the place of those of a new qube.

use clap::Arg;

use super::arguments::flag;
use super::invocation::Invocation;
use crate::lifecycle::volume::images::ExistingImages;

/// The option that deletes existing images.
pub const DISCARD: &str = "discard-existing";
/// The option that takes existing images over.
pub const ADOPT: &str = "adopt-existing";

/// The heading of these options, which keeps them out of usage lines: upstream does not have them.
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

/// Returns what to do with existing images; by default they are refused.
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
