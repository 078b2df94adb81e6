//! The file that fills the root volume of a new qube.

use std::fs::File;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use crate::fs::errno_text;

/// The file that fills the root volume.
#[derive(Debug)]
pub struct RootSource<'a> {
    pub file: &'a Path,
    /// Whether it is deleted afterwards.
    pub is_moved: bool,
}

impl RootSource<'_> {
    /// Opens the file.
    pub fn open(&self) -> Result<File, String> {
        File::open(self.file).map_err(|e| format!("{}: {}", self.file.display(), errno_text(&e)))
    }

    /// Whether opening it would wait for a writer.
    pub fn is_pipe(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|found| found.file_type().is_fifo())
    }
}
