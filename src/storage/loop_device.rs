//! Loop devices over images: the only user of their ioctls (loop(4)).

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{StorageError, pool_files};
use crate::fs::directory::OpenMode;

mod ioctl {
    // Plain numbers of <linux/loop.h>.
    nix::ioctl_none_bad!(loop_set_capacity, 0x4C07);
    nix::ioctl_none_bad!(loop_ctl_get_free, 0x4C82);
    nix::ioctl_write_ptr_bad!(loop_configure, 0x4C0A, super::LoopConfig);
    nix::ioctl_read_bad!(loop_get_status64, 0x4C05, super::LoopStatus);
}

/// `struct loop_info64` of <linux/loop.h>, up to the fields that are used.
#[repr(C)]
pub struct LoopStatus {
    device: u64,
    inode: u64,
    real_device: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encryption: [u32; 2],
    flags: u32,
    names: [u8; 64 + 64 + 32],
    init: [u64; 2],
}

/// `struct loop_config` of <linux/loop.h> with its `struct loop_info64` inlined. Unused fields are
/// zero.
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
/// LO_FLAGS_AUTOCLEAR: the device is detached when it is closed for the last time.
const AUTOCLEAR: u32 = 4;

/// A loop device over an image. It exists while this value or anybody else has it open.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    open: File,
}

impl LoopDevice {
    /// Attaches a new loop device to `image`.
    ///
    /// # Errors
    /// There are no loop devices, or they need root.
    pub fn attach(image: &Path, writable: bool) -> Result<LoopDevice, StorageError> {
        let failed = || {
            StorageError::io(format!(
                "cannot set up a loop device over {}",
                image.display()
            ))
        };
        let used = if writable {
            OpenMode::ReadWrite
        } else {
            OpenMode::Read
        };
        let file = pool_files::open(image, used).map_err(failed())?;
        let control = File::options()
            .read(true)
            .write(true)
            .open("/dev/loop-control")
            .map_err(failed())?;
        loop {
            // SAFETY: the call takes an open descriptor and no further argument.
            let number = unsafe { ioctl::loop_ctl_get_free(control.as_raw_fd()) }
                .map_err(|e| failed()(e.into()))?;
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = File::options()
                .read(true)
                .write(writable)
                .open(&path)
                .map_err(failed())?;
            match configure(&device, file.as_raw_fd(), writable) {
                Ok(()) => return Ok(LoopDevice { path, open: device }),
                // Another process was faster to attach this device.
                Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => {}
                Err(e) => return Err(failed()(e)),
            }
        }
    }

    /// Returns the writable device that is already attached to `image`, by whatever name, else a
    /// new one. The device mapper groups the snapshots of a base by its device, so all of them must
    /// use the same.
    pub fn attach_shared(image: &Path) -> Result<LoopDevice, StorageError> {
        let failed = || StorageError::io(format!("cannot examine {}", image.display()));
        let metadata = pool_files::open(image, OpenMode::Read)
            .and_then(|file| file.metadata())
            .map_err(failed())?;
        let attached = fs::read_dir("/sys/block").into_iter().flatten().flatten();
        for name in attached
            .filter(|entry| entry.path().join("loop").is_dir())
            .map(|entry| entry.file_name())
        {
            let path = Path::new("/dev").join(name);
            // A device that is being detached cannot be opened, or has no file any more.
            let Ok(device) = File::options().read(true).write(true).open(&path) else {
                continue;
            };
            let Ok(status) = status(&device) else {
                continue;
            };
            let is_whole =
                status.offset == 0 && status.size_limit == 0 && status.flags & READ_ONLY == 0;
            if is_whole && (status.device, status.inode) == (metadata.dev(), metadata.ino()) {
                // The file may have grown without the device noticing.
                refresh_size(&device).map_err(StorageError::io(format!(
                    "cannot resize {}",
                    path.display()
                )))?;
                return Ok(LoopDevice { path, open: device });
            }
        }
        LoopDevice::attach(image, true)
    }

    /// Returns the path of the device.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the size in sectors of 512 bytes.
    pub fn sectors(&self) -> Result<u64, StorageError> {
        let mut device = &self.open;
        let end = io::Seek::seek(&mut device, io::SeekFrom::End(0));
        Ok(end.map_err(StorageError::io(format!(
            "cannot measure {}",
            self.path.display()
        )))? / 512)
    }
}

fn status(device: &File) -> io::Result<LoopStatus> {
    let mut status = LoopStatus {
        device: 0,
        inode: 0,
        real_device: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encryption: [0; 2],
        flags: 0,
        names: [0; 160],
        init: [0; 2],
    };
    // SAFETY: the descriptor is open, and the structure is laid out as the kernel's and outlives
    // the call, which fills it.
    unsafe { ioctl::loop_get_status64(device.as_raw_fd(), &mut status) }?;
    Ok(status)
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
    // SAFETY: the descriptor is open, and the structure is laid out as the kernel's and outlives
    // the call, which reads it.
    unsafe { ioctl::loop_configure(device.as_raw_fd(), &config) }?;
    Ok(())
}

/// Returns the loop devices whose backing file is `image`, according to /sys.
pub fn find_loop_devices(image: &Path) -> Vec<PathBuf> {
    let Ok(image) = fs::canonicalize(image) else {
        return Vec::new();
    };
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

/// Whether another kernel device, such as a device mapper device, uses the loop device. A program
/// that has it open does not count.
pub fn has_holders(device: &Path) -> bool {
    let name = device.file_name().unwrap_or_default();
    let holders = fs::read_dir(Path::new("/sys/block").join(name).join("holders"));
    holders.is_ok_and(|mut holders| holders.next().is_some())
}

/// Makes the loop devices of `image` adopt its current length.
pub fn update_sizes(image: &Path) -> Result<(), StorageError> {
    for device in find_loop_devices(image) {
        let opened = File::options().read(true).write(true).open(&device);
        opened
            .and_then(|opened| refresh_size(&opened))
            .map_err(StorageError::on("resize", &device))?;
    }
    Ok(())
}

fn refresh_size(device: &File) -> io::Result<()> {
    // SAFETY: the call takes an open descriptor and no further argument.
    unsafe { ioctl::loop_set_capacity(device.as_raw_fd()) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_layout_of_the_kernel() {
        assert_eq!(size_of::<LoopConfig>(), 304);
        assert_eq!(std::mem::offset_of!(LoopConfig, flags), 8 + 52);
        assert_eq!(size_of::<LoopStatus>(), 232);
        assert_eq!(std::mem::offset_of!(LoopStatus, flags), 52);
    }
}
