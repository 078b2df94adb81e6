//! Lists, restores and measures revisions.

use super::report::Report;
use super::{LvmThin, revision_times};
use crate::storage::logical_names::{LogicalNames, revision_at};
use crate::storage::revision::choose_revision;
use crate::storage::{Revision, StorageError, Volume, VolumeKind, VolumeRevisions};

impl VolumeRevisions for LvmThin {
    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        if volume.kind() != VolumeKind::Origin {
            return Ok(Vec::new());
        }
        let times = revision_times(&self.cached_report()?, &self.names(volume)?);
        Ok(times.into_iter().map(revision_at).collect())
    }

    fn revert(&self, volume: &Volume, id: Option<&str>) -> Result<(), StorageError> {
        let names = self.origin_names(volume, "reverted")?;
        let report = self.refuse_if_dirty(volume, &names, "before reverting")?;
        let _alone = self.lock(volume)?;
        let chosen = choose(volume, &report, &names, id)?;
        self.remove_if_exists(&report, &names, &names.import())?;
        self.snapshot(&names, &chosen, &names.import())?;
        self.commit(volume, &names, &names.import())
    }

    fn revision_size(&self, volume: &Volume, id: Option<&str>) -> Result<u64, StorageError> {
        let (names, report) = (self.origin_names(volume, "reverted")?, self.query()?);
        let chosen = report.get(&choose(volume, &report, &names, id)?);
        Ok(chosen.map_or(volume.size, |revision| revision.size))
    }
}

/// Returns the logical volume of the revision `id`; without an id, of the newest one that differs
/// from the volume's data. If a commit was interrupted before the volume had its new data, the
/// newest revision is the volume's data.
fn choose(
    volume: &Volume,
    report: &Report,
    names: &LogicalNames,
    id: Option<&str>,
) -> Result<String, StorageError> {
    let times = revision_times(report, names);
    let ids: Vec<String> = times.iter().map(|time| revision_at(*time).id).collect();
    let copies = usize::from(report.get(&names.own).is_none());
    choose_revision(volume, &ids, copies, id).map(|at| names.revision(times[at]))
}
