//! Members of group qubes work without root, on what root made and the other way round.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[path = "support/libvirt_daemon.rs"]
mod libvirt_daemon;
#[path = "support/ran.rs"]
mod ran;
#[path = "support/skip.rs"]
mod skip;

use ran::{Ran, binary};

/// The user, and a number for group qubes that no machine uses.
const NOBODY: u32 = 65534;
const QUBES: u32 = 98_765;

/// A machine with a group qubes, of which nobody is a member.
struct Machine {
    place: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let place = tempfile::Builder::new().prefix("qubes-members-").tempdir().unwrap();
        let machine = Machine { place };
        fs::set_permissions(machine.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        let groups = fs::read_to_string("/etc/group").unwrap();
        let others: Vec<&str> = groups.lines().filter(|l| !l.starts_with("qubes:")).collect();
        fs::write(machine.path("group"), format!("{}\nqubes:x:{QUBES}:nobody\n", others.join("\n"))).unwrap();
        for (directory, owner) in [("root", 0), ("home", NOBODY), ("tools", 0)] {
            fs::create_dir(machine.path(directory)).unwrap();
            chown(machine.path(directory), Some(owner), None).unwrap();
        }
        for tool in [
            "qubes-create",
            "qubes-monitor",
            "qubes-prefs",
            "qvm-create",
            "qvm-kill",
            "qvm-ls",
            "qvm-prefs",
            "qvm-remove",
            "qvm-start",
        ] {
            let there = machine.path("tools").join(tool);
            fs::hard_link(binary(tool), &there).or_else(|_| fs::copy(binary(tool), &there).map(drop)).unwrap();
        }
        machine
    }

    fn path(&self, below: &str) -> PathBuf {
        self.place.path().join(below)
    }

    /// Runs a command line, as root or as the member.
    fn run(&self, as_member: bool, line: &str) -> Ran {
        let mut words = line.split_whitespace();
        let mut command = Command::new("unshare");
        let script = r#"umask 022; mount --bind "$1" /etc/group && shift && exec "$@""#;
        command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(self.path("group"));
        if as_member {
            command.args(["setpriv", "--reuid", "65534", "--regid", "65534", "--groups", "98765"]);
            command.env("HOME", self.path("home")).env("XDG_RUNTIME_DIR", self.path("home"));
            command.env_remove("XDG_CACHE_HOME").env_remove("XDG_CONFIG_HOME");
        }
        command.arg(self.path("tools").join(words.next().unwrap())).args(words);
        ran::run(command.env("QUBES_ROOT", self.path("root")).env_remove("QUBES_LIBVIRT_URI"))
    }

    fn ok(&self, as_member: bool, lines: &str) {
        for line in lines.lines().map(str::trim) {
            let ran = self.run(as_member, line);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // What a failed test left running, then the member's own daemons.
        let _halted = self.run(true, "qvm-kill --all");
        for daemon in ["libvirtd", "virtqemud", "virtlogd"] {
            let pid = fs::read_to_string(self.path("home/libvirt").join(daemon).with_extension("pid"));
            if let Some(pid) = pid.ok().and_then(|text| text.trim().parse().ok()) {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
    }
}

/// Everything below a directory, itself first.
fn all(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_path_buf()];
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            found.extend(all(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn a_member_of_the_group_works_without_root_and_beside_it() {
    if !nix::unistd::geteuid().is_root() {
        return skip::skip("acting as root and as another user needs root");
    }
    if let Err(reason) = libvirt_daemon::uri() {
        return skip::skip(format_args!("no libvirt: {reason}"));
    }
    let machine = Machine::new();
    let (root, member) = (false, true);
    machine.ok(root, "qubes-create");
    let kernel = machine.path("root/var/lib/qubes/vm-kernels/1.0");
    fs::create_dir_all(&kernel).unwrap();
    fs::write(kernel.join("vmlinuz"), "never booted").unwrap();
    machine.ok(member, "qubes-prefs default_kernel 1.0");
    machine.ok(
        root,
        "qvm-create --class TemplateVM --label black --prop virt_mode=hvm --prop kernel= --prop memory=64 --prop maxmem=0 tpl
         qubes-prefs default_template tpl
         qvm-create --label red --prop netvm= work",
    );
    machine.ok(member, "qvm-create --label red --prop netvm= own\nqvm-prefs work memory 48\nqvm-prefs own memory 48");
    machine.ok(root, "qvm-prefs own memory 64\nqvm-start work\nqvm-kill work");
    machine.ok(member, "qvm-start work");

    // It runs in the member's own session: root cannot ask there, says so, and touches nothing.
    for line in ["qvm-kill work", "qvm-start work", "qvm-remove --force work"] {
        let refused = machine.run(root, line);
        assert_eq!((refused.code, refused.stderr.lines().count()), (1, 1), "{line}: {refused:?}");
        assert!(refused.stderr.contains("only user 65534 reaches it; its images are left alone"), "{refused:?}");
    }
    assert!(machine.run(member, "qvm-ls --raw-data --fields state work").stdout == "Running\n");
    assert!(machine.path("root/var/lib/qubes/appvms/work/private-dirty.img").exists());

    machine.ok(member, "qvm-kill work");
    for place in ["root/var/lib/qubes", "root/run/qubes"] {
        for path in all(&machine.path(place)) {
            let metadata = fs::metadata(&path).unwrap();
            let mode = metadata.mode() & 0o7777;
            // The kernel's package, and logs of consoles: they lie where only who started the qube may write.
            let others = ["vm-kernels", "run/qubes/console/"].iter().any(|p| path.to_string_lossy().contains(p));
            let ours = if metadata.is_dir() { 0o2770 } else { 0o660 };
            assert!(
                others || (metadata.gid() == QUBES && mode == ours),
                "{} {mode:o} {}",
                path.display(),
                metadata.gid()
            );
        }
    }
    machine.ok(member, "qvm-remove --force own");
    // By root, whose libvirt has defined it, too; the member's goes with his home.
    machine.ok(root, "qvm-remove --force work");
    // What only root may do is told as that.
    let refused = machine.run(member, "qvm-prefs tpl autostart True");
    assert_eq!((refused.code, refused.stderr.lines().count()), (1, 1), "{refused:?}");
    assert!(refused.stderr.contains("root has to change its link"), "{refused:?}");
}
