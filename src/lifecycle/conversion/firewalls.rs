//! Converts the firewall files of R3's qubes and writes the result where R4 reads it. The old file
//! is kept: in `backup/` if it had that very path, otherwise where it is.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::firewall::{FILE, FirewallVersion, MAX_BYTES, convert_r3, deny_all, detect_version};
use crate::format::{ConversionLoss, OldQubeFiles};
use crate::fs::owned_paths;
use crate::fs::owned_paths::create_shared_directory;
use crate::fs::replace::Access;
use crate::lifecycle::Context;
use crate::lifecycle::qube::directory::owners::DirectoryOwners;
use crate::lifecycle::qube::directory::{self, QubeDirectory, open_system_file};
use crate::model::{Class, Qubes, Vm, VmName};
use crate::store::{StoreError, history};
use crate::system::System;

/// A firewall file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvertedFirewall {
    /// The qube.
    pub qube: VmName,
    class: Class,
    /// The path of R3's rules, for messages; `None` if R3 had rules without a file.
    pub from: Option<PathBuf>,
    /// The path of R4's rules, for messages.
    pub to: PathBuf,
    /// The content of the new file.
    content: Vec<u8>,
    /// Whether an existing file is to be kept in `backup/`.
    replaces: bool,
}

/// Returns the firewall file to write for each qube. A qube whose file is R4's already has none.
pub(super) fn plan(
    context: &Context,
    qubes: &Qubes,
    files: &[OldQubeFiles],
    others: &DirectoryOwners,
    losses: &mut Vec<ConversionLoss>,
) -> Vec<ConvertedFirewall> {
    let now = clock::now_utc().as_second().max(0).unsigned_abs();
    let mut planned = Vec::new();
    for old in files {
        let Some(vm) = qubes.get(old.name.as_str()) else {
            continue;
        };
        let Some(firewall) = plan_for_qube(context, vm, old, now, losses) else {
            continue;
        };
        match others.owner(&directory::open(context, vm)) {
            None => planned.push(firewall),
            Some(owner) => {
                let directory = directory::open(context, vm);
                let text = format!(
                    "{directory} is the directory of {owner}, too: no firewall rules are written \
                     there"
                );
                losses.push(ConversionLoss {
                    qube: Some(old.name.clone()),
                    text,
                });
            }
        }
    }
    planned
}

/// Plans the firewall file of one qube. Adds to `losses` what cannot be taken over.
fn plan_for_qube(
    context: &Context,
    vm: &Vm,
    files: &OldQubeFiles,
    now: u64,
    losses: &mut Vec<ConversionLoss>,
) -> Option<ConvertedFirewall> {
    let from = context.system.path_below_root(&files.firewall);
    let directory = directory::open(context, vm);
    let to = PathBuf::from(directory.display_path(FILE));
    let mut add_loss = |text: String| {
        losses.push(ConversionLoss {
            qube: Some(files.name.clone()),
            text,
        })
    };
    let existing = match read_content(directory.open_file(FILE)) {
        Ok(existing) => existing,
        Err(reason) => {
            let to = to.display();
            add_loss(format!("{to}: {reason}; the file is left unchanged"));
            return None;
        }
    };
    let is_r4 = |bytes: &[u8]| detect_version(bytes) == FirewallVersion::R4;
    if existing.as_deref().is_some_and(is_r4) {
        return None;
    }
    let old = match from == to {
        true => Ok(existing.clone()),
        false => {
            let old = open_system_file(&context.system, Path::new(&files.firewall));
            read_content(old)
        }
    };
    let (content, from) = match old {
        // R4 allows all traffic of a qube without a file. R3 blocks that of such a template.
        Ok(None) if files.is_closed_by_default && vm.class == Class::TemplateVM => {
            let directory = context.system.path_below_root(&files.directory);
            directory.is_dir().then(|| (deny_all().to_file(), None))?
        }
        Ok(None) => return None,
        Ok(Some(bytes)) => (convert_rules(bytes, now, &from, &mut add_loss), Some(from)),
        Err(reason) => {
            let from_text = from.display();
            add_loss(format!("{from_text}: {reason}; nothing is let through"));
            (deny_all().to_file(), Some(from))
        }
    };
    Some(ConvertedFirewall {
        qube: files.name.clone(),
        class: vm.class.clone(),
        from,
        to,
        content,
        replaces: existing.is_some(),
    })
}

/// Returns R4's file for the content of an old one, which may be R4's already.
fn convert_rules(
    old: Vec<u8>,
    now: u64,
    from: &Path,
    add_loss: &mut impl FnMut(String),
) -> Vec<u8> {
    if detect_version(&old) == FirewallVersion::R4 {
        return old;
    }
    let new = convert_r3(&old, now);
    new.left_out
        .iter()
        .for_each(|text| add_loss(format!("{}: {text}", from.display())));
    new.rules.to_file()
}

/// Reads a file of unknown content; `None` if it does not exist. A larger file than any valid one
/// is truncated.
fn read_content(opened: io::Result<Option<File>>) -> Result<Option<Vec<u8>>, String> {
    // The caller puts the file's path in front of this text.
    let reason_text = |error: io::Error| {
        let text = crate::fs::errno_text(&error);
        text.strip_prefix(FILE)
            .map_or(text.clone(), |rule| format!("it{rule}"))
    };
    let Some(file) = opened.map_err(reason_text)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(reason_text)?;
    Ok(Some(bytes))
}

impl ConvertedFirewall {
    /// Keeps an existing file, then writes the new one.
    pub(super) fn write(&self, system: &System) -> Result<(), StoreError> {
        let failed = || StoreError::io("write", &self.to);
        let directory = QubeDirectory::make(system, &self.class, &self.qube).map_err(failed())?;
        if self.replaces
            && let Some(old) = directory.open_file(FILE).map_err(failed())?
        {
            self.back_up(old, system)?;
        }
        let access = Access {
            mode: 0o664,
            group: system.qubes_group(),
        };
        directory
            .write(FILE, access, &self.content)
            .map_err(failed())
    }

    /// Copies the old file to `backup/`, named as R2 named its copies: `NAME-firewall-TIME.xml`.
    fn back_up(&self, mut old: File, system: &System) -> Result<(), StoreError> {
        let directory = system.backup_dir();
        let group = system.qubes_group();
        create_shared_directory(&directory, group)
            .map_err(StoreError::io("make directory", &directory))?;
        let name = format!(
            "{}-firewall-{}",
            self.qube,
            clock::now().strftime("%Y-%m-%d-%H:%M:%S")
        );
        let copy = history::find_unused_name(&directory, &name)
            .map_err(StoreError::io("look at", &directory))?;
        let fill = |copy: &mut File| io::copy(&mut old, copy).map(drop);
        owned_paths::replace(&copy, Access::shared(group), fill)
            .map(drop)
            .map_err(StoreError::io("write", &copy))
    }
}
