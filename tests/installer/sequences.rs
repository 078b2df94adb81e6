//! The command lines of installers and packages, run unchanged (`docs/spec/installer.md`).

use std::fs;

use qubes::tools;
use qubes_test_support::tree;

use crate::place::{Installer, Where};

/// Tools that do not exist yet. Their lines are skipped.
const MISSING_TOOLS: [&str; 2] = ["qvm-pci", "qvm-template"];

#[test]
fn the_tools_whose_lines_are_skipped_do_not_exist_yet() {
    for tool in MISSING_TOOLS {
        let found = tools::multicall::find(tool).is_some();
        assert!(
            !found,
            "{tool} exists now: take it out of MISSING_TOOLS, so that its lines in the sequences \
             are run"
        );
    }
}

/// Runs the lines of a sequence. Each must succeed without messages.
fn run(installer: &Installer, lines: &str) {
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let tool = line.split_whitespace().next().unwrap();
        if !MISSING_TOOLS.contains(&tool) {
            installer.ok(line);
        }
    }
}

/// Installs the core's, the kernel's and the template's packages of R3 as their scripts do. The
/// default kernel is set only by the kernel's own script, which is not ours.
fn install_packages_of_r3(installer: &Installer, template: &str) {
    installer.ok("qvm-init-storage");
    assert_eq!(
        installer.fails("qvm-init-storage"),
        "Storage exists, not overwriting.\n"
    );
    installer.install_kernel("4.9.56-21");
    installer.install_kernel("4.14.18-1");
    unpack_template(installer, template);
    installer.ok(&format!("qvm-add-template --rpm {template}"));
}

/// Does what the package manager does before any script runs.
fn unpack_template(installer: &Installer, template: &str) {
    let directory = installer.path("/var/lib/qubes/vm-templates").join(template);
    fs::create_dir_all(&directory).unwrap();
    let image = fs::File::create(directory.join("root.img")).unwrap();
    image.set_len(10 << 30).unwrap();
    fs::write(
        directory.join("whitelisted-appmenus.list"),
        "firefox.desktop\nxterm.desktop\n",
    )
    .unwrap();
    fs::write(directory.join("clean-volatile.img.tar"), "not ours").unwrap();
    // With the permissions that packages set.
    fs::set_permissions(
        &directory,
        std::os::unix::fs::PermissionsExt::from_mode(0o2770),
    )
    .unwrap();
    if installer.is_inside() {
        for path in [directory.clone(), directory.join("root.img")] {
            std::os::unix::fs::chown(path, None, Some(crate::place::QUBES)).unwrap();
        }
        let modes = std::os::unix::fs::PermissionsExt::from_mode(0o660);
        fs::set_permissions(directory.join("root.img"), modes).unwrap();
    }
}

const LIVE_IMAGE_OF_R3: &str = "
    qubes-prefs -s default-template fedora-23
    qvm-create  --offline-mode --force-root --net --label red sys-net
    qvm-create  --offline-mode --force-root --proxy --label green sys-firewall
    qvm-prefs   --offline-mode --force-root --set sys-firewall netvm sys-net
    qubes-prefs --set default-netvm sys-firewall
    qvm-create  --offline-mode --force-root work --label green
    qvm-create  --offline-mode --force-root personal --label yellow
    qvm-create  --offline-mode --force-root untrusted --label red
    qvm-create  --offline-mode --force-root fedora-23-dvm --label gray --internal
    qubes-set-updates --offline-mode disable";

#[test]
fn the_live_image_of_r3_is_built() {
    for installer in Installer::everywhere() {
        install_packages_of_r3(&installer, "fedora-23");
        run(&installer, LIVE_IMAGE_OF_R3);
        assert_eq!(
            installer.ok("qubes-prefs default_kernel"),
            "4.14.18-1\n",
            "the newest, as nobody chose one"
        );
        assert_eq!(installer.prefs("sys-net", "provides_network"), "True");
        assert_eq!(
            installer.ok("qvm-prefs --hide-default sys-net netvm"),
            "",
            "a netvm of its own: none"
        );
        assert_eq!(installer.prefs("sys-firewall", "provides_network"), "True");
        assert_eq!(installer.prefs("sys-firewall", "netvm"), "sys-net");
        assert_eq!(installer.prefs("untrusted", "netvm"), "sys-firewall");
        assert_eq!(
            installer.ok("qvm-ls --offline-mode --raw-list --internal y"),
            "fedora-23-dvm\n"
        );
        assert_eq!(
            installer.ok("qubes-set-updates --offline-mode status"),
            "dom0: disabled\nvms: disabled\n"
        );
        assert!(
            installer
                .path("/var/lib/qubes/updates/disable-updates")
                .exists()
        );
        installer.ok("qvm-create --offline-mode --force-root later --label red");
        assert_eq!(
            installer.ok("qvm-features later check-updates"),
            "\n",
            "also who comes later does not look"
        );
        assert_eq!(installer.prefs("fedora-23", "installed_by_rpm"), "True");
        assert_eq!(
            installer.ok("qvm-features fedora-23 menu-items"),
            "firefox.desktop xterm.desktop\n"
        );
        installer.check_system();

        // At each boot of the live system.
        run(
            &installer,
            "qvm-prefs --offline-mode -s sys-net pcidevs '[]'
             qvm-pci --offline-mode -a sys-net 00:19.0",
        );
        installer.ok(r#"qvm-prefs --offline-mode -s sys-net pcidevs '["00:19.0", "03:00.0"]'"#);
        assert_eq!(
            installer.prefs("sys-net", "pcidevs"),
            "['00:19.0', '03:00.0']"
        );
        assert_eq!(
            installer.prefs("sys-net", "virt_mode"),
            "hvm",
            "as R4 has it for a qube with devices"
        );
        installer.ok("qvm-prefs --offline-mode -s sys-net pcidevs '[]'");
        assert_eq!(installer.prefs("sys-net", "pcidevs"), "[]");
        installer.check_system();
    }
}

#[test]
fn the_first_boot_of_r3_runs() {
    for installer in Installer::everywhere() {
        install_packages_of_r3(&installer, "fedora-23");
        run(&installer, LIVE_IMAGE_OF_R3);
        run(
            &installer,
            "qubes-prefs --set default-template fedora-23
             qvm-create-default-dvm --default-template --default-script
             qvm-prefs --force-root --set sys-firewall netvm sys-net
             qubes-prefs --set default-netvm sys-firewall
             qubes-prefs --set updatevm sys-firewall
             qubes-prefs --set clockvm sys-net
             qvm-shutdown --offline-mode --wait fedora-23",
        );
        assert_eq!(installer.ok("qubes-prefs --get updatevm"), "sys-firewall\n");
        // The two lines that need a hypervisor report that.
        for line in [
            "qvm-start --no-guid fedora-23",
            "qvm-shutdown --wait fedora-23",
        ] {
            let said = installer.fails(line);
            assert!(
                said.contains(": fedora-23: libvirt is not installed"),
                "{line}: {said}"
            );
        }
        installer.check_system();
    }
}

#[test]
fn the_template_package_of_r3_installs() {
    for installer in Installer::everywhere() {
        install_packages_of_r3(&installer, "fedora-23");
        // The scripts run commands as the first member of group qubes instead of root, if there is
        // one.
        unpack_template(&installer, "debian-8");
        let line = "qvm-add-template --rpm debian-8";
        let added = if installer.is_inside() {
            installer.run_as_member(line)
        } else {
            installer.run(line)
        };
        assert_eq!(
            (added.code, &*added.stdout, &*added.stderr),
            (0, "", ""),
            "{:?}",
            installer.place()
        );
        assert_eq!(installer.prefs("debian-8", "klass"), "TemplateVM");
        assert_eq!(installer.prefs("debian-8", "label"), "black");
        let line = installer.fails("qvm-add-template --rpm debian-8");
        assert!(line.ends_with("Qube already exists: debian-8\n"), "{line}");
        run(
            &installer,
            "qvm-template-commit --offline-mode debian-8
             qvm-template-commit debian-8
             qvm-prefs --force-root -s debian-8 netvm none",
        );
        assert_eq!(installer.prefs("debian-8", "netvm"), "");
        run(
            &installer,
            "qvm-shutdown --offline-mode --wait debian-8\nqvm-prefs --force-root -s debian-8 \
             netvm default",
        );
        assert_eq!(installer.ok("qvm-prefs --hide-default debian-8 netvm"), "");

        // A qube based on an R3 template can be created, and has its root volume.
        installer.ok("qvm-create --offline-mode --force-root -t debian-8 -l red work");
        let before = fs::read(installer.path("/var/lib/qubes/qubes.xml")).unwrap();
        let gone = installer.run("qvm-remove --force-root -q debian-8-dvm");
        assert!(
            gone.code != 0 && gone.stdout.is_empty(),
            "it may not exist: {gone:?}"
        );
        let kept = installer.run("qvm-remove --force-root -q --just-db debian-8");
        assert_eq!(
            (kept.code, &*kept.stdout),
            (1, ""),
            "a qube uses it: {kept:?}"
        );
        assert!(kept.stderr.contains(" - template for work\n"), "{kept:?}");
        assert!(fs::read(installer.path("/var/lib/qubes/qubes.xml")).unwrap() == before);

        installer.ok("qvm-remove --force-root -q work\nqubes-prefs -s default-template debian-8");
        let files = tree::tree(&installer.path("/var/lib/qubes/vm-templates"), &[]);
        installer.ok("qvm-remove --force-root -q --just-db debian-8");
        assert_eq!(installer.run("qvm-check -q debian-8").code, 1);
        let left = tree::tree(&installer.path("/var/lib/qubes/vm-templates"), &[]);
        tree::assert_same(&files, &left, "the package removes its files itself");
        installer.check_system();
    }
}

const ADDS_THE_POOL: &str = "qvm-pool --add vm-pool lvm_thin -o \
    volume_group=qubes_dom0,thin_pool=vm-pool,revisions_to_keep=2";

/// Creates the pool. The exit code says whether that worked. Without LVM it cannot be created, and
/// the line says so; the same form creates one of files.
fn create_r4_pool(installer: &Installer) {
    let missing = installer.run("qvm-pool info vm-pool");
    assert_eq!((missing.code, &*missing.stdout), (2, ""), "{missing:?}");
    let without_lvm = installer.run(ADDS_THE_POOL);
    assert_eq!(without_lvm.code, 1, "{without_lvm:?}");
    assert!(
        without_lvm
            .stderr
            .starts_with("qvm-pool: error: Failed to add pool vm-pool: lvm lvs: "),
        "{without_lvm:?}"
    );
    installer.ok("qvm-pool --add vm-pool file -o \
        dir_path=/var/lib/vm-pool,revisions_to_keep=1\nqvm-pool info vm-pool");
    assert!(installer.path("/var/lib/vm-pool/appvms").is_dir());
    installer.ok("qubes-prefs default-pool vm-pool");
}

/// LVM itself needs a kernel with device mapper (`tests/xen` has one). What the line asks of LVM
/// and writes to the store does not.
#[test]
fn the_lvm_pool_of_r4_is_created() {
    let Some(installer) = Installer::new(Where::BelowRoot) else {
        return;
    };
    installer.ok("qubes-create --offline-mode");
    let programs = tempfile::tempdir().unwrap();
    let report = r#"{"report":[{"lv":[{"vg_name":"qubes_dom0","pool_lv":"","lv_name":"vm-pool","lv_size":"100000000000",
        "data_percent":"1.00","lv_attr":"twi-aotz--","origin":"","metadata_percent":"1.00","lv_metadata_size":"100000000"}]}]}"#;
    let lvm = programs.path().join("lvm");
    fs::write(&lvm, format!("#!/bin/sh\ncat <<'END'\n{report}\nEND\n")).unwrap();
    fs::set_permissions(&lvm, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!(
        "PATH={}:{}",
        programs.path().display(),
        std::env::var("PATH").unwrap()
    );
    let added = installer.run_through(&["env", &path], ADDS_THE_POOL);
    assert_eq!((added.code, &*added.stdout, &*added.stderr), (0, "", ""));
    let store = fs::read_to_string(installer.path("/var/lib/qubes/qubes.xml")).unwrap();
    let element = r#"<pool name="vm-pool" volume_group="qubes_dom0" thin_pool="vm-pool" driver="lvm_thin" revisions_to_keep="2"/>"#;
    assert!(store.contains(element), "{store}");
    let other = installer.run_through(
        &["env", &path],
        "qvm-pool -a other lvm_thin -o volume_group=qubes_dom0,thin_pool=nosuch",
    );
    assert!(
        other.code == 1
            && other
                .stderr
                .contains("volume group qubes_dom0 has no thin pool nosuch"),
        "{other:?}"
    );
    installer.check_system();
}

#[test]
fn the_initial_setup_of_r4_runs() {
    for installer in Installer::everywhere() {
        installer.ok("qubes-create --offline-mode");
        installer.install_kernel("6.6.77-1.fc37");
        run(
            &installer,
            "qubes-prefs default-kernel 6.6.77-1.fc37
             qvm-template install --nogpgcheck fedora-41-xfce.rpm",
        );
        create_r4_pool(&installer);
        installer.ok("qubes-prefs default-pool varlibqubes");
        crate::packages::unpack(&installer, "/var/tmp/fedora-41-xfce");
        let directory = installer.named("/var/tmp/fedora-41-xfce");
        installer.ok(&format!(
            "qvm-template-postprocess --really --no-installed-by-rpm --skip-start post-install \
             fedora-41-xfce {directory}"
        ));
        // What salt formulas do through the Python library.
        let formulas = "qubes-prefs default-template fedora-41-xfce
             qvm-create --label red --prop provides_network=True --prop netvm= sys-net
             qvm-create --label green --prop provides_network=True sys-firewall
             qvm-create --label red --prop template_for_dispvms=True default-dvm
             qvm-create --label blue work";
        installer.ok(formulas);
        run(
            &installer,
            "qubes-prefs default-template fedora-41-xfce
             qubes-prefs default-dispvm default-dvm
             qvm-prefs sys-firewall netvm sys-net
             qubes-prefs default-netvm sys-firewall
             qubes-prefs updatevm sys-firewall
             qubes-prefs clockvm sys-net",
        );
        assert_eq!(installer.prefs("work", "netvm"), "sys-firewall");
        assert_eq!(installer.prefs("work", "default_dispvm"), "default-dvm");
        assert_eq!(
            installer.prefs("fedora-41-xfce", "installed_by_rpm"),
            "False"
        );
        let line = installer.fails("qvm-start sys-firewall");
        assert!(
            line.starts_with("Error: Starting qube failed: sys-firewall: "),
            "{line}"
        );
        installer.check_system();
    }
}

#[test]
fn without_a_kernel_nothing_is_created_and_the_error_says_so() {
    let Some(installer) = Installer::new(Where::Chroot) else {
        return;
    };
    installer.ok("qvm-init-storage");
    unpack_template(&installer, "fedora-23");
    let files = tree::tree(&installer.path("/var/lib/qubes/vm-templates"), &[]);
    let line = installer.fails("qvm-add-template --rpm fedora-23");
    assert!(line.contains("default_kernel"), "{line}");
    tree::assert_same(
        &files,
        &tree::tree(&installer.path("/var/lib/qubes/vm-templates"), &[]),
        "a refusal",
    );
    assert_eq!(installer.run("qvm-check -q fedora-23").code, 1);
}
