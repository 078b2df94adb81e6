//! A scratch store, and access to the property that these tests change. Included together with
//! `store_processes.rs`.

use std::fs;
use std::path::Path;

use qubes::store::{LockWait, StoreLocation, Write};

use crate::store_processes::store_location;

/// A directory with a copy of the small sample as its store.
pub struct Scratch {
    pub dir: tempfile::TempDir,
    pub place: StoreLocation,
}

impl Scratch {
    pub fn new() -> Scratch {
        let dir = tempfile::tempdir().unwrap();
        let place = store_location(dir.path(), LockWait::NONE);
        fs::copy(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4/small.xml"),
            &place.file,
        )
        .unwrap();
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
