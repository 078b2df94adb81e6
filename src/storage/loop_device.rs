//! Loop devices that lie over an image: the only place of the ioctl LOOP_SET_CAPACITY (loop(4)).

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

mod ioctl {
    // LOOP_SET_CAPACITY of <linux/loop.h>, a plain number.
    nix::ioctl_none_bad!(loop_set_capacity, 0x4C07);
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
