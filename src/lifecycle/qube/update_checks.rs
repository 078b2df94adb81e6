//! Turning the check for updates on and off: the feature `check-updates` of dom0 and each qube, and
//! the property `check_updates_vm` for qubes created later.

use std::io;
use std::path::Path;

use crate::fs::owned_paths::{open_parent, replace};
use crate::fs::replace::{Access, parent_directory};
use crate::lifecycle::qube::create_shared_directory;
use crate::lifecycle::{Context, LifecycleError, reconcile};
use crate::model::features;
use crate::model::property;
use crate::model::{Change, VmName};

const FEATURE: &str = "check-updates";
/// While this file exists, dom0's own timer does nothing (`docs/spec/r3-tools.md` §4).
const DOM0_FLAG: &str = "/var/lib/qubes/updates/disable-updates";

/// Whether updates are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateChecks {
    /// Enabled for all.
    Enabled,
    /// Disabled for all.
    Disabled,
    /// Enabled for some qubes and disabled for others.
    Mixed,
}

impl UpdateChecks {
    /// Returns the word for it in outputs.
    pub fn as_str(self) -> &'static str {
        match self {
            UpdateChecks::Enabled => "enabled",
            UpdateChecks::Disabled => "disabled",
            UpdateChecks::Mixed => "mixed",
        }
    }
}

/// Returns whether dom0 checks for updates, and whether the qubes do.
///
/// # Errors
/// The store cannot be read.
pub fn update_checks(context: &Context) -> Result<(UpdateChecks, UpdateChecks), LifecycleError> {
    let qubes = context.read()?;
    let of = |on: bool| {
        if on {
            UpdateChecks::Enabled
        } else {
            UpdateChecks::Disabled
        }
    };
    let dom0_is_off = qubes
        .get(VmName::DOM0)
        .is_some_and(|dom0| dom0.features.get(FEATURE) == Some(""));
    let dom0 = of(!dom0_is_off && !context.system.path_below_root(DOM0_FLAG).exists());
    let guests: Vec<bool> = qubes
        .iter()
        .filter(|vm| vm.class.is_local_guest())
        .map(|vm| vm.features.get(FEATURE) != Some(""))
        .collect();
    let qubes_do = match (guests.contains(&true), guests.contains(&false)) {
        (true, true) => UpdateChecks::Mixed,
        (false, false) => {
            of(
                property::global_value_by_name(&qubes, "check_updates_vm", context.facts())
                    .ok()
                    .and_then(|v| v.as_bool())
                    != Some(false),
            )
        }
        (on, _) => of(on),
    };
    Ok((dom0, qubes_do))
}

/// Turns the check for updates on or off, for dom0 and every qube. Returns notes for the user.
///
/// # Errors
/// The store or the flag file of dom0 cannot be changed.
pub fn set_update_checks(context: &Context, on: bool) -> Result<Vec<String>, LifecycleError> {
    let saved = reconcile::save_change(context, |draft| {
        let local = |class: &crate::model::Class| class.is_local_guest();
        let names: Vec<VmName> = draft
            .names_with_classes()
            .filter(|(name, class)| name.is_dom0() || local(class))
            .map(|(name, _)| name.clone())
            .collect();
        let mut all = Change::default();
        for name in names {
            all.merge(match on {
                true => features::remove(draft, name.as_str(), FEATURE)?,
                false => features::set(draft, name.as_str(), FEATURE, "", context.facts())?,
            });
        }
        all.merge(match on {
            true => property::reset_global(draft, "check_updates_vm", context.facts())?,
            false => property::set_global(draft, "check_updates_vm", "False", context.facts())?,
        });
        Ok(all)
    })?;
    set_dom0_flag(context, on)?;
    reconcile::apply_effects(context, saved)
}

/// Creates or removes the file that stops dom0's timer.
fn set_dom0_flag(context: &Context, on: bool) -> Result<(), LifecycleError> {
    let flag = context.system.path_below_root(DOM0_FLAG);
    let failed = LifecycleError::cannot("change", &flag.display());
    if !on {
        create_shared_directory(parent_directory(&flag), &context.system)?;
        let access = Access::shared(context.system.qubes_group());
        return replace(&flag, access, |_| Ok(())).map(drop).map_err(failed);
    }
    let remove = || {
        let (directory, name) = open_parent(&flag)?;
        if directory.remove_file(Path::new(&name))? {
            directory.sync()
        } else {
            Ok(())
        }
    };
    match remove() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(failed),
    }
}
