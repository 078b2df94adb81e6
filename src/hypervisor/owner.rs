//! Whom root's libvirt runs QEMU as.
//!
//! Left to itself, root's libvirt gives every image to its own user while a domain runs and back to
//! root afterwards: then group qubes is locked out of the images meanwhile, and a crash leaves them
//! that way. So we say whom QEMU is to be, and that the images are to be left alone (a static DAC
//! label, libvirt's formatdomain documentation, "Security label").

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::User;

use super::description::QemuUser;

/// The users that distributions run QEMU as: Debian's, Fedora's.
const QEMU_USERS: [&str; 2] = ["libvirt-qemu", "qemu"];

const GROUP_READS_AND_WRITES: u32 = 0o060;

/// Whom QEMU must be to use this image file: libvirt's own user in the image's group where that can
/// reach and write it, else the image's owner. Not for block devices: their group may write every
/// disk.
///
/// # Errors
/// The image cannot be looked at.
pub fn owner_for_image(image: &Path) -> io::Result<QemuUser> {
    let image = fs::canonicalize(image)?;
    let metadata = fs::metadata(&image)?;
    let images_own = QemuUser {
        uid: metadata.uid(),
        gid: metadata.gid(),
    };
    let group_may =
        metadata.gid() != 0 && metadata.mode() & GROUP_READS_AND_WRITES == GROUP_READS_AND_WRITES;
    let qemu = QEMU_USERS
        .iter()
        .find_map(|name| User::from_name(name).ok().flatten());
    Ok(
        match qemu.map(|user| QemuUser {
            uid: user.uid.as_raw(),
            gid: metadata.gid(),
        }) {
            Some(in_group) if group_may && reaches(in_group, &image) => in_group,
            _ => images_own,
        },
    )
}

/// The owner, if he can open these files and devices of dom0's, given with whether they are written
/// to; else root, whom the nodes of devices belong to.
pub fn owner_able_to_open<'a>(
    owner: QemuUser,
    drives: impl IntoIterator<Item = (&'a Path, bool)>,
) -> QemuUser {
    let opens = |(path, writes): (&Path, bool)| {
        // What cannot be looked at is told by the start.
        fs::metadata(path).map_or(true, |metadata| {
            may_open(owner, &metadata, writes) && reaches(owner, path)
        })
    };
    if drives.into_iter().all(opens) {
        owner
    } else {
        QemuUser {
            uid: 0,
            gid: owner.gid,
        }
    }
}

fn may_open(owner: QemuUser, file: &Metadata, writes: bool) -> bool {
    let bits = if writes { 0o6 } else { 0o4 };
    let wanted = match file {
        f if f.uid() == owner.uid => bits << 6,
        f if f.gid() == owner.gid => bits << 3,
        _ => bits,
    };
    file.mode() & wanted == wanted
}

/// Whether every directory on the way lets this user and group through.
fn reaches(owner: QemuUser, image: &Path) -> bool {
    image
        .ancestors()
        .skip(1)
        .all(|directory| fs::metadata(directory).is_ok_and(|m| may_search(owner, &m)))
}

fn may_search(owner: QemuUser, directory: &Metadata) -> bool {
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
    fn a_private_image_belongs_to_its_owner() {
        let place = tempfile::tempdir().unwrap();
        // Its mode would be up to the umask.
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
        // The group may write it, but the directory (0700) lets nobody else through.
        fs::set_permissions(&image, fs::Permissions::from_mode(0o660)).unwrap();
        assert_eq!(owner_for_image(&image).unwrap(), own);
        assert!(owner_for_image(&place.path().join("missing.img")).is_err());
    }

    #[test]
    fn a_drive_that_the_images_owner_cannot_open_makes_it_root() {
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
        assert_eq!(who(0o750, 0o640, true), root, "it is written to");
        assert_eq!(
            who(0o700, 0o660, true),
            root,
            "its directory lets nobody through"
        );
        assert_eq!(owner_able_to_open(owner, []), owner);
    }

    #[test]
    fn a_directory_lets_through_by_owner_group_or_all() {
        let place = tempfile::tempdir().unwrap();
        let lets = |mode, uid, gid| {
            fs::set_permissions(place.path(), fs::Permissions::from_mode(mode)).unwrap();
            may_search(QemuUser { uid, gid }, &fs::metadata(place.path()).unwrap())
        };
        let (uid, gid) = (
            nix::unistd::geteuid().as_raw(),
            fs::metadata(place.path()).unwrap().gid(),
        );
        assert!(lets(0o700, uid, gid + 1));
        assert!(!lets(0o700, uid + 1, gid));
        assert!(lets(0o710, uid + 1, gid));
        assert!(!lets(0o710, uid + 1, gid + 1));
        assert!(lets(0o711, uid + 1, gid + 1));
        assert!(
            !lets(0o701, uid + 1, gid),
            "the group's bit counts for the group"
        );
    }
}
