//! The generated completions, manual pages and schemas in the repository are up to date.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use qubes::tools::generate;

use crate::store::repository;

#[test]
fn generated_files_are_up_to_date() {
    for file in generate::files() {
        let there = fs::read_to_string(repository("").join(&file.path)).unwrap_or_default();
        assert!(
            there == file.text,
            "{} is out of date: run `make generated`",
            file.path.display()
        );
    }
}

#[test]
fn generated_directories_contain_no_other_files() {
    let generated: BTreeSet<PathBuf> = generate::files().into_iter().map(|f| f.path).collect();
    for directory in ["completions", "man", "docs/schemas"] {
        for entry in fs::read_dir(repository(directory)).unwrap() {
            let path = Path::new(directory).join(entry.unwrap().file_name());
            assert!(
                generated.contains(&path),
                "{} belongs to no command",
                path.display()
            );
        }
    }
}
