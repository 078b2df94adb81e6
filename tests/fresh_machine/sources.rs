//! Access to the scripts and test sources of this repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns a path in the repository.
pub fn repository(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// A source file, with its path in the repository for messages.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    fn read(path: &Path) -> Source {
        let below = path.strip_prefix(repository("")).unwrap();
        Source {
            path: below.display().to_string(),
            text: fs::read_to_string(path).unwrap(),
        }
    }
}

/// Directories of scripts that run inside a guest or the lab's machine, with programs of their own.
const INSIDE_GUESTS: [&str; 2] = ["demo/guest/", "tests/xen/lab/"];
/// A script in one of these directories that runs on this machine, to build the lab.
const LAB_BUILDER: &str = "tests/xen/lab/build";

/// Returns every shell script that runs on this machine.
pub fn scripts() -> Vec<Source> {
    let mut found = Vec::new();
    for directory in ["demo", "tests", ".ci", "packaging"] {
        for path in files_below(&repository(directory)) {
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let source = Source::read(&path);
            let is_guests = INSIDE_GUESTS
                .iter()
                .any(|inside| source.path.starts_with(inside));
            let is_here = !is_guests || source.path == LAB_BUILDER;
            if is_here && (text.starts_with("#!/bin/bash\n") || text.starts_with("#!/bin/sh\n")) {
                found.push(source);
            }
        }
    }
    found
}

/// Returns the recipes of the makefiles as scripts: other lines become empty, and `$(NAME)` becomes
/// the word `MAKE`.
pub fn recipes() -> Vec<Source> {
    let recipe = |line: &str| match line.strip_prefix('\t') {
        Some(command) => plain_shell(command.trim_start_matches(['@', '-'])),
        None => String::new(),
    };
    ["Makefile", "install.mk"]
        .map(|name| {
            let makefile = Source::read(&repository(name));
            let lines: Vec<String> = makefile.text.lines().map(recipe).collect();
            Source {
                text: lines.join("\n") + "\n",
                ..makefile
            }
        })
        .into()
}

fn plain_shell(recipe: &str) -> String {
    let mut plain = String::new();
    let mut rest = recipe;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(shell_variable) = rest.strip_prefix('$') {
            plain.push('$');
            rest = shell_variable;
        } else if let Some(variable) = rest.strip_prefix('(') {
            let mut depth = 1;
            let end = variable.find(|c| {
                depth += match c {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            plain.push_str("MAKE");
            rest = &variable[end.unwrap() + 1..];
        }
    }
    plain + rest
}

/// Returns the Rust sources of tests and benchmarks.
pub fn tests() -> Vec<Source> {
    let directories = ["tests", "benches", "virt-sys/tests"].map(|d| files_below(&repository(d)));
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|e| e == "rs");
    // These sources name programs that nothing calls.
    let own = repository("tests/fresh_machine");
    let is_other = |path: &PathBuf| !path.starts_with(&own);
    directories
        .into_iter()
        .flatten()
        .filter(is_rust)
        .filter(is_other)
        .map(|path| Source::read(&path))
        .collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.append(&mut files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
