//! Cloning a qube. What is cloned is its last committed state, so the source may run: its data are
//! opened under its lock and copied without it. Volumes come first, under the new name's lock, and
//! the store is saved last: a crash leaves orphan volumes at worst, which the next creation of the
//! name clears and `qubes-recover` lists.

use std::cell::RefCell;

use crate::fs::replace::Access;
use crate::model::{Class, NewClone, Qubes, UnclonedSetting, Vm, VmName, VolumeError};
use crate::storage::{
    CommittedData, CopyWatcher, PoolDrivers, StorageError, VmStorage, Volume, VolumeKind,
};

use super::create::InitialSettings;
use super::qube_directory::{FILES, QubeDirectory};
use super::reconcile::QubeState;
use super::{LifecycleError, Session};

/// A clone that was made.
#[derive(Debug)]
pub struct Cloned {
    pub name: VmName,
    /// Settings of the source that it does not have, with the reasons.
    pub left_out: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Session {
    /// Clones a qube with its settings, its firewall, its notes and the volumes that it keeps.
    /// `watcher` hears of each volume whose data are copied.
    ///
    /// # Errors
    /// There is no such source, the wish breaks a rule, or something could not be copied: there is
    /// no clone then.
    pub fn clone_qube(
        &self,
        wish: &NewClone<'_>,
        settings: InitialSettings<'_>,
        watcher: &dyn CopyWatcher,
    ) -> Result<Cloned, LifecycleError> {
        let plan_on =
            |qubes: &Qubes| qubes.plan_clone(wish, self, &mut |below| fastrand::u16(..below));
        let missing = || LifecycleError::NoSuchQube(wish.source.to_string());
        let class: Class = match wish.class {
            Some(class) => class.clone(),
            None => self.read()?.class(wish.source).ok_or_else(missing)?.clone(),
        };
        let qubes = self.read_for_creation(&class)?;
        // Asked before any lock, so that a wish that breaks a rule touches nothing.
        let clone = plan_on(&qubes)?.vm;
        let source = qubes.get(wish.source).ok_or_else(missing)?.clone();
        let mut notes = Session::notes_of_creation(&qubes, wish.created_by);
        self.convert_if_old(&qubes)?;
        drop(qubes);
        let data = self.committed_data(&source.name, &clone, wish.empty)?;
        let decided = RefCell::new((Vec::new(), Vec::new()));
        let files_left_out = RefCell::new(Vec::new());
        let plan = |qubes: &Qubes| {
            let mut planned = plan_on(qubes)?;
            take_sizes(&mut planned.vm, &data);
            decided.replace((planned.effects, planned.left_out));
            Ok(planned.vm)
        };
        let make = |storage: &VmStorage, directory: Option<&QubeDirectory>| {
            storage.create_from(&data, watcher)?;
            files_left_out.replace(self.copy_files(
                &source,
                &FILES,
                directory,
                wish.ignore_errors,
            )?);
            Ok(())
        };
        let set = self.bring_into_being(&clone.name, &class, &[], &plan, settings, &make)?;
        let (mut effects, not_cloned) = decided.into_inner();
        effects.extend(set);
        let mut left_out: Vec<String> = not_cloned.iter().map(UnclonedSetting::to_string).collect();
        left_out.extend(files_left_out.into_inner());
        notes.extend(self.apply_effects(&effects)?);
        Ok(Cloned {
            left_out,
            notes,
            name: clone.name,
        })
    }

    /// The data for the volumes that the clone keeps, opened under the source's lock, after what a
    /// crash had left to do.
    fn committed_data(
        &self,
        source: &VmName,
        clone: &Vm,
        empty: &[&str],
    ) -> Result<Vec<CommittedData>, LifecycleError> {
        if !clone.class.is_local_guest() {
            return Ok(Vec::new());
        }
        let lock = self.lock_qube(source)?;
        self.system
            .step(|| format!("{source}: opening its volumes"));
        if self.reconcile(&lock)? == QubeState::Gone {
            return Err(LifecycleError::NoSuchQube(source.to_string()));
        }
        let qubes = self.read()?;
        let source = super::start::find_qube(&qubes, source)?;
        let mut origins = Vec::new();
        for volume in qubes.volumes(clone, self).map_err(StorageError::from)? {
            if !volume.save_on_stop || empty.contains(&&*volume.name) {
                continue;
            }
            match qubes.volume_origin(source, &volume.name, self) {
                Ok((owner, origin)) => origins.push(Volume::from_resolved(&owner.name, origin)?),
                // The clone's class, or its template, gives it a volume that the source has not.
                Err(VolumeError::NoSuchVolume { .. }) => {}
                Err(error) => return Err(StorageError::from(error).into()),
            }
        }
        // Locks of volumes are taken in the order of their ids.
        origins.sort_by(|a, b| (&a.pool, &a.vid).cmp(&(&b.pool, &b.vid)));
        let mut drivers = PoolDrivers::new(&qubes.pools, &self.system);
        let kept = origins
            .iter()
            .filter(|origin| origin.kind == VolumeKind::Origin);
        kept.map(|origin| Ok(drivers.get(&origin.pool)?.open_committed_data(origin)?))
            .collect()
    }

    /// Copies what lies beside the images of the source. Returns what could not be copied, if that
    /// is to be ignored.
    pub(super) fn copy_files(
        &self,
        source: &Vm,
        files: &[&str],
        to: Option<&QubeDirectory>,
        ignore_errors: bool,
    ) -> Result<Vec<String>, LifecycleError> {
        let mut left_out = Vec::new();
        let access = Access::shared(self.system.qubes_group());
        let Some(to) = to.filter(|_| source.class.is_local_guest()) else {
            return Ok(left_out);
        };
        let from = self.qube_directory(source);
        for name in files {
            let copied = from
                .read(name)
                .and_then(|read| read.map_or(Ok(()), |bytes| to.write(name, access, &bytes)));
            let from = from.shown(name);
            match copied {
                Ok(()) => {}
                Err(error) if ignore_errors => {
                    left_out.push(format!(
                        "Failed to copy {from}: {}",
                        crate::fs::errno_text(&error)
                    ));
                }
                Err(source) => {
                    return Err(LifecycleError::Io {
                        what: format!("copying {from}"),
                        source,
                    });
                }
            }
        }
        Ok(left_out)
    }
}

/// A volume is as large as what it is filled with.
fn take_sizes(clone: &mut Vm, data: &[CommittedData]) {
    for data in data {
        for volume in clone
            .volumes
            .iter_mut()
            .filter(|volume| volume.name() == data.name)
        {
            volume.attributes.set("size", &data.size.to_string());
        }
    }
}
