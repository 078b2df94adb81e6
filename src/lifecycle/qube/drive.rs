//! A drive: a CD or disk of dom0 that is attached for one start (`docs/spec/r4-tools.md`,
//! qvm-start) or to a running qube ([`crate::lifecycle::qube::attach`]), and not stored.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use crate::hypervisor::description::{BlockDevice, DeviceKind, SourceKind};
use crate::hypervisor::toolstack;
use crate::hypervisor::uri::Family;
use crate::lifecycle::LifecycleError;
use crate::model::VmName;

/// The image of the CD with the Windows tools, in dom0.
const WINDOWS_TOOLS: &str = "/usr/lib/qubes/qubes-windows-tools.iso";

/// A drive to attach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    kind: DeviceKind,
    backend: VmName,
    path: PathBuf,
}

impl Drive {
    /// Parses `[hd:|cdrom:]VM:PATH`; without a prefix the drive is of `kind`.
    ///
    /// # Errors
    /// The text has another form, or names another qube than dom0.
    pub fn parse(text: &str, kind: DeviceKind) -> Result<Drive, LifecycleError> {
        let (kind, place) = match text.split_once(':') {
            Some(("hd", rest)) => (DeviceKind::Disk, rest),
            Some(("cdrom", rest)) => (DeviceKind::Cdrom, rest),
            _ => (kind, text),
        };
        let refused = |reason: &str| LifecycleError::Drive {
            drive: text.to_string(),
            reason: reason.to_string(),
        };
        let (backend, path) = place
            .split_once(':')
            .ok_or_else(|| refused("expected [hd:|cdrom:]VM:PATH, as in dom0:/root/disk.iso"))?;
        let backend = VmName::from_store(backend).map_err(|e| refused(&e.to_string()))?;
        if !backend.is_dom0() {
            return Err(refused(
                "this version can attach only files and devices of dom0",
            ));
        }
        Ok(Drive {
            kind,
            backend,
            path: PathBuf::from(path),
        })
    }

    /// Returns the error that this drive cannot be used for `reason`.
    pub(in crate::lifecycle) fn error(&self, reason: &str) -> LifecycleError {
        LifecycleError::Drive {
            drive: self.path.display().to_string(),
            reason: reason.to_string(),
        }
    }

    /// Returns the CD with the Windows tools.
    pub fn windows_tools() -> Drive {
        Drive {
            kind: DeviceKind::Cdrom,
            backend: VmName::dom0(),
            path: PathBuf::from(WINDOWS_TOOLS),
        }
    }

    /// Returns the block device of the domain for this drive, with a name that ends in `letter`.
    ///
    /// # Errors
    /// The file or device does not exist.
    pub(in crate::lifecycle) fn block_device(
        &self,
        family: Family,
        letter: char,
    ) -> Result<BlockDevice, LifecycleError> {
        let metadata = fs::metadata(&self.path).map_err(|e| self.error(&e.to_string()))?;
        let source = if metadata.file_type().is_block_device() {
            SourceKind::Block
        } else {
            SourceKind::File
        };
        Ok(BlockDevice {
            source,
            path: fs::canonicalize(&self.path).map_err(|e| self.error(&e.to_string()))?,
            kind: self.kind,
            target: format!("xvd{letter}"),
            letter,
            read_only: self.kind == DeviceKind::Cdrom,
            backend: None,
            script: (family == Family::Xen)
                .then(toolstack::block_script)
                .flatten(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_has_a_kind_a_backend_and_a_path() {
        let parse = |text| Drive::parse(text, DeviceKind::Cdrom);
        let drive = parse("dom0:/a:b.iso").unwrap();
        assert_eq!(
            (drive.kind, drive.path),
            (DeviceKind::Cdrom, PathBuf::from("/a:b.iso"))
        );
        assert_eq!(parse("hd:dom0:/disk").unwrap().kind, DeviceKind::Disk);
        assert!(
            parse("/root/disk.iso")
                .unwrap_err()
                .to_string()
                .contains("[hd:|cdrom:]VM:PATH")
        );
        assert!(parse("sys-usb:sda").is_err());
    }
}
