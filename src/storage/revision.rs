//! The saved states of a volume, and the choice of the one to restore.

use super::{StorageError, Volume};

/// A saved state of an origin volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The id that [`super::VolumeRevisions::revert`] takes.
    pub id: String,
    /// A time at which the state was current: `YYYY-MM-DDTHH:MM:SS`, UTC.
    pub time: String,
}

/// Returns the index of the revision `id` in `known`, which are sorted, oldest first. Without an
/// id, it is the newest that is not among the `copies` newest ones, which equal the volume's data,
/// or else the newest of all.
pub(super) fn choose_revision(
    volume: &Volume,
    known: &[String],
    copies: usize,
    id: Option<&str>,
) -> Result<usize, StorageError> {
    let chosen = match id {
        Some(id) => known.iter().position(|known| known == id),
        None => known
            .len()
            .checked_sub(copies + 1)
            .or(known.len().checked_sub(1)),
    };
    chosen.ok_or_else(|| match id {
        Some(id) if !known.is_empty() => volume.refusal(format_args!(
            "it has no revision '{}'; it has {}",
            id.escape_debug(),
            known.join(", ")
        )),
        _ => volume.refusal("it has no revision to revert to"),
    })
}
