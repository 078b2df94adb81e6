//! What installers do: they fill a directory or a chroot with a system, with hardly any service up and no libvirt on the
//! machine. Their command lines run as they stand.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/ran.rs"]
mod ran;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/tree.rs"]
mod tree;

use ran::{Ran, binary};

const TOOLS: [&str; 11] = [
    "qubes-create",
    "qubes-monitor",
    "qubes-prefs",
    "qubes-recover",
    "qvm-check",
    "qvm-create",
    "qvm-kill",
    "qvm-ls",
    "qvm-prefs",
    "qvm-shutdown",
    "qvm-start",
];

/// A machine without libvirt on which a system is installed.
struct Installer {
    root: tempfile::TempDir,
    inside: bool,
}

impl Installer {
    /// One that works on a directory from outside; libvirt's library is hidden from the tools, in a mount namespace of
    /// their own.
    fn below_root() -> Option<Installer> {
        Installer::new(false)
    }

    /// One that works inside, through chroot: nothing but the tools and the libraries they are linked with is there, and
    /// no /proc.
    fn in_chroot() -> Option<Installer> {
        let installer = Installer::new(true)?;
        let bin = installer.path("/usr/bin");
        fs::create_dir_all(&bin).unwrap();
        for tool in TOOLS {
            let there = bin.join(tool);
            // The same file system, or another.
            fs::hard_link(binary(tool), &there).or_else(|_| fs::copy(binary(tool), &there).map(drop)).unwrap();
        }
        let libraries: HashSet<String> = TOOLS.iter().flat_map(|tool| libraries_of(&binary(tool))).collect();
        for library in libraries {
            let there = installer.path(&library);
            fs::create_dir_all(there.parent().unwrap()).unwrap();
            fs::copy(&library, there).unwrap();
        }
        Some(installer)
    }

    fn new(inside: bool) -> Option<Installer> {
        if !nix::unistd::geteuid().is_root() {
            skip::skip("hiding a library and chroot need root");
            return None;
        }
        let root = tempfile::Builder::new().prefix("qubes-installer-").tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Some(Installer { root, inside })
    }

    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below.trim_start_matches('/'))
    }

    /// Runs one command line.
    fn run(&self, line: &str) -> Ran {
        let mut words = line.split_whitespace();
        let tool = words.next().unwrap();
        let mut command = if self.inside {
            let mut command = Command::new("chroot");
            command.arg(self.root.path()).arg(Path::new("/usr/bin").join(tool)).current_dir("/");
            command
        } else {
            let mut command = Command::new("unshare");
            let hide = r#"for library in $HIDDEN; do mount --bind /dev/null "$library" || exit 99; done; exec "$@""#;
            command.args(["--mount", "--propagation", "private", "sh", "-c", hide, "sh"]).arg(binary(tool));
            command.env("HIDDEN", libvirt_libraries().join(" ")).env("QUBES_ROOT", self.root.path());
            command
        };
        command.args(words.map(|w| if w == "''" { "" } else { w }));
        ran::run(command.env_remove("QUBES_LIBVIRT_URI").env_remove("XDG_RUNTIME_DIR"))
    }

    /// Runs command lines that have to succeed without a word of complaint; returns what the last printed.
    fn ok(&self, lines: &str) -> String {
        let mut printed = String::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let ran = self.run(line);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
            printed = ran.stdout;
        }
        printed
    }

    /// Runs a command line that has to fail with one line; returns the line.
    fn fails(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{line}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{line}: {ran:?}");
        ran.stderr
    }

    /// The kernel's package was unpacked.
    fn install_kernel(&self, version: &str) {
        let directory = self.path("/var/lib/qubes/vm-kernels").join(version);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("vmlinuz"), "kernel").unwrap();
    }

    fn prefs(&self, qube: &str, property: &str) -> String {
        self.ok(&format!("qvm-prefs --offline-mode {qube} {property}")).trim_end().to_string()
    }

    fn mode(&self, below: &str) -> u32 {
        fs::metadata(self.path(below)).unwrap().permissions().mode() & 0o7777
    }

    /// What must hold of every system that was installed.
    fn check_system(&self) {
        let bytes = fs::read(self.path("/var/lib/qubes/qubes.xml")).unwrap();
        qubes::format::check(&bytes).unwrap();
        let qubes = qubes::format::read(bytes).unwrap();
        assert!(qubes.diagnoses.is_empty());
        let ids: Vec<i64> = qubes.iter().filter_map(|vm| vm.properties.get("qid")?.parse().ok()).collect();
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len(), "no number is given twice");
        let litter: Vec<_> =
            tree::tree(self.root.path(), &[]).into_keys().filter(|path| path.to_string_lossy().contains('~')).collect();
        assert!(litter.is_empty(), "{litter:?}");
        for directory in ["/var", "/var/lib", "/run"] {
            assert_eq!(self.mode(directory), 0o755, "{directory} is not ours alone");
        }
        let ours =
            ["/var/lib/qubes", "/var/lib/qubes/appvms", "/var/lib/qubes/backup", "/run/qubes", "/run/qubes/lock"];
        for directory in ours {
            assert_eq!(self.mode(directory), 0o2770, "{directory} is for members of group qubes");
        }
        assert_eq!(self.mode("/var/lib/qubes/qubes.xml"), 0o660);
    }

    /// A start fails with one line that says why, and touches nothing.
    fn check_that_nothing_starts(&self) {
        let before = tree::tree(self.root.path(), &[]);
        let line = self.fails("qvm-start work");
        assert!(line.starts_with("Error: Starting qube failed: work: libvirt is not installed ("), "{line}");
        assert!(line.ends_with("install the package that brings libvirt.so.0\n"), "{line}");
        let line = self.fails("qvm-start --offline-mode work");
        assert!(line.starts_with("Error: Starting qube failed: work: offline mode: "), "{line}");
        tree::assert_same(&before, &tree::tree(self.root.path(), &[]), "a start that cannot be");
    }
}

/// libvirt's library, wherever the loader would find it.
fn libvirt_libraries() -> Vec<String> {
    let output = Command::new("ldconfig").arg("-p").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter(|l| l.trim_start().starts_with("libvirt.so.0 "));
    let paths = lines.filter_map(|l| fs::canonicalize(l.split(" => ").nth(1)?.trim()).ok());
    let paths: HashSet<PathBuf> = paths.collect();
    paths.into_iter().map(|p| p.display().to_string()).collect()
}

/// The libraries and the loader that a program is linked with.
fn libraries_of(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths: Vec<String> = text.split_whitespace().filter(|w| w.starts_with('/')).map(str::to_string).collect();
    assert!(paths.iter().all(|p| !p.contains("virt")), "the tools are not linked with libvirt: {paths:?}");
    paths
}

/// A whole system, as an installer of today makes it.
fn install(installer: &Installer) {
    installer.ok("qubes-create --offline-mode");
    installer.install_kernel("6.6.77-1.fc37");
    fs::write(installer.path("/root.img"), vec![7; 100_000]).unwrap();
    let image = if installer.inside { "/root.img".into() } else { installer.path("/root.img").display().to_string() };
    installer.ok(&format!(
        "qubes-prefs --offline-mode default-kernel 6.6.77-1.fc37
         qvm-create --offline-mode --class TemplateVM --label black --root-copy-from {image} debian-12
         qubes-prefs --offline-mode default-template debian-12
         qvm-create --offline-mode --label red --prop provides_network=True --prop netvm= sys-net
         qvm-create --offline-mode --label green --prop provides_network=True --prop netvm=sys-net sys-firewall
         qubes-prefs --offline-mode default-netvm sys-firewall
         qubes-prefs --offline-mode updatevm sys-firewall
         qubes-prefs --offline-mode clockvm sys-net
         qvm-create --offline-mode --label blue work
         qvm-create --offline-mode --label yellow personal
         qvm-create --offline-mode --label black --prop netvm= vault
         qvm-create --offline-mode --label red --prop template_for_dispvms=True default-dvm
         qubes-prefs --offline-mode default-dispvm default-dvm
         qvm-prefs --offline-mode sys-net autostart True
         qvm-prefs --offline-mode sys-firewall autostart True
         qvm-prefs --offline-mode sys-firewall netvm sys-net"
    ));
}

fn check_installed(installer: &Installer) {
    installer.ok("qvm-check --offline-mode -q -- debian-12 sys-net sys-firewall work personal vault default-dvm");
    assert_eq!(installer.run("qvm-check --offline-mode --running work").code, 1);
    assert_eq!(
        installer.ok("qvm-ls --offline-mode --raw-data --fields name,state,class,label,template,netvm"),
        "debian-12|Halted|TemplateVM|black|-|-\n\
         default-dvm|Halted|AppVM|red|debian-12|sys-firewall\n\
         dom0|Running|AdminVM|black|-|-\n\
         personal|Halted|AppVM|yellow|debian-12|sys-firewall\n\
         sys-firewall|Halted|AppVM|green|debian-12|sys-net\n\
         sys-net|Halted|AppVM|red|debian-12|-\n\
         vault|Halted|AppVM|black|debian-12|-\n\
         work|Halted|AppVM|blue|debian-12|sys-firewall\n"
    );
    for (property, value) in [("default_netvm", "sys-firewall"), ("updatevm", "sys-firewall"), ("clockvm", "sys-net")] {
        assert_eq!(installer.ok(&format!("qubes-prefs --offline-mode {property}")), format!("{value}\n"));
    }
    assert_eq!(installer.prefs("work", "kernel"), "6.6.77-1.fc37");
    assert_eq!(installer.prefs("work", "default_dispvm"), "default-dvm");
    assert_eq!(installer.prefs("sys-net", "provides_network"), "True");
    assert_eq!(installer.prefs("sys-net", "autostart"), "True");
    for (qube, linked) in [("sys-net", true), ("sys-firewall", true), ("work", false)] {
        let link = format!("/etc/systemd/system/multi-user.target.wants/qubes-vm@{qube}.service");
        let target = fs::read_link(installer.path(&link)).ok();
        assert_eq!(target, linked.then(|| PathBuf::from("/usr/lib/systemd/system/qubes-vm@.service")), "{qube}");
    }
    let root = fs::read(installer.path("/var/lib/qubes/vm-templates/debian-12/root.img")).unwrap();
    assert!(root.starts_with(&[7; 100_000]));
    installer.check_system();
}

#[test]
fn an_installer_fills_a_directory_without_libvirt() {
    let Some(installer) = Installer::below_root() else { return };
    install(&installer);
    check_installed(&installer);
    installer.check_that_nothing_starts();

    // The root itself is nowhere: the system is booted from it as /.
    let text = fs::read_to_string(installer.path("/var/lib/qubes/qubes.xml")).unwrap();
    assert!(!text.contains(&installer.root.path().display().to_string()));

    // Who forgets --offline-mode can do the same: only states are not available, which one line says.
    installer.ok("qvm-create --label gray forgetful\nqvm-prefs forgetful memory 300\nqvm-prefs forgetful netvm ''");
    let listed = installer.run("qvm-ls --raw-data --fields name,state forgetful");
    assert_eq!((listed.code, listed.stdout.as_str()), (0, "forgetful|NA\n"));
    assert!(
        listed.stderr.starts_with("qvm-ls: power states are not available: libvirt is not installed"),
        "{listed:?}"
    );
    assert_eq!(listed.stderr.lines().count(), 1);
}

#[test]
fn an_installer_works_in_a_chroot_without_libvirt_and_proc() {
    let Some(installer) = Installer::in_chroot() else { return };
    install(&installer);
    check_installed(&installer);
    installer.check_that_nothing_starts();
    installer.ok("qubes-recover --offline-mode\nqvm-shutdown --offline-mode --wait work\nqvm-kill --offline-mode work");
}

#[test]
fn the_live_image_of_r3_is_made_with_its_own_command_lines() {
    let Some(installer) = Installer::in_chroot() else { return };
    installer.ok("qubes-create --offline-mode");
    installer.install_kernel("4.9.56-21");
    installer.ok("qubes-prefs --offline-mode default-kernel 4.9.56-21
                  qvm-create --offline-mode --class TemplateVM --label black fedora-23");
    installer.ok("qubes-prefs -s default-template fedora-23
                  qvm-create --offline-mode --force-root --net --label red sys-net
                  qvm-create --offline-mode --force-root --proxy --label green sys-firewall
                  qvm-prefs --offline-mode --force-root --set sys-firewall netvm sys-net
                  qubes-prefs --set default-netvm sys-firewall
                  qvm-create --offline-mode --force-root work --label green
                  qvm-create --offline-mode --force-root personal --label yellow
                  qvm-create --offline-mode --force-root untrusted --label red
                  qvm-create --offline-mode --force-root fedora-23-dvm --label gray --internal");
    assert_eq!(installer.prefs("sys-net", "provides_network"), "True");
    assert_eq!(installer.ok("qvm-prefs --hide-default sys-net netvm"), "", "a netvm of its own: none");
    assert_eq!(installer.prefs("sys-firewall", "provides_network"), "True");
    assert_eq!(installer.prefs("sys-firewall", "netvm"), "sys-net");
    assert_eq!(installer.prefs("untrusted", "netvm"), "sys-firewall");
    assert_eq!(installer.ok("qvm-ls --offline-mode --raw-list --internal y"), "fedora-23-dvm\n");
    installer.check_system();

    // First boot, when everything is up but the qubes.
    installer.ok("qubes-prefs --set default-template fedora-23
                  qvm-prefs --force-root --set sys-firewall netvm sys-net
                  qubes-prefs --set default-netvm sys-firewall
                  qubes-prefs --set updatevm sys-firewall
                  qubes-prefs --set clockvm sys-net
                  qvm-shutdown --offline-mode --wait fedora-23");
    let line = installer.fails("qvm-start --no-guid fedora-23");
    assert!(line.starts_with("Error: Starting qube failed: fedora-23: libvirt is not installed"), "{line}");
}
