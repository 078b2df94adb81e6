//! The block devices of dom0 (`docs/spec/r4-devices.md` §5).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{ENOMEDIUM, ENXIO, O_EXCL};
use nix::sys::stat::{major, minor};

use super::DeviceError;
use crate::fs::errno_text;

/// A block device of dom0 that dom0 itself does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeBlockDevice {
    /// The path of the device node, with all links resolved.
    pub node: PathBuf,
    /// The device is read-only.
    pub is_read_only: bool,
}

/// Returns the device node of a port: /dev/sda1 for `sda1`, /dev/mapper/backup for `mapper_backup`.
///
/// # Errors
/// The text is not the name of a port.
pub fn device_node(port: &str) -> Result<PathBuf, DeviceError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_plain = |part: &str| !matches!(part, "" | "." | "..");
    match port.bytes().all(allowed) && port.split('_').all(is_plain) {
        true => Ok(Path::new("/dev").join(port.replace('_', "/"))),
        false => Err(DeviceError::InvalidPort(port.escape_debug().to_string())),
    }
}

/// Returns the block device at a port, if it can be attached to a qube.
///
/// # Errors
/// There is no block device, or dom0 uses it: two writers would destroy a file system.
pub fn find_free_device(port: &str) -> Result<FreeBlockDevice, DeviceError> {
    let node = match fs::canonicalize(device_node(port)?) {
        Ok(node) => node,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(DeviceError::Missing),
        Err(error) => return Err(DeviceError::Io(errno_text(&error))),
    };
    let failed = |error: io::Error| DeviceError::Io(errno_text(&error));
    let metadata = fs::metadata(&node).map_err(failed)?;
    if !metadata.file_type().is_block_device() {
        return Err(DeviceError::NotABlockDevice(node.display().to_string()));
    }
    // With O_EXCL the kernel refuses to open a block device that is mounted or used by the device
    // mapper.
    match OpenOptions::new()
        .read(true)
        .custom_flags(O_EXCL)
        .open(&node)
    {
        Ok(_not_kept) => {}
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            return Err(DeviceError::InUse);
        }
        // A drive without a medium.
        Err(error) if matches!(error.raw_os_error(), Some(ENXIO | ENOMEDIUM)) => {
            return Err(DeviceError::Missing);
        }
        Err(error) => return Err(failed(error)),
    }
    let number = metadata.rdev();
    let read_sysfs = |file| {
        fs::read_to_string(format!(
            "/sys/dev/block/{}:{}/{file}",
            major(number),
            minor(number)
        ))
    };
    // A loop device without a file can be opened, but has no size.
    if read_sysfs("size").is_ok_and(|text| text.trim() == "0") {
        return Err(DeviceError::Missing);
    }
    Ok(FreeBlockDevice {
        node,
        is_read_only: read_sysfs("ro").is_ok_and(|text| text.trim() != "0"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_node_below_dev() {
        assert_eq!(device_node("sda1"), Ok(PathBuf::from("/dev/sda1")));
        assert_eq!(
            device_node("mapper_backup-2"),
            Ok(PathBuf::from("/dev/mapper/backup-2"))
        );
        for port in [
            "",
            "*",
            "_etc_shadow",
            ".._etc_shadow",
            "a/b",
            "mapper__x",
            "a b",
            "a:b",
        ] {
            assert!(
                matches!(device_node(port), Err(DeviceError::InvalidPort(_))),
                "{port}"
            );
        }
    }

    #[test]
    fn a_missing_node_and_another_file_are_errors() {
        assert_eq!(find_free_device("nosuchdevice"), Err(DeviceError::Missing));
        assert_eq!(
            find_free_device("null"),
            Err(DeviceError::NotABlockDevice("/dev/null".to_string()))
        );
    }
}
