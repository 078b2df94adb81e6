//! Lists a directory, records its content and compares it with a later one.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The largest file whose bytes are recorded. For larger files (images), the size and modification
/// time are recorded.
const MAX_RECORDED_BYTES: u64 = 1 << 20;

/// Paths below a directory, each with its owner, mode and content.
pub type Tree = BTreeMap<PathBuf, String>;

/// Records everything below `root`, except the paths `excluded`, with owners, modes and contents.
pub fn tree(root: &Path, excluded: &[&str]) -> Tree {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let below = path.strip_prefix(root).unwrap().to_path_buf();
            if excluded.iter().any(|b| below.starts_with(b)) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).unwrap();
            let content = if metadata.is_dir() {
                open.push(path.clone());
                String::new()
            } else if metadata.is_symlink() {
                fs::read_link(&path).unwrap().display().to_string()
            } else if metadata.is_file() && metadata.len() <= MAX_RECORDED_BYTES {
                String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
            } else {
                format!(
                    "{} bytes, {}.{}",
                    metadata.len(),
                    metadata.mtime(),
                    metadata.mtime_nsec()
                )
            };
            found.insert(
                below,
                format!(
                    "{:o} {}:{} {content}",
                    metadata.mode(),
                    metadata.uid(),
                    metadata.gid()
                ),
            );
        }
    }
    found
}

/// Returns the names in a directory, sorted; none if it does not exist.
pub fn list_names(directory: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns the names in a directory without the times of revisions, sorted.
pub fn list_images(directory: impl AsRef<Path>) -> Vec<String> {
    let without_time = |name: String| name.split('@').next().unwrap_or_default().to_string();
    let mut names: Vec<_> = list_names(directory)
        .into_iter()
        .map(without_time)
        .collect();
    names.sort();
    names
}

/// Panics with the changed paths unless both records are equal.
pub fn assert_same(before: &Tree, after: &Tree, what: &str) {
    let mut different: Vec<&PathBuf> = before
        .iter()
        .filter(|(p, c)| after.get(*p) != Some(c))
        .map(|(p, _)| p)
        .collect();
    different.extend(after.keys().filter(|p| !before.contains_key(*p)));
    assert!(different.is_empty(), "{what} changed {different:?}");
}
