//! Tests of links, names and kinds of files below a directory.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(place.at("pool/appvms/work")).unwrap();
        fs::create_dir_all(place.at("elsewhere/inner")).unwrap();
        fs::write(place.at("elsewhere/secret"), "secret").unwrap();
        fs::write(place.at("pool/appvms/work/private.img"), "data").unwrap();
        place
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn pool(&self, links: LinkPolicy) -> Directory {
        Directory::open(&self.at("pool"), links).unwrap()
    }
}

#[test]
fn no_link_is_followed_with_policy_never() {
    let place = Place::new();
    let pool = place.pool(LinkPolicy::Never);
    symlink(place.at("elsewhere"), place.at("pool/appvms/x")).unwrap();
    symlink(
        place.at("elsewhere/secret"),
        place.at("pool/appvms/work/linked.img"),
    )
    .unwrap();
    for path in ["appvms/x/secret", "appvms/work/linked.img"] {
        let path = Path::new(path);
        let error = pool.open_file(path, OpenMode::Read).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert!(pool.open_or_create(path, Access::shared(None)).is_err());
    }
    assert!(
        pool.create_file(Path::new("appvms/x/new"), Access::shared(None))
            .is_err()
    );
    assert!(!place.at("elsewhere/new").exists());
    assert!(
        pool.open_file(Path::new("appvms/work/private.img"), OpenMode::ReadWrite)
            .is_ok()
    );
    for out in [
        "../elsewhere/secret",
        "/etc/passwd",
        "appvms/../../elsewhere/secret",
    ] {
        assert!(
            pool.open_file(Path::new(out), OpenMode::Read).is_err(),
            "{out}"
        );
    }
}

#[test]
fn only_links_of_root_and_the_user_are_followed_with_policy_owned() {
    let place = Place::new();
    let pool = place.pool(LinkPolicy::Owned);
    symlink(place.at("elsewhere"), place.at("pool/appvms/x")).unwrap();
    symlink("../../elsewhere/inner", place.at("pool/appvms/y")).unwrap();
    assert!(
        pool.open_file(Path::new("appvms/x/secret"), OpenMode::Read)
            .is_ok()
    );
    assert!(
        pool.create_file(Path::new("appvms/y/new"), Access::shared(None))
            .is_ok()
    );
    assert!(place.at("elsewhere/inner/new").exists());
    symlink("loop", place.at("pool/loop")).unwrap();
    assert!(pool.open_file(Path::new("loop"), OpenMode::Read).is_err());
    if geteuid().is_root() {
        std::os::unix::fs::lchown(place.at("pool/appvms/x"), Some(4242), None).unwrap();
        let error = pool
            .open_file(Path::new("appvms/x/secret"), OpenMode::Read)
            .unwrap_err();
        assert!(
            error.to_string().contains("symbolic link of user 4242"),
            "{error}"
        );
    }
}

#[test]
fn paths_in_a_root_resolve_as_in_a_chroot() {
    let place = Place::new();
    symlink("/elsewhere", place.at("pool/absolute")).unwrap();
    symlink("../../../../elsewhere", place.at("pool/dots")).unwrap();
    for path in ["/pool/absolute", "/pool/dots", "/pool/../../../elsewhere"] {
        let found = Directory::open_in_root(place.dir.path(), Path::new(path), LinkPolicy::Owned);
        assert!(
            found
                .unwrap()
                .symlink_metadata(Path::new("secret"))
                .unwrap()
                .is_some(),
            "{path}"
        );
    }
    let pool = Directory::open_in_root(place.dir.path(), Path::new("/pool"), LinkPolicy::Owned);
    let pool = pool.unwrap();
    for path in ["absolute/secret", "dots/secret"] {
        assert!(
            pool.open_file(Path::new(path), OpenMode::Read).is_ok(),
            "{path}"
        );
    }
}

#[test]
fn only_regular_files_with_one_name_are_opened_without_blocking() {
    let place = Place::new();
    let pool = place.pool(LinkPolicy::Owned);
    nix::unistd::mkfifo(&place.at("pool/fifo"), Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(place.at("pool/socket")).unwrap();
    for name in ["fifo", "socket", "appvms"] {
        for used in [OpenMode::Read, OpenMode::Write, OpenMode::ReadWrite] {
            assert!(pool.open_file(Path::new(name), used).is_err(), "{name}");
        }
        assert!(
            pool.open_or_create(Path::new(name), Access::shared(None))
                .is_err()
        );
    }
    fs::hard_link(place.at("elsewhere/secret"), place.at("pool/second")).unwrap();
    let mode = || fs::metadata(place.at("elsewhere/secret")).unwrap().mode();
    let before = mode();
    assert!(pool.open_file(Path::new("second"), OpenMode::Read).is_ok());
    assert!(
        pool.open_owned_file(Path::new("second"), OpenMode::Read)
            .is_err()
    );
    assert!(
        pool.open_or_create(Path::new("second"), Access::shared(None))
            .is_err()
    );
    assert_eq!(mode(), before);
}

#[test]
fn replace_replaces_a_link_and_not_its_target() {
    let place = Place::new();
    let pool = place.pool(LinkPolicy::Never);
    symlink(place.at("elsewhere/secret"), place.at("pool/note")).unwrap();
    let written = pool.replace(Path::new("note"), Access::shared(None), |f| {
        f.write_all(b"ours")
    });
    written.unwrap();
    assert_eq!(fs::read(place.at("pool/note")).unwrap(), b"ours");
    assert!(!place.at("pool/note").is_symlink());
    assert_eq!(fs::read(place.at("elsewhere/secret")).unwrap(), b"secret");
    let failed = pool.replace(Path::new("note"), Access::shared(None), |_| {
        Err(io::Error::other("no"))
    });
    assert!(failed.is_err());
    assert_eq!(fs::read(place.at("pool/note")).unwrap(), b"ours");
    let mut names = pool.names().unwrap();
    names.sort();
    assert_eq!(names, ["appvms", "note"]);
}

#[test]
fn directories_are_created_once_and_removed_when_empty() {
    let place = Place::new();
    let pool = place.pool(LinkPolicy::Never);
    let make = |name: &str| pool.create_directory(Path::new(name), 0o2770, Access::shared(None));
    assert!(make("new").unwrap());
    assert!(!make("new").unwrap());
    assert_eq!(
        fs::metadata(place.at("pool/new"))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o2770
    );
    symlink(place.at("elsewhere"), place.at("pool/linked")).unwrap();
    assert!(make("linked").is_err());
    assert!(pool.remove_directory(Path::new("appvms")).is_err());
    assert!(pool.remove_directory(Path::new("new")).unwrap());
    assert!(!pool.remove_directory(Path::new("new")).unwrap());
    assert!(pool.remove_file(Path::new("linked")).unwrap());
    assert!(place.at("elsewhere/secret").exists());
}
