//! Encrypts volumes with a key that exists only in the kernel while the mapping exists
//! (`docs/spec/r4-storage.md` §3). Once the mapping is closed, the image cannot be decrypted.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Attachment, LoopDevice, StorageError, Volume, VolumeKind, device_mapper};
use crate::exec::Program;

const LIMIT: Duration = Duration::from_secs(120);
/// The number of bytes to zero at the start of the disk, where programs look for a file system or a
/// partition table: they must not find random bytes.
const ZEROED: usize = 64 << 10;

/// Returns the name of the mapping over a volume's attachment; `None` for a volume that never has
/// one. `suffix` distinguishes the names of this store from those of the machine's.
pub fn mapping_name(volume: &Volume, attachment: &Attachment, suffix: &str) -> Option<String> {
    if volume.kind() != VolumeKind::Volatile || !volume.rw {
        return None;
    }
    match attachment {
        Attachment::Device(device) => Some(format!("{}@crypt", device.file_name()?.to_str()?)),
        Attachment::File(_) => {
            // udev makes paths of device names. Upstream escapes qube names in them like this.
            let qube = volume.owner.replace('_', "_u").replace('-', "_d");
            Some(format!("vm-volatile-{qube}-crypt@{}{suffix}", volume.name))
        }
        Attachment::None => None,
    }
}

/// Opens the mapping over the volume and returns its device.
pub fn open(
    volume: &Volume,
    attachment: &Attachment,
    mapping: &str,
) -> Result<PathBuf, StorageError> {
    let opened = open_over(attachment, mapping);
    opened.map_err(|error| {
        volume.refusal(format_args!(
            "cannot encrypt it with a throw-away key: {error}; set ephemeral (or the pool's \
             ephemeral_volatile) to False to start it unencrypted"
        ))
    })
}

fn open_over(attachment: &Attachment, mapping: &str) -> Result<PathBuf, StorageError> {
    match attachment {
        Attachment::Device(device) => encrypt(device, mapping)?,
        // The mapping keeps the loop device open, which is removed with it.
        Attachment::File(image) => encrypt(LoopDevice::attach(image, true)?.path(), mapping)?,
        Attachment::None => {
            return Err(StorageError::Refused("there is nothing to encrypt".into()));
        }
    }
    let device = device_mapper::device_path(mapping);
    let zeroed = File::options()
        .write(true)
        .open(&device)
        .and_then(|mut disk| {
            disk.write_all(&vec![0; ZEROED])?;
            disk.sync_all()
        });
    if let Err(error) = zeroed {
        // Report the first error. A mapping that stays is closed by the next start.
        let _stays = device_mapper::remove(mapping);
        return Err(StorageError::on("write", &device)(error));
    }
    Ok(device)
}

fn encrypt(device: &Path, mapping: &str) -> Result<(), StorageError> {
    device_mapper::require_available()?;
    Program::new("cryptsetup")
        .args([
            "open",
            "--batch-mode",
            "--type=plain",
            "--cipher=aes-xts-plain64",
            "--key-size=512",
        ])
        .args(["--key-file=/dev/urandom", "--"])
        .arg(device)
        .arg(mapping)
        .env("LC_ALL", "C.UTF-8")
        .timeout(LIMIT)
        .output()
        .map(drop)
        .map_err(|error| StorageError::Refused(error.to_string()))
}

/// Closes the mapping, if there is one, after giving those who have it open a moment. This destroys
/// the key.
pub fn close(volume: &Volume, mapping: &str) -> Result<(), StorageError> {
    device_mapper::remove_after_grace(volume, mapping, || device_mapper::remove(mapping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_has_the_name_that_upstream_gives_it() {
        let volume = |name: &str| Volume {
            owner: name.into(),
            name: "volatile".into(),
            save_on_stop: false,
            ..Volume::orphan("pool", "appvms/x/volatile")
        };
        let file = Attachment::File("/var/lib/qubes/appvms/x/volatile-dirty.img".into());
        let name = |owner: &str, suffix: &str| mapping_name(&volume(owner), &file, suffix);
        assert_eq!(name("work", "").unwrap(), "vm-volatile-work-crypt@volatile");
        assert_eq!(
            name("a_b-c", "").unwrap(),
            "vm-volatile-a_ub_dc-crypt@volatile"
        );
        assert_eq!(
            name("work", "-0123abcd").unwrap(),
            "vm-volatile-work-crypt@volatile-0123abcd"
        );
        let logical = Attachment::Device("/dev/mapper/dom0-vm--work--volatile".into());
        assert_eq!(
            mapping_name(&volume("work"), &logical, "").unwrap(),
            "dom0-vm--work--volatile@crypt"
        );
        let kept = Volume {
            save_on_stop: true,
            ..volume("work")
        };
        let kernel = Volume {
            rw: false,
            ..volume("work")
        };
        assert_eq!(
            (
                mapping_name(&kept, &file, ""),
                mapping_name(&kernel, &file, "")
            ),
            (None, None)
        );
    }
}
