//! Changes of pools and volumes, decided without a disk: uses of a pool, limits of a release, and
//! limits of a running qube.

use qubes::model::rules::{pool_change, volume_change};
use qubes::model::{Draft, NewPool, PoolUse, PowerState, Qubes, Release, VolumeOption, volume};
use qubes_test_support::SampleHost;

use crate::sample::small;

fn running(names: &[&str]) -> SampleHost {
    let states = names
        .iter()
        .map(|name| (name.to_string(), PowerState::Running))
        .collect();
    SampleHost {
        states,
        ..SampleHost::default()
    }
}

fn set(
    qubes: &mut Draft,
    volume: &str,
    option: &str,
    text: &str,
    host: &SampleHost,
) -> Result<(), String> {
    let (vm, volume) = volume.split_once(':').unwrap();
    let vm = qubes.get(vm).unwrap().clone();
    let option = VolumeOption::parse(option).map_err(|e| e.to_string())?;
    volume_change::set_option(qubes, &vm, volume, option, text, host)
        .map(drop)
        .map_err(|e| e.to_string())
}

fn attribute(qubes: &Qubes, vm: &str, volume: &str, attribute: &str) -> Option<String> {
    qubes
        .get(vm)
        .unwrap()
        .volume(volume)
        .unwrap()
        .attributes
        .get(attribute)
        .map(String::from)
}

#[test]
fn snapshots_are_enabled_or_disabled_only_while_no_qube_uses_them() {
    let mut qubes = small();
    let nobody = SampleHost::default();
    assert_eq!(
        set(
            &mut qubes,
            "default-dvm:private",
            "revisions_to_keep",
            "-1",
            &running(&["sys-usb"])
        )
        .unwrap_err(),
        "default-dvm:private: revisions_to_keep can be set to or from -1 (no snapshots) only while no \
         disposable of default-dvm runs, and sys-usb does"
    );
    set(
        &mut qubes,
        "default-dvm:private",
        "revisions_to_keep",
        "0",
        &running(&["default-dvm", "sys-usb"]),
    )
    .unwrap();
    set(
        &mut qubes,
        "default-dvm:private",
        "revisions_to_keep",
        "-1",
        &nobody,
    )
    .unwrap();
    assert_eq!(
        set(
            &mut qubes,
            "default-dvm:private",
            "revisions_to_keep",
            "1",
            &running(&["default-dvm"])
        )
        .unwrap_err(),
        "default-dvm:private: revisions_to_keep to or from -1 (no snapshots) can be changed only while \
         default-dvm is halted, and it is Running"
    );
    // For a volume whose changes are not kept the option has no meaning, so it can be set while the
    // qube runs.
    set(
        &mut qubes,
        "work:volatile",
        "revisions_to_keep",
        "-1",
        &running(&["work"]),
    )
    .unwrap();
    assert_eq!(
        set(
            &mut qubes,
            "default-dvm:private",
            "revisions_to_keep",
            "2",
            &nobody
        )
        .unwrap_err(),
        "default-dvm:private: revisions_to_keep '2' is more than the 1 that the pool's driver can keep"
    );
}

#[test]
fn options_that_the_release_does_not_support_are_refused() {
    let mut qubes = small();
    let r40 = SampleHost {
        release: Release::R4_0,
        ..SampleHost::default()
    };
    let r42 = SampleHost {
        release: Release::R4_2,
        ..SampleHost::default()
    };
    let refused = set(&mut qubes, "work:private", "revisions_to_keep", "-1", &r42).unwrap_err();
    assert!(
        refused.ends_with(
            "revisions_to_keep -1 is not supported by Qubes OS 4.2, for which the store is written"
        ),
        "{refused}"
    );
    let refused = set(&mut qubes, "work:volatile", "ephemeral", "True", &r40).unwrap_err();
    assert!(
        refused.ends_with(
            "ephemeral is not supported by Qubes OS 4.0, for which the store is written"
        ),
        "{refused}"
    );
    let new = NewPool {
        name: "new",
        driver: "lvm_thin",
        options: &[
            ("volume_group", "vg"),
            ("thin_pool", "p"),
            ("ephemeral_volatile", "1"),
        ],
    };
    assert!(
        pool_change::plan(&qubes, &new, &r40)
            .unwrap_err()
            .to_string()
            .contains("is not supported by Qubes OS 4.0")
    );
    assert!(pool_change::plan(&qubes, &new, &r42).is_ok());
}

#[test]
fn an_explicit_ephemeral_is_stored_regardless_of_the_pool() {
    let mut qubes = small();
    let host = SampleHost::default();
    // slow-hdd encrypts volatile volumes.
    let of = |qubes: &Qubes| {
        volume::resolve(
            qubes,
            qubes.get("win10").unwrap(),
            "volatile",
            &SampleHost::default(),
        )
        .unwrap()
        .ephemeral
    };
    assert!(of(&qubes));
    set(&mut qubes, "win10:volatile", "ephemeral", "off", &host).unwrap();
    assert_eq!(
        (
            attribute(&qubes, "win10", "volatile", "ephemeral").as_deref(),
            of(&qubes)
        ),
        (Some("False"), false)
    );
    set(&mut qubes, "work:volatile", "ephemeral", "off", &host).unwrap();
    // An explicit False is stored regardless of the pool.
    assert_eq!(
        attribute(&qubes, "work", "volatile", "ephemeral").as_deref(),
        Some("False")
    );
    let refused = set(
        &mut qubes,
        "work:volatile",
        "ephemeral",
        "on",
        &running(&["work"]),
    )
    .unwrap_err();
    assert_eq!(
        refused,
        "work:volatile: ephemeral can be changed only while work is halted, and it is Running"
    );
}

#[test]
fn all_uses_of_a_pool_are_listed() {
    let qubes = small();
    let host = SampleHost::default();
    let volume = |vm: &str, volume: &str| PoolUse::Volume {
        vm: vm.into(),
        volume: volume.into(),
    };
    assert_eq!(
        pool_change::find_uses(&qubes, "vm-pool", &host),
        [volume("work", "private"), volume("work", "volatile")]
    );
    assert_eq!(
        pool_change::find_uses(&qubes, "reflinked", &host),
        [volume("vault", "private")]
    );
    assert_eq!(
        pool_change::find_uses(&qubes, "linux-kernel", &host)[0],
        PoolUse::Default {
            property: "default_pool_kernel"
        }
    );
    let main = pool_change::find_uses(&qubes, "varlibqubes", &host);
    assert!(
        main.contains(&PoolUse::Default {
            property: "default_pool"
        }),
        "{main:?}"
    );
    assert!(
        main.contains(&volume("work", "root")),
        "a snapshot is where its source is"
    );
    assert_eq!(pool_change::find_uses(&qubes, "nosuch", &host), []);
}

#[test]
fn setting_an_option_of_a_default_volume_stores_its_complete_configuration() {
    let mut qubes = small();
    let host = SampleHost::default();
    let before = volume::resolve(&qubes, qubes.get("work").unwrap(), "root", &host).unwrap();
    qubes
        .unchecked()
        .edit("work")
        .unwrap()
        .volumes
        .retain(|volume| volume.name() != "root");
    let vm = qubes.get("work").unwrap().clone();
    volume_change::set_size(&mut qubes, &vm, "root", 5 << 30, &host).unwrap();
    let after = volume::resolve(&qubes, qubes.get("work").unwrap(), "root", &host).unwrap();
    assert_eq!(
        (after.size, &after.source, &after.pool),
        (5 << 30, &before.source, &before.pool)
    );
    let own = qubes.get("work").unwrap().volume("root").unwrap();
    let names: Vec<&str> = own.attributes.names().collect();
    assert_eq!(
        names,
        [
            "name",
            "pool",
            "vid",
            "revisions_to_keep",
            "rw",
            "snap_on_start",
            "size",
            "source"
        ]
    );
}
