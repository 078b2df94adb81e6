//! Mounts a small file system of a given kind from a loop device for one test.

use std::path::PathBuf;

use qubes::exec::Program;
use tempfile::TempDir;

/// A kind of file system that images are kept on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Btrfs,
    Xfs,
    /// A file system that cannot share blocks between files.
    Ext4,
}

impl FileSystem {
    fn mkfs_command(self) -> Program {
        match self {
            FileSystem::Btrfs => Program::new("mkfs.btrfs").arg("-q"),
            FileSystem::Xfs => Program::new("mkfs.xfs").args(["-q", "-m", "reflink=1"]),
            FileSystem::Ext4 => Program::new("mkfs.ext4").args(["-q", "-F"]),
        }
    }
}

/// A mounted file system. It is unmounted when this is dropped, also by a panic.
pub struct LoopMount {
    place: TempDir,
}

impl LoopMount {
    /// Makes and mounts a file system of 400 MiB, or returns why that is not possible here.
    pub fn new(kind: FileSystem) -> Result<LoopMount, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("mounting a loop device needs root".to_string());
        }
        let place = tempfile::tempdir().map_err(|e| e.to_string())?;
        let (image, mounted) = (place.path().join("image"), place.path().join("mounted"));
        let file = std::fs::File::create(&image).map_err(|e| e.to_string())?;
        file.set_len(400 << 20).map_err(|e| e.to_string())?;
        std::fs::create_dir(&mounted).map_err(|e| e.to_string())?;
        kind.mkfs_command()
            .arg(&image)
            .output()
            .map_err(|e| e.to_string())?;
        // The loop device is freed by unmounting.
        Program::new("mount")
            .args(["-o", "loop"])
            .arg(&image)
            .arg(&mounted)
            .output()
            .map_err(|e| e.to_string())?;
        Ok(LoopMount { place })
    }

    /// Returns the mount point.
    pub fn path(&self) -> PathBuf {
        self.place.path().join("mounted")
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        // Lazily, because a failing test may still have a file open.
        if let Err(error) = Program::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .output()
        {
            eprintln!("{} stays mounted: {error}", self.path().display());
        }
    }
}
