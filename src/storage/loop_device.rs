//! Loop devices that lie over an image: the only place of their ioctls (loop(4)).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use super::StorageError;

mod ioctl {
    // Plain numbers of <linux/loop.h>.
    nix::ioctl_none_bad!(loop_set_capacity, 0x4C07);
    nix::ioctl_none_bad!(loop_ctl_get_free, 0x4C82);
    nix::ioctl_write_ptr_bad!(loop_configure, 0x4C0A, super::LoopConfig);
}

/// `struct loop_config` of <linux/loop.h>, its `struct loop_info64` spelled out; what is not used is zero.
#[repr(C)]
pub struct LoopConfig {
    fd: u32,
    block_size: u32,
    before_flags: [u8; 52],
    flags: u32,
    file_name: [u8; 64],
    after_file_name: [u8; 64 + 32 + 16],
    reserved: [u64; 8],
}

/// LO_FLAGS_READ_ONLY.
const READ_ONLY: u32 = 1;
/// LO_FLAGS_AUTOCLEAR: the device vanishes when the last one closes it.
const AUTOCLEAR: u32 = 4;

/// A loop device over an image. It exists as long as this or anybody else has it open.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    _open: File,
}

impl LoopDevice {
    /// A new one over `image`.
    ///
    /// # Errors
    /// There are no loop devices here, or they are for root alone.
    pub fn over(image: &Path, writable: bool) -> Result<LoopDevice, StorageError> {
        let failed = || StorageError::io(format!("setting up a loop device over {}", image.display()));
        let file = File::options().read(true).write(writable).open(image).map_err(failed())?;
        let control = File::options().read(true).write(true).open("/dev/loop-control").map_err(failed())?;
        loop {
            // SAFETY: the call takes an open descriptor and no further argument.
            let number = unsafe { ioctl::loop_ctl_get_free(control.as_raw_fd()) }.map_err(|e| failed()(e.into()))?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = File::options().read(true).write(writable).open(&path).map_err(failed())?;
            match configure(&device, file.as_raw_fd(), writable) {
                Ok(()) => return Ok(LoopDevice { path, _open: device }),
                // Somebody else took it in between.
                Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => {}
                Err(e) => return Err(failed()(e)),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn configure(device: &File, image: RawFd, writable: bool) -> io::Result<()> {
    let config = LoopConfig {
        fd: u32::try_from(image).map_err(|_| io::ErrorKind::InvalidInput)?,
        block_size: 0,
        before_flags: [0; 52],
        flags: AUTOCLEAR | if writable { 0 } else { READ_ONLY },
        file_name: [0; 64],
        after_file_name: [0; 112],
        reserved: [0; 8],
    };
    // SAFETY: the descriptor is open, and the structure is laid out as the kernel's and outlives the call, which reads it.
    unsafe { ioctl::loop_configure(device.as_raw_fd(), &config) }?;
    Ok(())
}

/// The loop devices whose backing file is `image`, as /sys names it.
pub fn devices_over(image: &Path) -> Vec<PathBuf> {
    let Ok(image) = fs::canonicalize(image) else { return Vec::new() };
    let devices = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    devices
        .filter(|device| device.file_name().as_encoded_bytes().starts_with(b"loop"))
        .filter(|device| {
            let backing = fs::read(device.path().join("loop/backing_file")).unwrap_or_default();
            backing.strip_suffix(b"\n").unwrap_or(&backing) == image.as_os_str().as_encoded_bytes()
        })
        .map(|device| Path::new("/dev").join(device.file_name()))
        .collect()
}

/// Tells a loop device that its file has another length now.
pub fn take_new_size(device: &Path) -> io::Result<()> {
    let device = File::options().read(true).write(true).open(device)?;
    // SAFETY: the call takes an open descriptor and no further argument.
    unsafe { ioctl::loop_set_capacity(device.as_raw_fd()) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structure_is_as_long_as_the_kernels_and_the_flags_are_where_it_looks() {
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(std::mem::offset_of!(LoopConfig, flags), 8 + 52);
    }
}
