//! The firewall files of R3's qubes. Each becomes R4's where R4 looks for it; the old one is kept: in `backup/` where it
//! lay in that place, else where it is.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::firewall::{FILE, MAX_BYTES, Version, closed, from_r3, version};
use crate::format::{Loss, OldFiles};
use crate::fs::beneath::Use;
use crate::fs::owned_paths;
use crate::fs::replace::{Access, make_shared_directory};
use crate::lifecycle::Session;
use crate::model::{Class, Qubes, VmName};
use crate::store::{StoreError, history};
use crate::system::System;

/// A file of rules that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    pub qube: VmName,
    /// Where R3's rules are; none where R3 had some without a file.
    pub from: Option<PathBuf>,
    /// Where R4's go.
    pub to: PathBuf,
    /// The new file.
    content: Vec<u8>,
    /// Whether something lies there that is to be kept.
    replaces: bool,
}

/// What is to be written for every qube. A file of R4 stays as it is: somebody was here before.
pub(super) fn plan(session: &Session, qubes: &Qubes, files: &[OldFiles], losses: &mut Vec<Loss>) -> Vec<Firewall> {
    let now = clock::now_utc().as_second().max(0).unsigned_abs();
    files.iter().filter_map(|old| of_qube(session, qubes, old, now, losses)).collect()
}

fn of_qube(session: &Session, qubes: &Qubes, files: &OldFiles, now: u64, losses: &mut Vec<Loss>) -> Option<Firewall> {
    let vm = qubes.get(files.name.as_str())?;
    let from = session.system.below_root(&files.firewall);
    let to = session.directory(vm).join(FILE);
    let mut lose = |text: String| losses.push(Loss { qube: Some(files.name.clone()), text });
    let there = match content(&to) {
        Ok(there) => there,
        Err(reason) => {
            lose(format!("{}: {reason}; it is left as it is", to.display()));
            return None;
        }
    };
    if there.as_deref().is_some_and(|bytes| version(bytes) == Version::R4) {
        return None;
    }
    let old = if from == to { Ok(there.clone()) } else { content(&from) };
    let (content, from) = match old {
        Ok(Some(bytes)) if version(&bytes) == Version::R4 => (bytes, Some(from)),
        Ok(Some(bytes)) => {
            let new = from_r3(&bytes, now);
            new.left_out.iter().for_each(|text| lose(format!("{}: {text}", from.display())));
            (new.rules.to_file(), Some(from))
        }
        // R3 lets nothing out of a template without rules, R4 everything.
        Ok(None) if files.is_closed_by_default && vm.class == Class::TemplateVM => {
            session.system.below_root(&files.directory).is_dir().then_some(())?;
            (closed().to_file(), None)
        }
        Ok(None) => return None,
        Err(reason) => {
            lose(format!("{}: {reason}; nothing is let through", from.display()));
            (closed().to_file(), Some(from))
        }
    };
    Some(Firewall { qube: files.name.clone(), from, to, content, replaces: there.is_some() })
}

/// A file that may be anything. None where it does not exist; what is larger than any is cut.
fn content(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let words = |error: io::Error| crate::fs::errno_text(&error);
    let file = match owned_paths::open(path, Use::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(words)?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(words)?;
    Ok(Some(bytes))
}

impl Firewall {
    /// Keeps what lies there, then writes the new file.
    pub(super) fn write(&self, system: &System) -> Result<(), StoreError> {
        let group = system.qubes_group();
        if self.replaces {
            self.keep(system)?;
        }
        if let Some(directory) = self.to.parent() {
            make_shared_directory(directory, group).map_err(StoreError::io("make directory", directory))?;
        }
        let access = Access { mode: 0o664, group };
        owned_paths::replace(&self.to, access, |file| file.write_all(&self.content))
            .map(drop)
            .map_err(StoreError::io("write", &self.to))
    }

    /// A copy in `backup/`, named as R2 named its own: `NAME-firewall-TIME.xml`.
    fn keep(&self, system: &System) -> Result<(), StoreError> {
        let directory = system.backup_dir();
        let group = system.qubes_group();
        make_shared_directory(&directory, group).map_err(StoreError::io("make directory", &directory))?;
        let name = format!("{}-firewall-{}", self.qube, clock::now().strftime("%Y-%m-%d-%H:%M:%S"));
        let copy = history::free_name(&directory, &name).map_err(StoreError::io("look at", &directory))?;
        let fill = |copy: &mut File| {
            let mut old = owned_paths::open(&self.to, Use::Read)?;
            io::copy(&mut old, copy).map(drop)
        };
        owned_paths::replace(&copy, Access::shared(group), fill).map(drop).map_err(StoreError::io("write", &copy))
    }
}
