//! Paths of the repository and of this build.

use std::path::{Path, PathBuf};

/// Returns a path in the repository.
pub fn repository(below: &str) -> PathBuf {
    let support = Path::new(env!("CARGO_MANIFEST_DIR"));
    support.ancestors().nth(2).unwrap().join(below)
}

/// Returns the path of a sample in `tests/data/r4`.
pub fn sample(name: &str) -> PathBuf {
    repository("tests/data/r4").join(name)
}

/// Returns the path of the sample with a qube of every class.
pub fn small_sample() -> PathBuf {
    sample("small.xml")
}

/// Returns the path of a program of this build.
pub fn binary(tool: impl AsRef<Path>) -> PathBuf {
    profile().join(tool)
}

/// Returns cargo's target directory.
pub fn target() -> PathBuf {
    profile().parent().unwrap().to_path_buf()
}

/// Returns the directory of this build's profile. Test programs run from its directory `deps`.
fn profile() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_path_buf()
}
