//! A small file system of a wanted kind, mounted over a loop device for the time of one test.
//! For each test file to include by itself: `#[path = "support/loop_mount.rs"] mod loop_mount;`.

use std::path::PathBuf;

use qubes::exec::Program;
use tempfile::TempDir;

/// The kinds of file systems that images are kept on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Btrfs,
    Xfs,
    /// Cannot share blocks between files.
    Ext4,
}

impl FileSystem {
    fn make(self) -> Program {
        match self {
            FileSystem::Btrfs => Program::new("mkfs.btrfs").arg("-q"),
            FileSystem::Xfs => Program::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]),
            FileSystem::Ext4 => Program::new("mkfs.ext4").args(["-q", "-F"]),
        }
    }
}

/// A mounted file system; unmounted when dropped, also by a panic.
pub struct LoopMount {
    place: TempDir,
}

impl LoopMount {
    /// A new file system of 400 MiB, or the reason why there cannot be one here.
    pub fn new(kind: FileSystem) -> Result<LoopMount, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("mounting a loop device needs root".to_string());
        }
        let place = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (image, mounted) = (place.path().join("image"), place.path().join("mounted"));
        let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(400 << 20).map_err(|e| e.to_string())?;
        std::fs::create_dir(&mounted).map_err(|e| e.to_string())?;
        kind.make()
            .arg(&image)
            .output()
            .map_err(|e| e.to_string())?;
        // The loop device goes away with the mount.
        Program::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&mounted)
            .output()
            .map_err(|e| e.to_string())?;
        Ok(LoopMount { place })
    }

    /// The mounted directory.
    pub fn path(&self) -> PathBuf {
        self.place.path().join("mounted")
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        // Lazily, so that a file that a failing test still has open does not leave the mount
        // behind.
        if let Err(error) = Program::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .output()
        {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}
