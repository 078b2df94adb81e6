//! A scratch store, and access to the property that the tests of the store change.

use std::fs;
use std::path::Path;

use qubes::store::{StoreLocation, Write};

use crate::paths::small_sample;
use crate::store_location::store_location;

/// A directory with a copy of the small sample as its store.
pub struct Scratch {
    pub dir: tempfile::TempDir,
    pub place: StoreLocation,
}

impl Scratch {
    pub fn new() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let place = store_location(dir.path());
        fs::copy(small_sample(), &place.file).unwrap();
        Scratch { dir, place }
    }
}

pub fn set_memory(write: &mut Write, text: &str) {
    write.edit("work").unwrap().properties.set("memory", text);
}

pub fn memory_in(file: &Path) -> String {
    let qubes = qubes::format::read(fs::read(file).unwrap()).unwrap();
    qubes
        .get("work")
        .unwrap()
        .properties
        .get("memory")
        .unwrap()
        .to_string()
}
