//! The images of the old system become the volumes of the new one, and stay where they are.

use std::fs;

use qubes::format;
use qubes::model::{Vm, VmName};

use crate::old_system::{OldSystem, PRIVATE_SIZE, ROOT_SIZE};

fn volume<'v>(vm: &'v Vm, name: &str, attribute: &str) -> Option<&'v str> {
    vm.volume(name)?.attributes.get(attribute)
}

#[test]
fn volumes_have_the_size_of_existing_images() {
    let system = OldSystem::with_images();
    system.create_image("appvms/work/volatile.img", 7 << 20);
    system.succeeds("qubes-db convert");
    let qubes = format::read(fs::read(system.store_file()).unwrap()).unwrap();
    let (private, root) = (PRIVATE_SIZE.to_string(), ROOT_SIZE.to_string());
    for vm in qubes.iter().filter(|vm| vm.name != VmName::dom0()) {
        let names: Vec<&str> = vm.volumes.iter().map(|v| v.name()).collect();
        assert_eq!(
            names,
            ["root", "private", "volatile", "kernel"],
            "{}",
            vm.name
        );
        assert_eq!(
            volume(vm, "private", "size"),
            Some(&*private),
            "{}",
            vm.name
        );
        assert_eq!(
            volume(vm, "root", "size"),
            Some(&*root),
            "{}: its template's",
            vm.name
        );
        for own in vm
            .volumes
            .iter()
            .filter(|v| v.attributes.get("save_on_stop").is_some())
        {
            let image = format!("{}.img", own.attributes.get("vid").unwrap());
            assert!(system.base().join(&image).is_file(), "{image}");
        }
        assert!(
            !vm.volumes
                .iter()
                .any(|v| v.attributes.iter().any(|(_, text)| text == "False")),
            "{}",
            vm.name
        );
    }
    let work = qubes.get("work").unwrap();
    assert_eq!(volume(work, "volatile", "size"), Some("7340032"));
    assert_eq!(
        volume(work, "root", "source"),
        Some("vm-templates/fedora-23/root")
    );
    let net = qubes.get("sys-net").unwrap();
    assert_eq!(
        volume(net, "private", "vid"),
        Some("servicevms/sys-net/private"),
        "left where it lies"
    );
    assert!(
        system.base().join("appvms/sys-net").is_dir(),
        "where R4 looks for its other files"
    );
    let pool = qubes.pools.get("varlibqubes").unwrap();
    assert_eq!(
        (pool.driver(), pool.option("dir_path")),
        ("file-reflink", Some("/var/lib/qubes"))
    );
}

#[test]
fn missing_images_are_reported_in_one_line() {
    let system = OldSystem::with_images();
    fs::remove_file(system.base().join("appvms/work/private.img")).unwrap();
    let ran = system.run("qubes-db convert");
    let line = format!(
        "{}: the usual size is assumed for images that do not exist: {}",
        system.store_file().display(),
        system.base().join("appvms/work/private.img").display()
    );
    assert!(
        ran.stderr.lines().any(|l| l == line),
        "{line}\nis not in\n{}",
        ran.stderr
    );
    system.assert_sound("without an image");
}

#[test]
fn pools_of_storage_conf_are_imported() {
    let text = String::from_utf8(OldSystem::from_sample("saved.xml").before).unwrap();
    let moved = text
        .replace(
            r#"name="work" netvm_qid="none" pci_e820_host="True" pci_strictreset="True" pcidevs="[]" pool_name="default""#,
            r#"name="work" netvm_qid="none" pci_e820_host="True" pci_strictreset="True" pcidevs="[]" pool_name="big""#,
        )
        .replace("/var/lib/qubes/appvms/work", "/mnt/big/appvms/work")
        .replace(
            r#"name="vault" netvm_qid="none" pci_e820_host="True" pci_strictreset="True" pcidevs="[]" pool_name="default""#,
            r#"name="vault" netvm_qid="none" pci_e820_host="True" pci_strictreset="True" pcidevs="[]" pool_name="derived""#,
        )
        .replace("/var/lib/qubes/appvms/vault", "/mnt/derived/appvms/vault");
    let system = OldSystem::new(moved.as_bytes());
    let conf = "[default]\ndriver=xen\n\n[big]\ndriver=xen\ndir_path=/mnt/big\n\n[unused]\
        \ndriver=xen\ndir_path=/mnt/unused/\n";
    fs::write(system.root().join("etc/qubes/storage.conf"), conf).unwrap();
    let image = system.root().join("mnt/big/appvms/work/private.img");
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    fs::File::create(&image)
        .unwrap()
        .set_len(PRIVATE_SIZE)
        .unwrap();
    system.succeeds("qubes-db convert");
    system.assert_sound("with pools");
    let qubes = format::read(fs::read(system.store_file()).unwrap()).unwrap();
    let pools: Vec<_> = qubes
        .pools
        .iter()
        .map(|p| (p.name(), p.option("dir_path").unwrap_or_default()))
        .collect();
    assert_eq!(
        pools,
        [
            ("varlibqubes", "/var/lib/qubes"),
            ("linux-kernel", "/var/lib/qubes/vm-kernels"),
            ("big", "/mnt/big"),
            ("unused", "/mnt/unused"),
            ("derived", "/mnt/derived"),
        ]
    );
    let work = qubes.get("work").unwrap();
    assert_eq!(
        (
            volume(work, "private", "pool"),
            volume(work, "private", "size")
        ),
        (Some("big"), Some("3145728"))
    );
    assert_eq!(
        volume(work, "root", "pool"),
        Some("varlibqubes"),
        "a snapshot lies where its source does"
    );
    assert_eq!(
        volume(qubes.get("vault").unwrap(), "private", "vid"),
        Some("appvms/vault/private")
    );
}

#[test]
fn a_copy_of_the_store_never_deletes_images_of_the_original() {
    let system = OldSystem::with_images();
    let (work, copy) = (
        system.base().join("appvms/work/private.img"),
        system.root().join("try.xml"),
    );
    fs::write(&work, "of the old system").unwrap();
    fs::copy(system.store_file(), &copy).unwrap();
    let with_copy =
        |tool: &str, rest: &str| system.run(format!("{tool} --qubesxml {} {rest}", copy.display()));
    let converted = with_copy("qubes-db", "convert");
    assert_eq!(converted.code, 0, "{converted:?}");

    let removed = with_copy("qvm-remove", "-f work");
    let words = format!(
        "{} stays: it belongs to volume work:private of {}",
        work.display(),
        system.store_file().display()
    );
    assert!(
        removed.code == 0 && removed.stderr.contains(&words),
        "{removed:?}"
    );
    let recovered = with_copy("qubes-recover", "--remove-orphans --yes");
    assert!(work.exists() && recovered.code == 0, "{recovered:?}");
    assert!(system.is_old(), "it is read, not converted");
    for image in [
        "appvms/vault/private.img",
        "servicevms/sys-net/private.img",
        "vm-templates/fedora-23/root.img",
    ] {
        assert!(system.base().join(image).exists(), "{image}");
    }
}
