//! The firewall files of R3's qubes. Each becomes R4's where R4 looks for it; the old one is kept:
//! in `backup/` where it lay in that place, else where it is.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::firewall::{FILE, MAX_BYTES, Version, closed, from_r3, version};
use crate::format::{ConversionLoss, OldQubeFiles};
use crate::fs::owned_paths;
use crate::fs::replace::{Access, make_shared_directory};
use crate::lifecycle::Session;
use crate::lifecycle::qube_directory::owners::DirectoryOwners;
use crate::lifecycle::qube_directory::{QubeDirectory, open_in_system};
use crate::model::{Class, Qubes, Vm, VmName};
use crate::store::{StoreError, history};
use crate::system::System;

/// A file of rules that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    pub qube: VmName,
    class: Class,
    /// Where R3's rules are, for messages; none where R3 had some without a file.
    pub from: Option<PathBuf>,
    /// Where R4's go, for messages.
    pub to: PathBuf,
    /// The new file.
    content: Vec<u8>,
    /// Whether something lies there that is to be kept.
    replaces: bool,
}

/// What is to be written for every qube. A file of R4 stays as it is: somebody was here before.
pub(super) fn plan(
    session: &Session,
    qubes: &Qubes,
    files: &[OldQubeFiles],
    others: &DirectoryOwners,
    losses: &mut Vec<ConversionLoss>,
) -> Vec<Firewall> {
    let now = clock::now_utc().as_second().max(0).unsigned_abs();
    let mut planned = Vec::new();
    for old in files {
        let Some(vm) = qubes.get(old.name.as_str()) else {
            continue;
        };
        let Some(firewall) = of_qube(session, vm, old, now, losses) else {
            continue;
        };
        match others.owner(&session.qube_directory(vm)) {
            None => planned.push(firewall),
            Some(owner) => {
                let directory = session.qube_directory(vm);
                let text = format!(
                    "{directory} is the directory of {owner}, too: no firewall rules are written there"
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

fn of_qube(
    session: &Session,
    vm: &Vm,
    files: &OldQubeFiles,
    now: u64,
    losses: &mut Vec<ConversionLoss>,
) -> Option<Firewall> {
    let from = session.system.below_root(&files.firewall);
    let directory = session.qube_directory(vm);
    let to = PathBuf::from(directory.shown(FILE));
    let mut lose = |text: String| {
        losses.push(ConversionLoss {
            qube: Some(files.name.clone()),
            text,
        })
    };
    let there = match content(directory.open_file(FILE)) {
        Ok(there) => there,
        Err(reason) => {
            lose(format!("{}: {reason}; it is left as it is", to.display()));
            return None;
        }
    };
    if there
        .as_deref()
        .is_some_and(|bytes| version(bytes) == Version::R4)
    {
        return None;
    }
    let old = if from == to {
        Ok(there.clone())
    } else {
        content(open_in_system(&session.system, Path::new(&files.firewall)))
    };
    let (content, from) = match old {
        Ok(Some(bytes)) if version(&bytes) == Version::R4 => (bytes, Some(from)),
        Ok(Some(bytes)) => {
            let new = from_r3(&bytes, now);
            new.left_out
                .iter()
                .for_each(|text| lose(format!("{}: {text}", from.display())));
            (new.rules.to_file(), Some(from))
        }
        // R3 lets nothing out of a template without rules, R4 everything.
        Ok(None) if files.is_closed_by_default && vm.class == Class::TemplateVM => {
            session
                .system
                .below_root(&files.directory)
                .is_dir()
                .then_some(())?;
            (closed().to_file(), None)
        }
        Ok(None) => return None,
        Err(reason) => {
            lose(format!(
                "{}: {reason}; nothing is let through",
                from.display()
            ));
            (closed().to_file(), Some(from))
        }
    };
    Some(Firewall {
        qube: files.name.clone(),
        class: vm.class.clone(),
        from,
        to,
        content,
        replaces: there.is_some(),
    })
}

/// The content of a file that may be anything. None where it does not exist; what is larger than
/// any is cut.
fn content(opened: io::Result<Option<File>>) -> Result<Option<Vec<u8>>, String> {
    // The line begins with the file's path.
    let words = |error: io::Error| {
        let text = crate::fs::errno_text(&error);
        text.strip_prefix(FILE)
            .map_or(text.clone(), |rule| format!("it{rule}"))
    };
    let Some(file) = opened.map_err(words)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(words)?;
    Ok(Some(bytes))
}

impl Firewall {
    /// Keeps what lies there, then writes the new file.
    pub(super) fn write(&self, system: &System) -> Result<(), StoreError> {
        let failed = || StoreError::io("write", &self.to);
        let directory = QubeDirectory::make(system, &self.class, &self.qube).map_err(failed())?;
        if self.replaces
            && let Some(old) = directory.open_file(FILE).map_err(failed())?
        {
            self.keep(old, system)?;
        }
        let access = Access {
            mode: 0o664,
            group: system.qubes_group(),
        };
        directory
            .write(FILE, access, &self.content)
            .map_err(failed())
    }

    /// A copy in `backup/`, named as R2 named its own: `NAME-firewall-TIME.xml`.
    fn keep(&self, mut old: File, system: &System) -> Result<(), StoreError> {
        let directory = system.backup_dir();
        let group = system.qubes_group();
        make_shared_directory(&directory, group)
            .map_err(StoreError::io("make directory", &directory))?;
        let name = format!(
            "{}-firewall-{}",
            self.qube,
            clock::now().strftime("%Y-%m-%d-%H:%M:%S")
        );
        let copy =
            history::free_name(&directory, &name).map_err(StoreError::io("look at", &directory))?;
        let fill = |copy: &mut File| io::copy(&mut old, copy).map(drop);
        owned_paths::replace(&copy, Access::shared(group), fill)
            .map(drop)
            .map_err(StoreError::io("write", &copy))
    }
}
