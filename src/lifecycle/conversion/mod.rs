//! Conversion from R3 to R4: what becomes of a store of R1 to R3 and of the files beside it. It is
//! planned at once and done by the first save (`docs/migration.md`). Images stay in place.

mod firewalls;
mod images;
pub(super) mod old_store;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use uuid::Uuid;

use super::{Context, LifecycleError};
use crate::format::{ConversionLoss, OldQubeFiles};
use crate::lifecycle::qube::directory::owners::DirectoryOwners;
use crate::lifecycle::qube::directory::{self, QubeDirectory};
use crate::model::check::Harm;
use crate::model::pool_driver::FILE_REFLINK;
use crate::model::{Class, Facts, Qid, Qubes, Release, Vm, VmName, check};
use crate::store::{Companions, StoreError, Write};
use crate::system::System;

pub use firewalls::ConvertedFirewall;
use old_store::read_old_store;

/// A conversion, planned or done.
pub struct Conversion {
    system: System,
    /// Names and classes of the qubes, dom0 first.
    pub qubes: Vec<(VmName, Class)>,
    /// The pools of the new store with their directories.
    pub pools: Vec<(String, String)>,
    /// The firewall files to be written.
    pub firewalls: Vec<ConvertedFirewall>,
    /// The qubes whose directories do not exist where R4 expects them.
    missing_directories: Vec<(VmName, Class)>,
    /// What is not taken over, or cannot be understood.
    pub losses: Vec<ConversionLoss>,
    /// The path of the old store's copy, once it exists.
    pub copy: RefCell<Option<PathBuf>>,
}

/// Plans the conversion of `bytes`, a store of R1 to R3. Returns the new store and the plan.
/// Changes nothing.
///
/// # Errors
/// The bytes are not such a store.
pub fn plan(context: &Context, bytes: &[u8]) -> Result<(Qubes, Conversion), LifecycleError> {
    let file = context.system.store_file();
    let invalid = StoreError::format(file);
    let old = read_old_store(context, bytes).map_err(invalid)?;
    let (mut qubes, mut losses) = (old.qubes, old.losses);
    losses.extend(losses_from_diagnoses(&qubes));
    add_required_settings(context, &mut qubes);
    losses.extend(images::complete_volumes(&mut qubes, context));
    let others = directory::system_store_directories(context);
    let firewalls = firewalls::plan(context, &qubes, &old.files, &others, &mut losses);
    // From here on the store is checked as one of R4.
    qubes.needs_conversion = false;
    losses.extend(losses_from_findings(&qubes, context.facts()));
    let conversion = Conversion {
        system: context.system.clone(),
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
        missing_directories: find_missing_directories(context, &qubes, &old.files, &others),
        losses,
        copy: RefCell::new(None),
    };
    Ok((qubes, conversion))
}

/// Converts the store and changes nothing else. Returns `None` if it is R4's already.
///
/// # Errors
/// The store cannot be read, converted or saved.
pub fn convert(context: &Context) -> Result<Option<Rc<Conversion>>, LifecycleError> {
    let (mut write, conversion) = open_for_writing(context)?;
    if conversion.is_some() {
        write.save()?;
    }
    Ok(conversion)
}

/// Converts the store if it is R3's. Called before images are changed.
///
/// # Errors
/// As [`convert`].
pub(super) fn convert_if_needed(context: &Context, qubes: &Qubes) -> Result<(), LifecycleError> {
    if qubes.needs_conversion {
        convert(context).map(drop)
    } else {
        Ok(())
    }
}

/// Refuses a store of R3. Called by operations that change images but no store.
///
/// # Errors
/// [`LifecycleError::NotConverted`].
pub(super) fn require_converted(context: &Context, qubes: &Qubes) -> Result<(), LifecycleError> {
    match qubes.needs_conversion {
        true => Err(LifecycleError::NotConverted {
            store: context.system.store_file().to_path_buf(),
        }),
        false => Ok(()),
    }
}

/// Opens the store for writing, with the planned conversion if it is R3's.
///
/// # Errors
/// The store cannot be locked, read or converted.
pub(super) fn open_for_writing(
    context: &Context,
) -> Result<(Write, Option<Rc<Conversion>>), LifecycleError> {
    let mut write = Write::open(&context.store_place())?;
    if !write.needs_conversion {
        return Ok((write, None));
    }
    let (qubes, conversion) = plan(context, &write.bytes()?)?;
    let conversion = Rc::new(conversion);
    write.convert_with(qubes, Box::new(conversion.clone()));
    Ok((write, Some(conversion)))
}

/// Adds what R4 requires of every qube and pool.
fn add_required_settings(context: &Context, qubes: &mut Qubes) {
    for pool in qubes
        .pools
        .0
        .iter_mut()
        .filter(|p| p.driver() == FILE_REFLINK)
    {
        let directory = pool.option("dir_path").unwrap_or_default().to_owned();
        if !context.facts().host().can_reflink(&directory) {
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
        if context.facts().host().release() == Release::R4_0
            && vm.properties.get("maxmem") == Some("0")
        {
            // 4.0 expresses with a service what later releases express with maxmem
            // (`docs/spec/r4-properties.md` §9).
            vm.properties.remove("maxmem");
            vm.features.set("service.meminfo-writer", "");
        }
    }
}

/// Returns the qubes whose R4 directories do not exist while their R3 directories, elsewhere,
/// do.
fn find_missing_directories(
    context: &Context,
    qubes: &Qubes,
    files: &[OldQubeFiles],
    others: &DirectoryOwners,
) -> Vec<(VmName, Class)> {
    let mut missing = Vec::new();
    for old in files {
        let Some(vm) = qubes.get(old.name.as_str()) else {
            continue;
        };
        let new = directory::open(context, vm);
        let is_missing = context.system.path_below_root(&old.directory).is_dir()
            && new.exists().is_ok_and(|there| !there);
        if is_missing && others.owner(&new).is_none() {
            missing.push((vm.name.clone(), vm.class.clone()));
        }
    }
    missing
}

/// Returns what the old store has that is invalid and is dropped by the conversion.
fn losses_from_diagnoses(qubes: &Qubes) -> Vec<ConversionLoss> {
    let system_losses = qubes.diagnoses.iter().map(|d| ConversionLoss {
        qube: None,
        text: d.text.clone(),
    });
    let qube_losses = |vm: &Vm| {
        let name = vm.name.clone();
        vm.diagnoses
            .clone()
            .into_iter()
            .map(move |d| ConversionLoss {
                qube: Some(name.clone()),
                text: d.text,
            })
    };
    system_losses
        .chain(qubes.iter().flat_map(qube_losses))
        .collect()
}

/// Returns what upstream would refuse the new store for.
fn losses_from_findings(qubes: &Qubes, facts: &dyn Facts) -> Vec<ConversionLoss> {
    let found = check::findings(qubes, facts)
        .into_iter()
        .filter(|f| f.harm == Harm::Refused);
    found
        .map(|f| ConversionLoss {
            qube: f.at.qube().cloned(),
            text: format!(
                "{}, for which qubesd refuses the store: {}",
                f.text, f.remedy
            ),
        })
        .collect()
}

impl Conversion {
    /// Returns the directories to be created, as messages name them.
    pub fn directories(&self) -> Vec<String> {
        let shown = |(name, class): &(VmName, Class)| {
            QubeDirectory::open(&self.system, class, name).to_string()
        };
        self.missing_directories.iter().map(shown).collect()
    }
}

impl Companions for Rc<Conversion> {
    fn convert(&self) -> Result<(), StoreError> {
        for (name, class) in &self.missing_directories {
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
        self.system.notify(&format!(
            "{file}: was written by Qubes R3 or older and is converted to R4 ({}, {}); it was \
             kept as {}",
            count(self.qubes.len(), "qube"),
            count(self.firewalls.len(), "firewall file"),
            copy.display()
        ));
        for loss in &self.losses {
            let subject = loss
                .qube
                .as_ref()
                .map_or_else(|| file.to_string(), VmName::to_string);
            self.system.notify(&format!("{subject}: {}", loss.text));
        }
        *self.copy.borrow_mut() = Some(copy.to_path_buf());
    }
}
