//! The storage of a whole qube in pools of qubes.xml: operations apply to all volumes or to none.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use qubes::model::{Pool, Pools, TextMap};
use qubes::storage::{Attachment, PoolDrivers, StorageError, VmStorage, Volume, VolumeKind};
use qubes::system::{System, SystemOptions};
use qubes_test_support::tree::list_images;
use qubes_test_support::volumes;
use tempfile::TempDir;

/// A root directory with a pool that copies where blocks cannot be shared, a pool of kernels, and
/// unusable pools.
struct Place {
    root: TempDir,
    system: System,
    pools: Pools,
}

fn pool(attributes: &[(&str, &str)]) -> Pool {
    Pool {
        attributes: attributes.iter().copied().collect::<TextMap>(),
    }
}

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().unwrap();
        let kernel = root.path().join("var/lib/qubes/vm-kernels/6.1");
        fs::create_dir_all(&kernel).unwrap();
        fs::write(kernel.join("vmlinuz"), "kernel").unwrap();
        fs::write(kernel.join("modules.img"), "modules").unwrap();
        fs::create_dir(kernel.with_file_name("bare")).unwrap();
        fs::write(kernel.with_file_name("bare").join("vmlinuz"), "kernel").unwrap();
        let options = SystemOptions {
            root: Some(root.path().into()),
            ..SystemOptions::default()
        };
        let pools = Pools(vec![
            pool(&[
                ("name", "disks"),
                ("dir_path", "/var/lib/qubes"),
                ("driver", "file-reflink"),
                ("setup_check", "no"),
            ]),
            pool(&[
                ("name", "linux-kernel"),
                ("dir_path", "/var/lib/qubes/vm-kernels"),
                ("driver", "linux-kernel"),
            ]),
            pool(&[
                ("name", "lvm"),
                ("volume_group", "dom0"),
                ("driver", "lvm_thin"),
            ]),
            pool(&[
                ("name", "odd"),
                ("dir_path", "/x"),
                ("driver", "file-reflink"),
                ("setup_check", "perhaps"),
            ]),
            pool(&[("name", "nowhere"), ("driver", "file-reflink")]),
            pool(&[
                ("name", "many"),
                ("driver", "file"),
                ("dir_path", "/x"),
                ("revisions_to_keep", "2"),
            ]),
        ]);
        let place = Place {
            system: System::new(options).unwrap(),
            root,
            pools,
        };
        place.drivers().get("disks").unwrap().setup().unwrap();
        place
    }

    fn drivers(&self) -> PoolDrivers<'_> {
        PoolDrivers::new(&self.pools, &self.system)
    }

    fn storage(&self, qube: &str, volumes: Vec<Volume>) -> VmStorage {
        VmStorage::new(qube, volumes, &mut self.drivers()).unwrap()
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join("var/lib/qubes").join(inside)
    }

    /// Returns the names in a directory of the pool without the times of revisions.
    fn names(&self, inside: &str) -> Vec<String> {
        list_images(self.path(inside))
    }

    /// Creates a template that has been started and stopped once.
    fn template(&self) -> Vec<Volume> {
        let volumes = vec![
            volume("debian", "root", VolumeKind::Origin),
            volume("debian", "private", VolumeKind::Origin),
        ];
        let storage = self.storage("debian", volumes.clone());
        storage.create().unwrap();
        let _started = storage.start().unwrap();
        write(
            &self.path("vm-templates/debian/root-dirty.img"),
            "installed",
        );
        storage.stop().unwrap();
        volumes
    }
}

fn volume(qube: &str, name: &str, kind: VolumeKind) -> Volume {
    Volume {
        snap_on_start: kind == VolumeKind::Snapshot,
        save_on_stop: kind == VolumeKind::Origin,
        source: (kind == VolumeKind::Snapshot).then(|| format!("vm-templates/debian/{name}")),
        ..volumes::origin("disks", qube, name, 1 << 20)
    }
}

fn kernel(qube: &str, version: &str) -> Volume {
    Volume {
        pool: "linux-kernel".into(),
        vid: version.into(),
        rw: false,
        size: 0,
        ..volume(qube, "kernel", VolumeKind::Volatile)
    }
}

/// Returns the volumes of an AppVM in another order than that of its disks.
fn app(qube: &str) -> Vec<Volume> {
    vec![
        volume(qube, "extra", VolumeKind::Origin),
        kernel(qube, "6.1"),
        volume(qube, "volatile", VolumeKind::Volatile),
        volume(qube, "private", VolumeKind::Origin),
        volume(qube, "root", VolumeKind::Snapshot),
    ]
}

fn write(image: &Path, text: &str) {
    File::options()
        .write(true)
        .open(image)
        .unwrap()
        .write_all_at(text.as_bytes(), 0)
        .unwrap();
}

fn text(image: &Path, length: usize) -> String {
    let mut bytes = vec![0; length];
    File::open(image)
        .unwrap()
        .read_exact_at(&mut bytes, 0)
        .unwrap();
    String::from_utf8(bytes).unwrap()
}

fn line<T: std::fmt::Debug>(result: Result<T, StorageError>) -> String {
    let text = result.unwrap_err().to_string();
    assert!(!text.contains('\n'), "{text}");
    text
}

#[test]
fn disks_are_in_the_order_of_their_letters() {
    let place = Place::new();
    place.template();
    let work = place.storage("work", app("work"));
    work.create().unwrap();
    work.verify().unwrap();
    let _started = work.start().unwrap();
    assert!(work.is_dirty().unwrap());
    let disks: Vec<_> = work
        .attachments()
        .unwrap()
        .into_iter()
        .map(|(volume, attachment)| (volume.name.clone(), attachment, volume.rw))
        .collect();
    let image = |name: &str| Attachment::File(place.path(&format!("appvms/work/{name}-dirty.img")));
    let expected = [
        ("root".to_string(), image("root"), true),
        ("private".into(), image("private"), true),
        ("volatile".into(), image("volatile"), true),
        (
            "kernel".into(),
            Attachment::File(place.path("vm-kernels/6.1/modules.img")),
            false,
        ),
        ("extra".into(), image("extra"), true),
    ];
    assert_eq!(disks, expected);
    assert_eq!(
        text(&place.path("appvms/work/root-dirty.img"), 9),
        "installed"
    );
    work.stop().unwrap();
    assert!(!work.is_dirty().unwrap());
    work.remove(&Default::default()).unwrap();
    assert!(
        !place.path("appvms/work").exists() && place.path("vm-kernels/6.1/modules.img").exists()
    );
    let gone = line(work.start());
    assert!(
        gone.starts_with("volume work:private: image ") && gone.ends_with("private.img is missing"),
        "{gone}"
    );
}

#[test]
fn a_failed_or_rolled_back_start_makes_no_revision() {
    let place = Place::new();
    place.template();
    let work = place.storage("work", app("work"));
    work.create().unwrap();
    for text in ["one", "two"] {
        let _started = work.start().unwrap();
        write(&place.path("appvms/work/private-dirty.img"), text);
        work.stop().unwrap();
    }
    let halted = place.names("appvms/work");
    assert!(halted.contains(&"private.img.2".to_string()), "{halted:?}");

    let started = work.start().unwrap();
    work.roll_back(&started).unwrap();
    assert_eq!(place.names("appvms/work"), halted);

    let broken = [
        app("work"),
        vec![volume("work", "zoo", VolumeKind::Snapshot)],
    ]
    .concat();
    let error = line(place.storage("work", broken).start());
    assert!(
        error.starts_with("volume work:zoo: its source ") && error.ends_with("zoo.img is missing"),
        "{error}"
    );
    assert_eq!(place.names("appvms/work"), halted);

    // The data that a crash has left dirty stay.
    let _crashed = work.start().unwrap();
    write(&place.path("appvms/work/private-dirty.img"), "six");
    let started = work.start().unwrap();
    work.roll_back(&started).unwrap();
    assert_eq!(text(&place.path("appvms/work/private-dirty.img"), 3), "six");
    work.stop().unwrap();
    assert_eq!(text(&place.path("appvms/work/private.img"), 3), "six");
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let place = Place::new();
    let astray = Volume {
        vid: "../../etc/extra".into(),
        ..volume("work", "extra", VolumeKind::Origin)
    };
    let volumes = vec![volume("work", "private", VolumeKind::Origin), astray];
    let error = line(place.storage("work", volumes).create());
    assert!(
        error.contains("volume id '../../etc/extra' does not name a file inside "),
        "{error}"
    );
    assert!(!place.path("appvms/work").exists());
}

#[test]
fn a_clone_has_the_committed_data() {
    let place = Place::new();
    let volumes = place.template();
    let source = place.storage("debian", volumes.clone());
    let _running = source.start().unwrap();
    write(
        &place.path("vm-templates/debian/root-dirty.img"),
        "unfinished",
    );
    let own = |v: Volume| Volume {
        vid: v.vid.replace("debian", "copy"),
        owner: "copy".into(),
        ..v
    };
    let copy = place.storage("copy", volumes.into_iter().map(own).collect());
    // Files that a crash has left under the name belong to no qube and do not become a revision of
    // the clone.
    copy.create().unwrap();
    write(&place.path("vm-templates/copy/root.img"), "another's");
    copy.create_from(
        &source.open_committed_data().unwrap(),
        &qubes::storage::NoProgress,
    )
    .unwrap();
    assert_eq!(
        text(&place.path("vm-templates/copy/root.img"), 9),
        "installed"
    );
    let images = [
        "private-precache.img",
        "private.img",
        "root-precache.img",
        "root.img",
    ];
    assert_eq!(place.names("vm-templates/copy"), images);
    assert!(!copy.is_dirty().unwrap());
}

#[test]
fn an_ephemeral_volume_is_never_started_unencrypted() {
    let place = Place::new();
    if qubes::storage::has_device_mapper() {
        // Where encryption works, the tests in the lab check it.
        return;
    }
    let secret = Volume {
        ephemeral: true,
        ..volume("work", "volatile", VolumeKind::Volatile)
    };
    let work = place.storage(
        "work",
        vec![volume("work", "private", VolumeKind::Origin), secret],
    );
    work.create().unwrap();
    let error = line(work.start());
    assert!(
        error.starts_with("volume work:volatile: cannot encrypt it with a throw-away key: "),
        "{error}"
    );
    assert!(
        error.ends_with(
            "set ephemeral (or the pool's ephemeral_volatile) to False to start it unencrypted"
        ),
        "{error}"
    );
    assert_eq!(
        place.names("appvms/work"),
        ["private-precache.img", "private.img"]
    );
}

#[test]
fn an_unusable_pool_is_reported_and_does_not_affect_others() {
    let place = Place::new();
    let mut drivers = place.drivers();
    for (name, expected) in [
        ("lvm", "pool lvm: option thin_pool is missing"),
        (
            "odd",
            "pool odd: setup_check 'perhaps' is neither yes nor no",
        ),
        ("nowhere", "pool nowhere: option dir_path is missing"),
        ("new", "pool 'new' does not exist"),
        (
            "many",
            "pool many: driver 'file' keeps one revision at most, and revisions_to_keep is '2'; \
             set it to 1, 0 or -1",
        ),
    ] {
        assert_eq!(line(drivers.get(name).map(|_| ())), expected);
    }
    assert!(
        drivers
            .get("disks")
            .unwrap()
            .capacity()
            .unwrap()
            .is_some_and(|(size, used)| size >= used && used > 0)
    );
    let elsewhere = Volume {
        pool: "lvm".into(),
        ..volume("work", "root", VolumeKind::Origin)
    };
    let error = line(VmStorage::new("work", vec![elsewhere], &mut drivers).map(|_| ()));
    assert!(error.starts_with("volume work:root: pool lvm: "), "{error}");
}

#[test]
fn kernels_are_read_only() {
    let place = Place::new();
    let driver = place.drivers().get("linux-kernel").unwrap();
    assert_eq!(driver.volume_ids().unwrap(), ["6.1", "bare"]);
    let (installed, bare, own) = (
        kernel("work", "6.1"),
        kernel("work", "bare"),
        kernel("work", ""),
    );
    assert_eq!(
        (
            driver.size(&installed).unwrap(),
            driver.size(&bare).unwrap()
        ),
        (7, 0)
    );
    for without in [&bare, &own] {
        driver.verify(without).unwrap();
        assert_eq!(driver.attachment(without).unwrap(), Attachment::None);
    }
    let missing = line(driver.verify(&kernel("work", "9.9")));
    assert!(
        missing.starts_with("volume work:kernel: kernel 9.9 is not installed ("),
        "{missing}"
    );
    let astray = line(driver.attachment(&kernel("work", "../../../etc")));
    assert_eq!(
        astray,
        "volume work:kernel: '../../../etc' is not a kernel version"
    );
    let fixed = line(driver.resize(&installed, 1));
    assert_eq!(
        fixed,
        "volume work:kernel: kernels in pool linux-kernel are read-only and cannot be resized"
    );
    driver.remove(&installed).unwrap();
    assert_eq!(
        driver.export(&installed).unwrap(),
        place.path("vm-kernels/6.1/modules.img")
    );
}
