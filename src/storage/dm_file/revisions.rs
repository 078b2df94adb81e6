//! Restores the only revision, which upstream cannot do.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use jiff::Timestamp;

use super::DmFile;
use crate::storage::cow::{self, KeptBlock};
use crate::storage::durable::{self, CopyProgress, copy_data};
use crate::storage::pool_files::{exists, metadata_if_exists, open_image};
use crate::storage::revision::choose_revision;
use crate::storage::volume_files::VolumeFiles;
use crate::storage::{Revision, StorageError, Volume, VolumeData, VolumeKind, VolumeRevisions};

/// The id of the revision, as in upstream.
const ID: &str = "old";

impl VolumeRevisions for DmFile {
    /// Returns the revision, if there is one.
    fn revisions(&self, volume: &Volume) -> Result<Vec<Revision>, StorageError> {
        if volume.kind() != VolumeKind::Origin {
            return Ok(Vec::new());
        }
        let Some(old) = metadata_if_exists(&self.files(volume)?.old_cow())? else {
            return Ok(Vec::new());
        };
        let time = Timestamp::from_second(old.ctime()).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(vec![Revision {
            id: ID.to_string(),
            time: time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
        }])
    }

    /// Exchanges the data of the image and of the revision, so a second revert restores the first
    /// state.
    fn revert(&self, volume: &Volume, id: Option<&str>) -> Result<(), StorageError> {
        volume.require_origin("reverted")?;
        let files = self.files(volume)?;
        self.refuse_if_in_use(volume, &files, "before reverting")?;
        let _alone = self.pool.lock(volume)?;
        self.finish_interrupted(&files)?;
        require_revision(volume, &files, id)?;
        let old = files.old_cow();
        let blocks = cow::kept_blocks(&old)?;
        let what = volume.full_name();
        let progress = self.pool.progress(&what);
        write_exchanged(
            &files.revert_image(),
            (&files.image(), &old),
            &blocks,
            self.pool.group,
            progress,
        )?;
        let back = |kept: &KeptBlock| KeptBlock {
            device_at: kept.file_at,
            file_at: kept.device_at,
            length: kept.length,
        };
        let blocks: Vec<KeptBlock> = blocks.iter().map(back).collect();
        write_exchanged(
            &files.revert_cow(),
            (&old, &files.image()),
            &blocks,
            self.pool.group,
            progress,
        )?;
        self.drop_committed_device(&files)?;
        durable::replace(&files.revert_image(), &files.image())?;
        durable::rename(&files.revert_cow(), &old)
    }

    /// Returns the size of the image, which a revert does not change.
    fn revision_size(&self, volume: &Volume, _revision: Option<&str>) -> Result<u64, StorageError> {
        self.size(volume)
    }
}

impl DmFile {
    /// Finishes an interrupted revert if its image has become the volume's, else undoes it.
    pub(super) fn finish_revert(&self, files: &VolumeFiles) -> Result<(), StorageError> {
        if exists(&files.revert_image())? {
            // The order matters: a COW file alone means that the revert is complete.
            durable::remove(&files.revert_cow())?;
            return durable::remove(&files.revert_image());
        }
        match exists(&files.revert_cow())? {
            true => durable::rename(&files.revert_cow(), &files.old_cow()),
            false => Ok(()),
        }
    }
}

/// Refuses a revert if there is no revision, if it is not `id`, or if it is not whole.
fn require_revision(
    volume: &Volume,
    files: &VolumeFiles,
    id: Option<&str>,
) -> Result<(), StorageError> {
    let known: &[String] = match exists(&files.old_cow())? {
        true => &[ID.to_string()],
        false => &[],
    };
    choose_revision(volume, known, 0, id)?;
    match cow::is_invalid(&files.old_cow())? {
        true => {
            Err(volume.refusal("its revision is not whole: the pool was full when it was made"))
        }
        false => Ok(()),
    }
}

/// Writes to `to` a copy of `base` in which the blocks at `device_at` are replaced by those of
/// `from` at `file_at`. Beyond the end of `from`, they are zeros; beyond the end of `base`, they
/// are left out.
fn write_exchanged(
    to: &Path,
    (base, from): (&Path, &Path),
    blocks: &[KeptBlock],
    group: Option<nix::unistd::Gid>,
    progress: CopyProgress<'_>,
) -> Result<(), StorageError> {
    let (base, from) = (open_image(base)?, open_image(from)?);
    durable::write(to, group, &mut |file| {
        copy_data(&base, file, progress)?;
        let end = file.metadata()?.len();
        blocks
            .iter()
            .try_for_each(|block| copy_block(&from, file, *block, end))
    })
}

fn copy_block(from: &File, to: &File, block: KeptBlock, end: u64) -> io::Result<()> {
    let inside = block.length.min(end.saturating_sub(block.device_at));
    let mut bytes = vec![0; usize::try_from(inside).unwrap_or_default()];
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read_at(&mut bytes[filled..], block.file_at + filled as u64)? {
            0 => break,
            got => filled += got,
        }
    }
    to.write_all_at(&bytes, block.device_at)
}
