//! From R3 to R4: what becomes of a store of R1 to R3 and of what lies beside it, decided at once
//! and done by the first save (`docs/migration.md`). Images stay where they are.

mod firewalls;
mod images;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use uuid::Uuid;

use super::qube_directory::QubeDirectory;
use super::qube_directory::owners::DirectoryOwners;
use super::{LifecycleError, Session};
use crate::format::{
    ConversionLoss, FormatError, OldPools, OldQubeFiles, OldStore, OldSystem, import_old_store,
};
use crate::fs::text_file;
use crate::model::check::Harm;
use crate::model::{Class, Facts, Qid, Qubes, Release, Vm, VmName};
use crate::store::{Companions, StoreError, Write};
use crate::system::System;

pub use firewalls::Firewall;

/// What a conversion does, and what it did.
pub struct Conversion {
    system: System,
    /// Names with classes, dom0 first.
    pub qubes: Vec<(VmName, Class)>,
    /// Every pool of the new store with its directory.
    pub pools: Vec<(String, String)>,
    /// The files of rules that are written.
    pub firewalls: Vec<Firewall>,
    /// The qubes whose directories R4 wants and R3 has elsewhere.
    missing: Vec<(VmName, Class)>,
    /// What is not taken over, or cannot be understood.
    pub losses: Vec<ConversionLoss>,
    /// The copy of the old store, once it is made.
    pub copy: RefCell<Option<PathBuf>>,
}

impl Session {
    /// What a conversion of `bytes`, a store of R1 to R3, would do, and the store it would make.
    /// Changes nothing.
    ///
    /// # Errors
    /// The bytes are not such a store.
    pub fn plan_conversion(&self, bytes: &[u8]) -> Result<(Qubes, Conversion), LifecycleError> {
        let file = self.system.store_file();
        let wrong = |source| StoreError::Format {
            path: file.into(),
            source,
        };
        let old = self.read_old(bytes).map_err(wrong)?;
        let (mut qubes, mut losses) = (old.qubes, old.losses);
        losses.extend(of_diagnoses(&qubes));
        self.complete(&mut qubes);
        losses.extend(images::complete(&mut qubes, self));
        let others = self.directories_of_other_store();
        let firewalls = firewalls::plan(self, &qubes, &old.files, &others, &mut losses);
        // From here on it is judged as what it becomes.
        qubes.needs_conversion = false;
        losses.extend(refused(&qubes, self));
        let conversion = Conversion {
            system: self.system.clone(),
            qubes: qubes
                .names_with_classes()
                .map(|(name, class)| (name.clone(), class.clone()))
                .collect(),
            pools: qubes
                .pools
                .iter()
                .map(|p| {
                    (
                        p.name().to_owned(),
                        p.option("dir_path").unwrap_or_default().to_owned(),
                    )
                })
                .collect(),
            firewalls,
            missing: self.missing_directories(&qubes, &old.files, &others),
            losses,
            copy: RefCell::new(None),
        };
        Ok((qubes, conversion))
    }

    /// Converts the store and changes nothing else; none where it is R4's already.
    pub fn convert(&self) -> Result<Option<Rc<Conversion>>, LifecycleError> {
        let (mut write, conversion) = self.open_for_writing()?;
        if conversion.is_some() {
            write.save()?;
        }
        Ok(conversion)
    }

    /// Converts the store before its images are worked on, where it is R3's.
    pub(super) fn convert_if_old(&self, qubes: &Qubes) -> Result<(), LifecycleError> {
        if qubes.needs_conversion {
            self.convert().map(drop)
        } else {
            Ok(())
        }
    }

    /// An error for what works on images and changes no store: of R3's it leaves them alone.
    pub(super) fn refuse_old(&self, qubes: &Qubes) -> Result<(), LifecycleError> {
        match qubes.needs_conversion {
            true => Err(LifecycleError::NotConverted {
                store: self.system.store_file().to_path_buf(),
            }),
            false => Ok(()),
        }
    }

    /// The store for changing it; one of R3 with what it becomes when it is saved.
    pub(super) fn open_for_writing(
        &self,
    ) -> Result<(Write, Option<Rc<Conversion>>), LifecycleError> {
        let mut write = Write::open(&self.store_place())?;
        if !write.needs_conversion {
            return Ok((write, None));
        }
        let (qubes, conversion) = self.plan_conversion(&write.bytes()?)?;
        let conversion = Rc::new(conversion);
        write.convert_with(qubes, Box::new(conversion.clone()));
        Ok((write, Some(conversion)))
    }

    /// What of the old system does not stand in its store. What cannot be read says nothing.
    fn surroundings(&self) -> OldSystem {
        let pools = text_file::read(&self.system.below_root("/etc/qubes/storage.conf"));
        let link = fs::read_link(self.system.link_below_root("/var/lib/qubes/dvmdata/vmdir"));
        let name = |target: PathBuf| Some(target.file_name()?.to_str()?.to_owned());
        OldSystem {
            pools: pools.map(|text| OldPools::parse(&text)).unwrap_or_default(),
            dispvm: link.ok().and_then(name),
        }
    }

    /// What every qube and pool of R4 has, and R3's need not have.
    fn complete(&self, qubes: &mut Qubes) {
        for pool in qubes
            .pools
            .0
            .iter_mut()
            .filter(|p| p.driver() == "file-reflink")
        {
            let directory = pool.option("dir_path").unwrap_or_default().to_owned();
            if !self.can_reflink(&directory) {
                pool.attributes.set("setup_check", "no");
            }
        }
        let guests: Vec<String> = qubes
            .names_with_classes()
            .filter(|(_, c)| **c != Class::AdminVM)
            .map(|(n, _)| n.to_string())
            .collect();
        let mut taken: Vec<u16> = qubes.iter().filter_map(Vm::qid).map(Qid::number).collect();
        for name in guests {
            let free = (1..=Qid::MAX).find(|n| !taken.contains(n));
            let Some(vm) = qubes.edit(&name) else {
                continue;
            };
            if let (None, Some(free)) = (vm.qid(), free) {
                vm.properties.set("qid", &free.to_string());
                taken.push(free);
            }
            if vm.uuid().is_none() {
                vm.properties.set("uuid", &Uuid::new_v4().to_string());
            }
            if self.release() == Release::R4_0 && vm.properties.get("maxmem") == Some("0") {
                // 4.0 says with a service what later releases say with maxmem
                // (`docs/spec/r4-properties.md` §9).
                vm.properties.remove("maxmem");
                vm.features.set("service.meminfo-writer", "");
            }
        }
    }

    /// The qubes whose directories of R4 are missing, where R3's lie elsewhere and exist.
    fn missing_directories(
        &self,
        qubes: &Qubes,
        files: &[OldQubeFiles],
        others: &DirectoryOwners,
    ) -> Vec<(VmName, Class)> {
        let mut missing = Vec::new();
        for old in files {
            let Some(vm) = qubes.get(old.name.as_str()) else {
                continue;
            };
            let new = self.qube_directory(vm);
            let is_missing = self.system.below_root(&old.directory).is_dir()
                && new.exists().is_ok_and(|there| !there);
            if is_missing && others.owner(&new).is_none() {
                missing.push((vm.name.clone(), vm.class.clone()));
            }
        }
        missing
    }

    /// A store of R1 to R3 as R4 has it, and what else there is to know of it.
    ///
    /// # Errors
    /// The bytes are not such a store.
    pub(super) fn read_old(&self, bytes: &[u8]) -> Result<OldStore, FormatError> {
        import_old_store(bytes, &self.surroundings())
    }
}

/// What the old store says that means nothing: it is not there any more afterwards.
fn of_diagnoses(qubes: &Qubes) -> Vec<ConversionLoss> {
    let of_system = qubes.diagnoses.iter().map(|d| ConversionLoss {
        qube: None,
        text: d.text.clone(),
    });
    let of_qube = |vm: &Vm| {
        let name = vm.name.clone();
        vm.diagnoses
            .clone()
            .into_iter()
            .map(move |d| ConversionLoss {
                qube: Some(name.clone()),
                text: d.text,
            })
    };
    of_system.chain(qubes.iter().flat_map(of_qube)).collect()
}

/// What was wrong before in a way that upstream refuses the new store for.
fn refused(qubes: &Qubes, facts: &dyn Facts) -> Vec<ConversionLoss> {
    let found = qubes
        .findings(facts)
        .into_iter()
        .filter(|f| f.harm == Harm::Refused);
    found
        .map(|f| ConversionLoss {
            qube: f.at.qube().cloned(),
            text: format!(
                "{}, which qubesd refuses the store for: {}",
                f.text, f.remedy
            ),
        })
        .collect()
}

impl Conversion {
    /// The directories that R4 wants and R3 has elsewhere, as messages name them.
    pub fn directories(&self) -> Vec<String> {
        let shown = |(name, class): &(VmName, Class)| {
            QubeDirectory::open(&self.system, class, name).to_string()
        };
        self.missing.iter().map(shown).collect()
    }
}

impl Companions for Rc<Conversion> {
    fn convert(&self) -> Result<(), StoreError> {
        for (name, class) in &self.missing {
            let shown = QubeDirectory::open(&self.system, class, name).to_string();
            QubeDirectory::make(&self.system, class, name)
                .map_err(StoreError::io("make directory", Path::new(&shown)))?;
        }
        self.firewalls
            .iter()
            .try_for_each(|firewall| firewall.write(&self.system))
    }

    fn converted(&self, copy: &Path) {
        let file = self.system.store_file().display();
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        self.system.tell(&format!(
            "{file}: was written by Qubes R3 or older and is converted to R4 ({}, {}); it was kept as {}",
            count(self.qubes.len(), "qube"),
            count(self.firewalls.len(), "firewall file"),
            copy.display()
        ));
        for loss in &self.losses {
            let who = loss
                .qube
                .as_ref()
                .map_or_else(|| file.to_string(), VmName::to_string);
            self.system.tell(&format!("{who}: {}", loss.text));
        }
        *self.copy.borrow_mut() = Some(copy.to_path_buf());
    }
}
