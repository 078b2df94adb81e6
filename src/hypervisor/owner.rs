//! The user and group that root's libvirt runs QEMU as.
//!
//! By default, root's libvirt changes the owner of every image to its own user while a domain runs,
//! and back to root afterwards. That locks group qubes out of the images meanwhile, and for good
//! after a crash. So the domain XML states the user of QEMU and disables relabelling: a static DAC
//! label (libvirt's formatdomain documentation, "Security label").

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::User;

use super::description::QemuUser;

/// The QEMU users of distributions: Debian's, Fedora's.
const QEMU_USERS: [&str; 2] = ["libvirt-qemu", "qemu"];

const GROUP_READS_AND_WRITES: u32 = 0o060;

/// Returns the user and group that QEMU needs to use this image file: libvirt's own user in the
/// image's group if these can reach and write the image, else the image's owner. Not for block
/// devices, whose group may write to every disk.
///
/// # Errors
/// The metadata of the image cannot be read.
pub fn owner_for_image(image: &Path) -> io::Result<QemuUser> {
    let image = fs::canonicalize(image)?;
    let metadata = fs::metadata(&image)?;
    let image_owner = QemuUser {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    let group_can_write =
        metadata.gid() != 0 && metadata.mode() & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES;
    let qemu = QEMU_USERS
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    Ok(
        match qemu.map(|user| QemuUser {
            uid: user.uid.as_raw(),
            gid: metadata.gid(),
        }) {
            Some(qemu_in_group) if group_can_write && can_reach(qemu_in_group, &image) => {
                qemu_in_group
            }
            _ => image_owner,
        },
    )
}

/// Returns `owner` if it can open all `drives`, else root, which owns device nodes. A drive is the
/// path of a file or device of dom0, and whether it is writable.
pub fn owner_able_to_open<'a>(
    owner: QemuUser,
    drives: impl IntoIterator<Item = (&'a Path, bool)>,
) -> QemuUser {
    let can_use = |(path, writes): (&Path, bool)| {
        // If the metadata cannot be read, the start reports the error.
        fs::metadata(path).map_or(true, |metadata| {
            can_open(owner, &metadata, writes) && can_reach(owner, path)
        })
    };
    if drives.into_iter().all(can_use) {
        owner
    } else {
        QemuUser {
            uid: 0,
            gid: owner.gid,
        }
    }
}

fn can_open(owner: QemuUser, file: &Metadata, writes: bool) -> bool {
    let bits = if writes { 0o6 } else { 0o4 };
    let needed = match file {
        f if f.uid() == owner.uid => bits << 6,
        f if f.gid() == owner.gid => bits << 3,
        _ => bits,
    };
    file.mode() & needed == needed
}

/// Returns whether this user and group can search every directory above the image.
fn can_reach(owner: QemuUser, image: &Path) -> bool {
    image
        .ancestors()
        .skip(1)
        .all(|directory| fs::metadata(directory).is_ok_and(|m| can_search(owner, &m)))
}

fn can_search(owner: QemuUser, directory: &Metadata) -> bool {
    let bit = match directory {
        d if d.uid() == owner.uid => 0o100,
        d if d.gid() == owner.gid => 0o010,
        _ => 0o001,
    };
    directory.mode() & bit != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_owner_of_a_private_image_is_used() {
        let place = tempfile::tempdir().unwrap();
        // Else the mode depends on the umask.
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let image = place.path().join("private.img");
        fs::write(&image, "").unwrap();
        fs::set_permissions(&image, fs::Permissions::from_mode(0o600)).unwrap();
        let metadata = fs::metadata(&image).unwrap();
        let own = QemuUser {
            uid: metadata.uid(),
            gid: metadata.gid(),
        };
        assert_eq!(owner_for_image(&image).unwrap(), own);
        // The group can write to the image, but only the owner can search the directory (0700).
        fs::set_permissions(&image, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(owner_for_image(&image).unwrap(), own);
        assert!(owner_for_image(&place.path().join("missing.img")).is_err());
    }

    #[test]
    fn qemu_runs_as_root_if_the_owner_cannot_open_a_drive() {
        let place = tempfile::tempdir().unwrap();
        let drive = place.path().join("drive.img");
        fs::write(&drive, "").unwrap();
        let metadata = fs::metadata(&drive).unwrap();
        let owner = QemuUser {
            uid: metadata.uid() + 1,
            gid: metadata.gid(),
        };
        let root = QemuUser {
            uid: 0,
            gid: owner.gid,
        };
        let who = |place_mode, mode, writes| {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(place_mode)).unwrap();
            fs::set_permissions(&drive, fs::Permissions::from_mode(mode)).unwrap();
            owner_able_to_open(owner, [(drive.as_path(), writes)])
        };
        assert_eq!(who(0o750, 0o660, true), owner);
        assert_eq!(who(0o750, 0o640, false), owner);
        assert_eq!(who(0o750, 0o640, true), root, "it is writable");
        assert_eq!(
            who(0o700, 0o660, true),
            root,
            "only the owner can search its directory"
        );
        assert_eq!(owner_able_to_open(owner, []), owner);
    }

    #[test]
    fn a_directory_can_be_searched_by_owner_group_or_others() {
        let place = tempfile::tempdir().unwrap();
        let can = |mode, uid, gid| {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
            can_search(QemuUser { uid, gid }, &fs::metadata(place.path()).unwrap())
        };
        let (uid, gid) = (
            nix::unistd::geteuid().as_raw(),
            fs::metadata(place.path()).unwrap().gid(),
        );
        assert!(can(0o700, uid, gid + 1));
        assert!(!can(0o700, uid + 1, gid));
        assert!(can(0o710, uid + 1, gid));
        assert!(!can(0o710, uid + 1, gid + 1));
        assert!(can(0o711, uid + 1, gid + 1));
        assert!(
            !can(0o701, uid + 1, gid),
            "the group's bit counts for the group"
        );
    }
}
