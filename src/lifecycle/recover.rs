//! Bringing a system into order after a crash: every record settled, every orphan volume found.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::model::VmName;
use crate::storage::pools::driver_of;
use crate::storage::{StorageError, Volume};

use super::settle::Settled;
use super::{LifecycleError, Session, record};
use crate::storage::VmStorage;

/// A volume that lies in a pool and belongs to no qube of the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Orphan {
    pub pool: String,
    pub vid: String,
}

/// What recovery did for one qube, or why it could not.
pub struct Recovered {
    pub name: VmName,
    pub outcome: Result<Settled, LifecycleError>,
}

impl Session {
    /// Settles every qube that has a record, a dirty volume or images of a run that is over; at boot, when nothing was started yet, also every disposable
    /// that goes when it stops. One that cannot be settled does not stop the others.
    pub fn recover(&self, at_boot: bool) -> Result<Vec<Recovered>, LifecycleError> {
        if at_boot {
            // Members of group qubes may not make RUN themselves.
            super::qube_lock::make_run_directories(&self.system)?;
        }
        record::clear_stale_files(&self.system);
        let mut names: Vec<VmName> = record::all(&self.system).map_err(|source| LifecycleError::Io {
            what: self.system.run_dir().path().display().to_string(),
            source,
        })?;
        let recorded: HashSet<VmName> = names.iter().cloned().collect();
        {
            let qubes = self.read()?;
            // Of an old system nothing was started here, and its images are not ours yet.
            let qubes_of_r4 = qubes.iter().filter(|_| !qubes.needs_conversion);
            for vm in qubes_of_r4.filter(|vm| vm.class.is_local_guest() && !recorded.contains(&vm.name)) {
                // A qube whose storage cannot even be looked at is listed with the reason.
                let is_clean = |s: VmStorage| Ok::<_, StorageError>(!s.is_dirty()? && !s.has_stale_run()?);
                let clean = VmStorage::of(&self.system, &qubes, vm, self).and_then(is_clean).unwrap_or(false);
                if !clean || (at_boot && self.goes_when_it_stops(&qubes, vm)) {
                    names.push(vm.name.clone());
                }
            }
        }
        let settle = |name: VmName| {
            let outcome = self.lock_qube(&name).and_then(|lock| match at_boot {
                true => self.dispose_if_halted(&lock),
                false => self.settle(&lock),
            });
            Recovered { name, outcome }
        };
        Ok(names.into_iter().map(settle).collect())
    }

    /// The volumes that no qube of the store knows, in pools that can list theirs; and why others cannot, in words.
    pub fn orphans(&self) -> Result<(Vec<Orphan>, Vec<String>), LifecycleError> {
        let qubes = self.read()?;
        self.refuse_old(&qubes)?;
        let mut known = HashSet::new();
        for vm in qubes.iter() {
            known.extend(
                vm.volumes.iter().filter_map(|v| {
                    Some((v.attributes.get("pool")?.to_string(), v.attributes.get("vid")?.to_string()))
                }),
            );
        }
        let (mut orphans, mut unlisted) = (Vec::new(), Vec::new());
        for pool in qubes.pools.iter().filter(|p| p.driver() != "linux-kernel") {
            let Ok(driver) = driver_of(&self.system, pool) else { continue };
            let vids = match driver.volumes() {
                Ok(vids) => vids,
                Err(error) => {
                    unlisted.push(format!("pool {}: {error}", pool.name()));
                    continue;
                }
            };
            let of_pool = |vid: String| Orphan { pool: pool.name().to_string(), vid };
            let in_pool = vids.into_iter().map(of_pool);
            orphans.extend(in_pool.filter(|o| !known.contains(&(o.pool.clone(), o.vid.clone()))));
        }
        orphans.sort();
        Ok((orphans, unlisted))
    }

    /// Removes an orphan, under the lock of the name it is filed under: a qube that is just being created has its
    /// volumes before it is in the store.
    pub fn remove_orphan(&self, orphan: &Orphan) -> Result<(), LifecycleError> {
        let _lock = filed_under(&orphan.vid).map(|name| self.lock_qube(&name)).transpose()?;
        if !self.orphans()?.0.contains(orphan) {
            return Ok(());
        }
        let qubes = self.read()?;
        let Some(pool) = qubes.pools.get(&orphan.pool) else { return Ok(()) };
        let driver = driver_of(&self.system, pool)?;
        Ok(driver.remove(&Volume::orphan(&orphan.pool, &orphan.vid))?)
    }
}

/// Whether a volume of this id is filed under the qube `name`.
pub(super) fn is_filed_under(vid: &str, name: &VmName) -> bool {
    let is_plain = vid.split('/').all(|part| !matches!(part, "" | "." | ".."));
    is_plain && filed_under(vid).is_some_and(|qube| qube == *name)
}

/// The qube that a volume of this id is filed under: `appvms/QUBE/VOLUME`, or `GROUP/vm-QUBE-VOLUME` where volumes are
/// logical ones.
fn filed_under(vid: &str) -> Option<VmName> {
    let mut parts = vid.split('/').skip(1);
    let name = match (parts.next()?, parts.next()) {
        (qube, Some(_volume)) => qube,
        (logical, None) => logical.strip_prefix("vm-")?.rsplit_once('-')?.0,
    };
    VmName::from_store(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orphan_is_removed_under_the_lock_of_the_qube_that_its_id_names() {
        let qube = |vid: &str| filed_under(vid).map(|name| name.to_string());
        assert_eq!(qube("appvms/work/private").as_deref(), Some("work"));
        assert_eq!(qube("qubes_dom0/vm-sys-net-private").as_deref(), Some("sys-net"));
        assert_eq!((qube("qubes_dom0/root"), qube("stray")), (None, None));
    }
}
