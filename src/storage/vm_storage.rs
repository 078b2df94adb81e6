//! All storage of one qube: what has to happen to every volume, or to none.

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    Attachment, CommittedData, CopyWatcher, Driver, ImageOwners, PoolDrivers, StorageError, Volume,
    VolumeKind, Watched, device_mapper, encryption, pool_files, run_images,
};
use crate::fs::beneath::Use;
use crate::model::loadable::is_file_vid;
use crate::model::{Facts, Qubes, Removable, Vm};
use crate::system::System;

/// A qube's volumes with the drivers that work on them. Whoever calls holds the qube's operation
/// lock.
pub struct VmStorage {
    qube: String,
    volumes: Vec<(Volume, Arc<dyn Driver>)>,
    /// What names of mappings end in.
    suffix: String,
}

/// A volume as the domain gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeDisk {
    /// `root`, `private`, …
    pub name: String,
    pub attachment: Attachment,
    pub rw: bool,
}

/// A start that may still be taken back.
#[must_use = "a domain that does not come to run has its volumes taken back with it"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedVolumes {
    /// Which volumes began from their last committed state; the others go on from a crash.
    fresh: Vec<usize>,
}

impl VmStorage {
    /// The storage of `vm` as the store describes it.
    ///
    /// # Errors
    /// A volume cannot be told, or its pool cannot be used.
    pub fn for_qube(
        system: &System,
        qubes: &Qubes,
        vm: &Vm,
        facts: &dyn Facts,
    ) -> Result<VmStorage, StorageError> {
        refuse_unconverted_store(system, qubes)?;
        let volumes = qubes
            .volumes(vm, facts)?
            .into_iter()
            .map(|volume| Volume::from_resolved(&vm.name, volume));
        let volumes = volumes.collect::<Result<_, _>>()?;
        VmStorage::new(
            vm.name.as_str(),
            volumes,
            &mut PoolDrivers::new(&qubes.pools, system),
        )
    }

    /// The storage of a qube that is to go, also of one whose volumes cannot all be told; and in
    /// words which of them nobody will find.
    ///
    /// # Errors
    /// A pool cannot be used: then the images would stay.
    pub fn for_removal(
        system: &System,
        qubes: &Qubes,
        vm: &Vm,
        facts: &dyn Facts,
    ) -> Result<(VmStorage, Vec<String>), StorageError> {
        refuse_unconverted_store(system, qubes)?;
        let (mut volumes, mut left) = (Vec::new(), Vec::new());
        for volume in qubes.volumes_to_remove(vm, facts) {
            match volume {
                Ok(Removable::Told(volume)) if is_misplaced(qubes, &volume.pool, &volume.vid) => {
                    left.push(describe_misplaced(&volume.pool, &volume.vid));
                }
                Ok(Removable::Place { pool, vid }) if is_misplaced(qubes, &pool, &vid) => {
                    left.push(describe_misplaced(&pool, &vid));
                }
                Ok(Removable::Told(volume)) => {
                    volumes.push(Volume::from_resolved(&vm.name, *volume)?)
                }
                Ok(Removable::Place { pool, vid }) => volumes.push(Volume::orphan(&pool, &vid)),
                Ok(Removable::Kernel) => {}
                Err(error) => left.push(error.to_string()),
            }
        }
        Ok((
            VmStorage::new(
                vm.name.as_str(),
                volumes,
                &mut PoolDrivers::new(&qubes.pools, system),
            )?,
            left,
        ))
    }

    /// The storage of `qube` with these volumes; an error for the first whose pool cannot be used.
    pub fn new(
        qube: &str,
        volumes: Vec<Volume>,
        drivers: &mut PoolDrivers<'_>,
    ) -> Result<VmStorage, StorageError> {
        let with_driver = |volume: Volume| match drivers.get(&volume.pool) {
            Ok(driver) => Ok((volume, driver)),
            Err(error) => Err(StorageError::Refused(format!(
                "{}: {error}",
                volume.label()
            ))),
        };
        let mut volumes: Vec<_> = volumes
            .into_iter()
            .map(with_driver)
            .collect::<Result<_, _>>()?;
        volumes.sort_by_key(|(volume, _)| disk_order(&volume.name));
        Ok(VmStorage {
            qube: qube.to_string(),
            volumes,
            suffix: drivers.device_suffix(),
        })
    }

    /// The volumes in the order in which the domain gets them.
    pub fn volumes(&self) -> impl Iterator<Item = (&Volume, &dyn Driver)> {
        self.volumes
            .iter()
            .map(|(volume, driver)| (volume, &**driver))
    }

    /// The volume called `name` with its driver.
    pub fn volume(&self, name: &str) -> Result<(&Volume, &dyn Driver), StorageError> {
        let known = || {
            self.volumes
                .iter()
                .map(|(v, _)| v.name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        let missing = || {
            let (qube, name) = (&self.qube, name.escape_debug());
            StorageError::Refused(format!(
                "{qube}: it has no volume '{name}'; it has {}",
                known()
            ))
        };
        self.volumes()
            .find(|(v, _)| v.name == name)
            .ok_or_else(missing)
    }

    /// Makes every volume anew, whatever a crash left under their names; after a failure none is
    /// there.
    pub fn create(&self) -> Result<(), StorageError> {
        self.create_each(|volume, driver| driver.create(volume))
    }

    /// Makes every volume anew; those of which `data` has one of the same name with its data. After
    /// a failure none is there. `watcher` hears of each.
    pub fn create_from(
        &self,
        data: &[CommittedData],
        watcher: &dyn CopyWatcher,
    ) -> Result<(), StorageError> {
        self.create_each(
            |volume, driver| match data.iter().find(|d| d.name == volume.name) {
                Some(data) if volume.kind == VolumeKind::Origin => {
                    let watched = Watched::begin(watcher, &volume.name, Some(data.size));
                    // Whatever a crash left under its name; an empty image first would only become
                    // a revision.
                    driver.remove(volume)?;
                    driver.import_committed_data(volume, data, &|at| watched.reached(at))
                }
                _ => driver.create(volume),
            },
        )
    }

    /// The last committed data of every volume that is kept.
    pub fn open_committed_data(&self) -> Result<Vec<CommittedData>, StorageError> {
        let kept = self
            .volumes()
            .filter(|(volume, _)| volume.kind == VolumeKind::Origin);
        kept.map(|(volume, driver)| driver.open_committed_data(volume))
            .collect()
    }

    /// Whether everything is there that a start needs.
    pub fn verify(&self) -> Result<(), StorageError> {
        self.volumes()
            .try_for_each(|(volume, driver)| driver.verify(volume))
    }

    /// An error where a start would make images beside those that no run of a volume has made and
    /// that may be wanted.
    ///
    /// # Errors
    /// It would.
    pub fn refuse_foreign_images(&self) -> Result<(), StorageError> {
        self.volumes().try_for_each(|(volume, driver)| {
            run_images::refuse_foreign(volume, &driver.foreign_images(volume)?)
        })
    }

    /// The images that lie beside volumes that are not kept and that stay there, in words, but
    /// those that belong to other volumes. Some may be a running qube's.
    ///
    /// # Errors
    /// Nobody can look at them, or `owners` cannot tell.
    pub fn foreign_images<E: From<StorageError>>(
        &self,
        owners: impl FnOnce() -> Result<ImageOwners, E>,
    ) -> Result<Vec<String>, E> {
        let mut foreign = Vec::new();
        for (volume, driver) in self.volumes() {
            let images = driver.foreign_images(volume)?;
            foreign.extend(images.into_iter().map(|foreign| (volume, foreign)));
        }
        // Most qubes have none, and whose images are whose takes a look at all of them.
        if foreign.is_empty() {
            return Ok(Vec::new());
        }
        let owners = owners()?;
        let mut stay = Vec::new();
        for (volume, foreign) in foreign {
            if !owners.has_other_owner(std::slice::from_ref(&foreign.image), volume)? {
                stay.push(run_images::describe_foreign(volume, &foreign));
            }
        }
        Ok(stay)
    }

    /// Makes the images that the domain gets: all of them, or none and an error.
    pub fn start(&self) -> Result<StartedVolumes, StorageError> {
        let mut started = StartedVolumes { fresh: Vec::new() };
        for (at, (volume, driver)) in self.volumes().enumerate() {
            // A mapping that a crash left has its image open.
            let begun = self
                .close_mapping(volume, driver)
                .and_then(|()| driver.is_dirty(volume))
                .and_then(|dirty| {
                    driver.start(volume)?;
                    Ok(dirty)
                });
            let done = begun.and_then(|dirty| {
                if !dirty {
                    started.fresh.push(at);
                }
                self.encrypt(volume, driver)
            });
            if let Err(error) = done {
                return Err(join_errors(error, self.roll_back(&started)));
            }
        }
        Ok(started)
    }

    /// Undoes a start whose domain never ran: nothing was written, so nothing is committed and no
    /// revision is made. What a crash had left dirty stays dirty.
    pub fn roll_back(&self, started: &StartedVolumes) -> Result<(), StorageError> {
        let fresh = started.fresh.iter().filter_map(|at| self.volumes.get(*at));
        for_each(fresh.map(|(volume, driver)| {
            self.close_mapping(volume, &**driver)
                .and_then(|()| driver.discard(volume))
        }))
    }

    /// Commits or discards every volume, also after a crash. One that fails does not keep the
    /// others from it.
    pub fn stop(&self) -> Result<(), StorageError> {
        for_each(self.volumes().map(|(volume, driver)| {
            self.close_mapping(volume, driver)
                .and_then(|()| driver.stop(volume))
        }))
    }

    /// Removes every volume with its revisions, but the images that belong to `owners`; lists
    /// those, in words. One that fails does not keep the others from it.
    pub fn remove(&self, owners: &ImageOwners) -> Result<Vec<String>, StorageError> {
        let mut kept = Vec::new();
        for_each(self.volumes().map(|(volume, driver)| {
            self.close_mapping(volume, driver)?;
            kept.extend(driver.remove_unowned(volume, owners)?);
            Ok(())
        }))?;
        Ok(kept)
    }

    /// Leaves out the volumes of these names.
    #[must_use]
    pub fn without_volumes(mut self, names: &[String]) -> VmStorage {
        self.volumes
            .retain(|(volume, _)| !names.contains(&volume.name));
        self
    }

    /// The storage of the same qube with those of its volumes that `is_wanted` names.
    #[must_use]
    pub fn select(&self, is_wanted: impl Fn(&Volume) -> bool) -> VmStorage {
        let volumes = self
            .volumes
            .iter()
            .filter(|(volume, _)| is_wanted(volume))
            .cloned()
            .collect();
        VmStorage {
            qube: self.qube.clone(),
            volumes,
            suffix: self.suffix.clone(),
        }
    }

    /// Makes every volume anew but those of these names, whose images are taken over as they are.
    /// After a failure none of the others is there.
    pub fn adopt_or_create(&self, adopted: &[String]) -> Result<(), StorageError> {
        let is_adopted = |volume: &Volume| adopted.contains(&volume.name);
        for (volume, driver) in self.volumes().filter(|(volume, _)| is_adopted(volume)) {
            // What a crash left uncommitted is committed as that of any qube is.
            if driver.file(volume)?.is_some() && !driver.is_dirty(volume)? {
                driver.adopt(volume)?;
            }
        }
        self.select(|volume| !is_adopted(volume)).create()
    }

    /// Removes what only saves time at the next start, or what no start would use, of every volume
    /// of the halted qube, unless another one has an image of it, too.
    pub fn remove_spare_images(&self, owners: &ImageOwners) -> Result<(), StorageError> {
        for_each(self.volumes().map(|(volume, driver)| {
            if owners.has_other_owner(&driver.images(volume)?, volume)? {
                return Ok(());
            }
            self.close_mapping(volume, driver)?;
            driver.remove_spare_images(volume)
        }))
    }

    /// The directories in which volumes of the qube lie, and that are the qube's own.
    pub fn directories(&self) -> Vec<PathBuf> {
        let mut directories: Vec<_> = self
            .volumes()
            .filter_map(|(volume, driver)| driver.qube_directory(volume))
            .collect();
        directories.sort();
        directories.dedup();
        directories
    }

    /// Whether a volume has data that wait for being committed: the qube runs, or did not stop
    /// cleanly.
    pub fn is_dirty(&self) -> Result<bool, StorageError> {
        for (volume, driver) in self.volumes() {
            if driver.is_dirty(volume)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there are images of a run of a volume that is not kept. Of a halted qube a crash has
    /// left them.
    pub fn has_stale_run(&self) -> Result<bool, StorageError> {
        for (volume, driver) in self.volumes() {
            if volume.kind != VolumeKind::Origin && driver.has_run_images(volume)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the domain gets: root, private, volatile, kernel, then the user's own.
    pub fn disks(&self) -> Result<Vec<VolumeDisk>, StorageError> {
        let disk = |(volume, driver): (&Volume, &dyn Driver)| {
            let attachment = match self.mapping(volume, driver)?.filter(|_| volume.ephemeral) {
                Some(mapping) => Attachment::Device(device_mapper::device_path(&mapping)),
                None => driver.attachment(volume)?,
            };
            // The hypervisor opens it by its path, so this is the last moment to look where that
            // leads.
            if let Attachment::File(image) = &attachment {
                let failed = || {
                    StorageError::io(format!(
                        "{}: cannot use {}",
                        volume.label(),
                        image.display()
                    ))
                };
                match pool_files::open(image, Use::Read) {
                    // Of a qube that is only described the image comes with its start.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    opened => drop(opened.map_err(failed())?),
                }
            }
            Ok(VolumeDisk {
                name: volume.name.clone(),
                attachment,
                rw: volume.rw,
            })
        };
        self.volumes().map(disk).collect()
    }

    /// The name of the mapping that a volume has while it is started, if it is to be encrypted.
    fn mapping(
        &self,
        volume: &Volume,
        driver: &dyn Driver,
    ) -> Result<Option<String>, StorageError> {
        if volume.kind != VolumeKind::Volatile || !volume.rw {
            return Ok(None);
        }
        Ok(encryption::mapping_name(
            volume,
            &driver.attachment(volume)?,
            &self.suffix,
        ))
    }

    /// A volume that is to be encrypted is never started in the clear.
    fn encrypt(&self, volume: &Volume, driver: &dyn Driver) -> Result<(), StorageError> {
        match self.mapping(volume, driver)?.filter(|_| volume.ephemeral) {
            Some(mapping) => {
                encryption::open(volume, &driver.attachment(volume)?, &mapping).map(drop)
            }
            None => Ok(()),
        }
    }

    /// Also of a volume that is not to be encrypted any more: it may have been when it was started.
    fn close_mapping(&self, volume: &Volume, driver: &dyn Driver) -> Result<(), StorageError> {
        self.mapping(volume, driver)?
            .map_or(Ok(()), |mapping| encryption::close(volume, &mapping))
    }

    fn create_each(
        &self,
        make: impl Fn(&Volume, &dyn Driver) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for (at, (volume, driver)) in self.volumes().enumerate() {
            if let Err(error) = make(volume, driver) {
                let made = self.volumes().take(at + 1);
                return Err(join_errors(
                    error,
                    for_each(made.map(|(volume, driver)| driver.remove(volume))),
                ));
            }
        }
        Ok(())
    }
}

/// Whether an image lies in a directory where no version of Qubes puts any: an editor did.
fn is_misplaced(qubes: &Qubes, pool: &str, vid: &str) -> bool {
    let has_directory = |pool: &crate::model::Pool| {
        pool.option("dir_path").is_some() && pool.driver() != "linux-kernel"
    };
    let parts: Vec<&str> = vid.split('/').collect();
    let is_usual = matches!(
        parts[..],
        ["appvms" | "vm-templates" | "servicevms", _, _, ..]
    ) && is_file_vid(vid);
    qubes.pools.get(pool).is_some_and(has_directory) && !is_usual
}

fn describe_misplaced(pool: &str, vid: &str) -> String {
    let vid = vid.escape_debug();
    format!(
        "volume id '{vid}' of pool {pool} is none that a pool of files gives (appvms/QUBE/VOLUME)"
    )
}

/// The order in which a domain's disks get their letters (`docs/spec/r4-storage.md` §1).
fn disk_order(name: &str) -> usize {
    let order = ["root", "private", "volatile", "kernel"];
    order.iter().position(|n| *n == name).unwrap_or(order.len())
}

/// Images of a store of R1 to R3 are left alone.
fn refuse_unconverted_store(system: &System, qubes: &Qubes) -> Result<(), StorageError> {
    if qubes.needs_conversion {
        // Its images are R3's; working on them would leave the old system with what it does not
        // know.
        let store = system.store_file().display();
        return Err(StorageError::Refused(format!(
            "{store}: written by Qubes R3 or older: it has to be converted first, which qubes-db convert does"
        )));
    }
    Ok(())
}

/// Does all of them; the errors of all become one line.
fn for_each(results: impl Iterator<Item = Result<(), StorageError>>) -> Result<(), StorageError> {
    let mut outcome = Ok(());
    for result in results {
        outcome = match outcome {
            Ok(()) => result,
            Err(first) => Err(join_errors(first, result)),
        };
    }
    outcome
}

fn join_errors(first: StorageError, then: Result<(), StorageError>) -> StorageError {
    match then {
        Ok(()) => first,
        Err(second) => StorageError::Refused(format!("{first}; then {second}")),
    }
}
