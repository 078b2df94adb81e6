//! R3's words about what a template's root volume has had done to it: commit, revert, trim
//! (`docs/spec/r3-start.md` §6), in today's meaning (`docs/earlier.md`).

use super::reconcile::QubeState;
use super::start::find_qube;
use super::volume_data::NewData;
use super::{LifecycleError, Session};
use crate::model::{Class, RemovalError, VmName};
use crate::storage::{CopyWatcher, VmStorage, VolumeKind, find_zero_runs};

impl Session {
    /// Sees to it that what a halted template wrote is committed, and that nothing of it is
    /// missing. A template that stopped in good order has nothing left to commit.
    ///
    /// # Errors
    /// It is no template, it runs, or an image is missing.
    pub fn commit_template(&self, name: &VmName) -> Result<(), LifecycleError> {
        self.require_template(name)?;
        let lock = self.lock_qube(name)?;
        match self.reconcile(&lock)? {
            QubeState::Halted => {}
            QubeState::Active(_) => return Err(RemovalError::NotHalted(name.to_string()).into()),
            QubeState::Gone => return Err(LifecycleError::NoSuchQube(name.to_string())),
        }
        let qubes = self.read()?;
        VmStorage::for_qube(&self.system, &qubes, find_qube(&qubes, name)?, self)?.verify()?;
        Ok(())
    }

    /// Brings the root volume of a halted template back to what it was before the last change; what
    /// it is now becomes a revision.
    ///
    /// # Errors
    /// It is no template, it runs, or there is nothing to go back to.
    pub fn revert_template(&self, name: &VmName) -> Result<(), LifecycleError> {
        self.require_template(name)?;
        self.revert_volume(name, "root", None)
    }

    /// Gives back the room of those parts of a halted template's root volume that are nothing but
    /// zeros; returns how many bytes that were; `watcher` hears of the copy. What the volume was
    /// becomes a revision, and shares the rest with it.
    ///
    /// # Errors
    /// It is no template, it runs, or its image cannot be read or written.
    pub fn trim_template(
        &self,
        name: &VmName,
        watcher: &dyn CopyWatcher,
    ) -> Result<u64, LifecycleError> {
        self.require_template(name)?;
        let (data, used) = {
            let lock = self.lock_qube(name)?;
            self.require_halted(&lock)?;
            let qubes = self.read()?;
            self.with_volume(
                &qubes,
                find_qube(&qubes, name)?,
                "root",
                |root, driver| match root.kind {
                    VolumeKind::Origin => {
                        Ok((driver.open_committed_data(root)?, driver.usage(root)?))
                    }
                    _ => Err(super::volumes::refused(
                        root,
                        "it is not kept from start to start",
                    )),
                },
            )?
        };
        let failed = |source| LifecycleError::Io {
            what: format!("reading {name}:root"),
            source,
        };
        let zeros = find_zero_runs(&data.file).map_err(failed)?;
        let in_zeros = zeros.iter().map(|run| run.end - run.start).sum();
        let bytes = match data.file.metadata().map_err(failed)?.is_file() {
            true => in_zeros,
            false => room_of_zeros(used, data.size, in_zeros),
        };
        if bytes > 0 {
            self.replace_data(
                name,
                "root",
                NewData::Without {
                    data: Some(data),
                    zeros,
                },
                watcher,
            )?;
        }
        Ok(bytes)
    }

    fn require_template(&self, name: &VmName) -> Result<(), LifecycleError> {
        let qubes = self.read()?;
        let vm = find_qube(&qubes, name)?;
        if vm.class != Class::TemplateVM {
            return Err(LifecycleError::NotATemplate {
                qube: name.clone(),
                class: vm.class.clone(),
            });
        }
        self.convert_if_old(&qubes)
    }
}

/// How many of the bytes that a device takes are zeros. Of a device all its zeros are known, also
/// those that were never written; what it takes is known to a hundredth of a percent of its size.
fn room_of_zeros(used: u64, size: u64, in_zeros: u64) -> u64 {
    let room = used.saturating_sub(size.saturating_sub(in_zeros));
    if room > size / 10_000 { room } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::room_of_zeros;

    #[test]
    fn what_was_never_written_takes_no_room() {
        assert_eq!(
            room_of_zeros(30 << 20, 1 << 30, (1 << 30) - (10 << 20)),
            20 << 20
        );
        assert_eq!(room_of_zeros(10 << 20, 1 << 30, (1 << 30) - (10 << 20)), 0);
        assert_eq!(
            room_of_zeros((10 << 20) + 100_000, 1 << 30, (1 << 30) - (10 << 20)),
            0,
            "nobody knows it so exactly"
        );
    }
}
