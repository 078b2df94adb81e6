//! The volumes of qubes as listings show them. Reads the disk without locks, and skips missing
//! directories.

use std::cell::{OnceCell, Ref, RefCell};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::lifecycle::{Context, pool};
use crate::model::ClassVolume;
use crate::model::VolumeIds;
use crate::model::{Pool, Qubes, Vm, VmName, Volume, VolumeConfig, volume};
use crate::storage::{Driver, PoolDrivers, fullness};

/// One volume in a listing; bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeUsage<'a> {
    /// Its name: `root`, `private`, ….
    pub name: SmolStr,
    /// The name of its pool.
    pub pool: &'a str,
    /// How large it is.
    pub size: u64,
    /// Its usage on disk; 0 if unknown.
    pub usage: u64,
}

/// Reads the volumes of one qube after the other.
pub(super) struct Volumes<'a> {
    qubes: &'a Qubes,
    context: &'a Context,
    drivers: RefCell<PoolDrivers<'a>>,
    caches: Vec<PoolCache<'a>>,
    /// The volumes of the last qube, because several columns show them.
    last: RefCell<(Option<VmName>, Vec<VolumeUsage<'a>>)>,
}

/// A pool with what was read of it.
struct PoolCache<'a> {
    name: &'a str,
    pool: &'a Pool,
    /// The name of its driver.
    volume_ids: Option<VolumeIds>,
    /// The driver, if it can be used.
    driver: OnceCell<Option<Arc<dyn Driver>>>,
    /// Prefixes of volume ids whose directories are missing.
    missing: RefCell<Vec<String>>,
    /// The last directory that was looked up, and whether it exists.
    directory: RefCell<Option<(String, bool)>>,
}

impl<'a> Volumes<'a> {
    pub fn new(qubes: &'a Qubes, context: &'a Context) -> Volumes<'a> {
        let cache = |pool: &'a Pool| PoolCache {
            name: pool.name(),
            pool,
            volume_ids: pool.volume_ids(),
            driver: OnceCell::new(),
            missing: RefCell::default(),
            directory: RefCell::default(),
        };
        Volumes {
            qubes,
            context,
            drivers: RefCell::new(PoolDrivers::read_only(&qubes.pools, &context.system)),
            caches: qubes.pools.iter().map(cache).collect(),
            last: RefCell::default(),
        }
    }

    /// Returns the volumes of a qube without its kernel.
    pub fn for_qube(&self, vm: &Vm) -> Ref<'_, [VolumeUsage<'a>]> {
        if self.last.borrow().0.as_ref() != Some(&vm.name) {
            let (_, mut volumes) = self.last.take();
            volumes.clear();
            self.collect(vm, &mut volumes);
            self.last.replace((Some(vm.name.clone()), volumes));
        }
        Ref::map(self.last.borrow(), |(_, volumes)| volumes.as_slice())
    }

    fn collect(&self, vm: &Vm, volumes: &mut Vec<VolumeUsage<'a>>) {
        if !vm.class.is_local_guest() {
            return;
        }
        let of_class = vm.class.volumes();
        let mut in_order = 0;
        for (at, class) in of_class.iter().enumerate() {
            // They nearly always are in the order of the class.
            let own = vm.volumes.get(at).filter(|own| own.name() == class.name);
            in_order += usize::from(own.is_some());
            if class.name != "kernel" {
                let own = own.or_else(|| vm.volume(class.name));
                volumes.extend(self.volume_usage(
                    vm,
                    SmolStr::new_static(class.name),
                    Some(class),
                    own,
                ));
            }
        }
        let others = vm.volumes.iter().filter(|_| in_order < vm.volumes.len());
        for own in others.filter(|own| of_class.iter().all(|class| class.name != own.name())) {
            volumes.extend(self.volume_usage(vm, own.name().into(), None, Some(own)));
        }
    }

    /// Returns one volume; `None` if its configuration is damaged, so that a listing goes on.
    fn volume_usage(
        &self,
        vm: &Vm,
        name: SmolStr,
        class: Option<&ClassVolume>,
        own: Option<&VolumeConfig>,
    ) -> Option<VolumeUsage<'a>> {
        match own.and_then(|own| self.unavailable(class, own)) {
            Some((pool, size)) => Some(VolumeUsage {
                name,
                pool,
                size,
                usage: 0,
            }),
            None => self.resolved(
                volume::resolve(self.qubes, vm, &name, self.context.facts()).ok()?,
                name,
            ),
        }
    }

    /// Returns pool and size of a volume whose directory is missing: then the store is the only
    /// source.
    fn unavailable(
        &self,
        class: Option<&ClassVolume>,
        own: &VolumeConfig,
    ) -> Option<(&'a str, u64)> {
        let own = own.explicit_volume(class)?;
        let cache = self.cache(own.pool)?;
        let is_unavailable =
            cache.volume_ids != Some(VolumeIds::Kernel) && self.is_missing(cache, own.vid?);
        is_unavailable.then_some((cache.name, own.size))
    }

    /// Whether the directory of a volume is missing. The volumes of a qube share a directory, which
    /// is looked up once; if its parent is missing too, no other directory in there is looked up.
    fn is_missing(&self, cache: &PoolCache<'a>, vid: &str) -> bool {
        if cache
            .missing
            .borrow()
            .iter()
            .any(|path| vid.starts_with(path.as_str()))
        {
            return true;
        }
        let (Some(driver), Some(slash)) =
            (self.driver(cache), memchr::memrchr(b'/', vid.as_bytes()))
        else {
            return true;
        };
        let directory = &vid[..slash];
        if let Some((known, is_there)) = &*cache.directory.borrow()
            && known == directory
        {
            return !is_there;
        }
        let file = driver.image_file(&Volume::orphan(cache.name, vid));
        // A volume that is not a file is never reported as missing.
        let missing = file
            .ok()
            .flatten()
            .and_then(|file| Some(file.parent()?.to_path_buf()))
            .filter(|d| !d.is_dir());
        if let Some(missing) = &missing
            && let Some((around, _)) = directory.rsplit_once('/')
            && missing.parent().is_some_and(|parent| !parent.is_dir())
        {
            cache.missing.borrow_mut().push(format!("{around}/"));
        }
        cache
            .directory
            .replace(Some((directory.to_string(), missing.is_none())));
        missing.is_some()
    }

    /// Returns a volume with its usage as the driver reports it.
    fn resolved(&self, volume: Volume, name: SmolStr) -> Option<VolumeUsage<'a>> {
        let (cache, size) = (self.cache(&volume.pool)?, volume.size);
        let usage = |driver: &Arc<dyn Driver>| driver.usage(&volume.require_supported().ok()?).ok();
        // A pool without a usable driver and a missing file count as 0.
        let usage = self.driver(cache).and_then(usage).unwrap_or(0);
        Some(VolumeUsage {
            name,
            pool: cache.name,
            size,
            usage,
        })
    }

    /// See [`super::Values::pool_warnings`].
    pub fn pool_warnings(&self, asks_pools: bool) -> Vec<String> {
        let is_asked = |cache: &&PoolCache| match cache.volume_ids {
            // Kernels are where packages put them.
            Some(VolumeIds::Kernel) => false,
            Some(VolumeIds::Logical) => asks_pools,
            _ => true,
        };
        let warnings = |cache: &PoolCache<'a>| {
            let driver = self.driver(cache)?;
            let warnings = fullness::warnings(
                cache.name,
                &**driver,
                self.context.system.nearly_full_percent(),
            )
            .ok()?;
            // A pool inside another pool's directory shares its space.
            let is_first = !warnings.is_empty()
                && pool::containing_pool(self.context, self.qubes, cache.pool).is_none();
            is_first.then_some(warnings)
        };
        self.caches
            .iter()
            .filter(is_asked)
            .filter_map(warnings)
            .flatten()
            .collect()
    }

    fn cache(&self, name: &str) -> Option<&PoolCache<'a>> {
        self.caches.iter().find(|cache| cache.name == name)
    }

    /// Returns whether the `lvm` program is installed.
    fn has_lvm(&self) -> bool {
        crate::exec::find_program("lvm", self.context.system.program_path()).is_some()
    }

    fn driver<'p>(&self, cache: &'p PoolCache<'a>) -> Option<&'p Arc<dyn Driver>> {
        let driver = cache.driver.get_or_init(|| {
            let driver = self.drivers.borrow_mut().get(cache.name).ok()?;
            // If LVM does not answer once, do not ask it for each volume.
            let can_look = cache.volume_ids != Some(VolumeIds::Logical)
                || (self.has_lvm() && driver.capacity().is_ok());
            can_look.then_some(driver)
        });
        driver.as_ref()
    }
}
