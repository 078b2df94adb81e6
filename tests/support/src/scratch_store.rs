//! A scratch store, and access to the property that the tests of the store change.

use std::fs;
use std::path::{Path, PathBuf};

use qubes::model::Vm;
use qubes::store::{StoreLocation, Write};

use crate::paths::small_sample;
use crate::store_location::store_location;
use crate::system::stored_property;
use crate::tree::list_names;

/// A directory with a copy of the small sample as its store.
pub struct Scratch {
    pub dir: tempfile::TempDir,
    pub place: StoreLocation,
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl Scratch {
    pub fn new() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let place = store_location(dir.path());
        fs::copy(small_sample(), &place.file).unwrap();
        Scratch { dir, place }
    }

    pub fn file(&self) -> &Path {
        &self.place.file
    }

    pub fn bytes(&self) -> Vec<u8> {
        fs::read(self.file()).unwrap()
    }

    /// Returns the names in the store's directory, sorted.
    pub fn files(&self) -> Vec<String> {
        list_names(self.dir.path())
    }

    pub fn copies(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.place.backup_dir);
        let entries = entries.into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

/// Returns a qube of the store for any change, by the rules or not.
pub fn edit<'w>(write: &'w mut Write, name: &str) -> &'w mut Vm {
    write.draft().unchecked().edit(name).unwrap()
}

pub fn set_memory(write: &mut Write, text: &str) {
    edit(write, "work").properties.set("memory", text);
}

pub fn memory_in(file: &Path) -> String {
    stored_property(file, "work", "memory")
}
