//! The generated completions, manual pages and schemas in the repository are up to date.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qubes::tools::generate;
use qubes_test_support::{repository, skip};

#[test]
fn generated_files_are_up_to_date() {
    for file in generate::files() {
        let there = fs::read_to_string(repository(".").join(&file.path)).unwrap_or_default();
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

/// What mandoc warns about in a page.
fn warnings(page: &Path) -> Option<String> {
    let mut mandoc = Command::new("mandoc");
    mandoc
        .args(["-T", "lint", "-W", "warning"])
        .arg(page)
        .stdin(Stdio::null());
    let output = mandoc.output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn manual_pages_have_no_warning() {
    let bad = tempfile::NamedTempFile::new().unwrap();
    fs::write(bad.path(), ".SH NAME\n.nosuchmacro\n").unwrap();
    match warnings(bad.path()) {
        Some(words) => assert!(words.contains("nosuchmacro"), "{words}"),
        None => return skip("mandoc is not installed"),
    }
    for entry in fs::read_dir(repository("man")).unwrap() {
        let page = entry.unwrap().path();
        assert_eq!(warnings(&page).unwrap(), "", "{}", page.display());
    }
}
