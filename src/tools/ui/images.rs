//! The options for existing images in the place of those of a new qube.

use clap::Args;

use super::arguments::NotUpstream;
use crate::lifecycle::volume::images::ExistingImages;

/// The heading of these options.
const HEADING: &str = "Existing images";

/// The option that deletes existing images.
#[derive(Debug, Clone, Copy, Args)]
pub struct DiscardOption {
    /// Delete images in the place of the new ones that no qube uses
    #[arg(long, help_heading = HEADING, add = NotUpstream)]
    discard_existing: bool,
}

impl DiscardOption {
    /// Returns what to do with existing images.
    pub fn choice(self) -> ExistingImages {
        match self.discard_existing {
            true => ExistingImages::Discard,
            false => ExistingImages::Refuse,
        }
    }
}

/// The options that delete existing images or take them over.
#[derive(Debug, Clone, Copy, Args)]
pub struct ExistingImagesOptions {
    #[command(flatten)]
    discard: DiscardOption,
    /// Take over images in the place of the new ones that no qube uses
    #[arg(long, conflicts_with = "discard_existing", help_heading = HEADING, add = NotUpstream)]
    adopt_existing: bool,
}

impl ExistingImagesOptions {
    /// Returns what to do with existing images; by default they are refused.
    pub fn choice(self) -> ExistingImages {
        match self.adopt_existing {
            true => ExistingImages::Adopt,
            false => self.discard.choice(),
        }
    }
}
