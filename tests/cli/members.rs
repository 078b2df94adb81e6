//! Members of the group qubes work without root, on files that root created and the other way
//! round.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use qubes_test_support::{ToolOutput, binary, libvirt_daemon, skip, tool_output};

/// The user, and a group id for qubes that no machine uses.
const NOBODY: u32 = 65534;
const QUBES: u32 = 98_765;

/// A machine with a group qubes that has no members.
struct Machine {
    place: tempfile::TempDir,
}

impl Machine {
    fn new() -> Machine {
        let place = tempfile::Builder::new()
            .prefix("qubes-members-")
            .tempdir()
            .unwrap();
        let machine = Machine { place };
        fs::set_permissions(machine.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        let groups = fs::read_to_string("/etc/group").unwrap();
        let others: Vec<&str> = groups
            .lines()
            .filter(|l| !l.starts_with("qubes:"))
            .collect();
        fs::write(
            machine.path("group"),
            format!("{}\nqubes:x:{QUBES}:nobody\n", others.join("\n")),
        )
        .unwrap();
        for (directory, owner) in [("root", 0), ("home", NOBODY), ("tools", 0)] {
            fs::create_dir(machine.path(directory)).unwrap();
            chown(machine.path(directory), Some(owner), None).unwrap();
        }
        for tool in [
            "qubes-create",
            "qubes-monitor",
            "qubes-prefs",
            "qvm-clone",
            "qvm-create",
            "qvm-kill",
            "qvm-ls",
            "qvm-notes",
            "qvm-prefs",
            "qvm-remove",
            "qvm-start",
            "qvm-volume",
        ] {
            let there = machine.path("tools").join(tool);
            fs::hard_link(binary(tool), &there)
                .or_else(|_| fs::copy(binary(tool), &there).map(drop))
                .unwrap();
        }
        machine
    }

    fn path(&self, below: &str) -> PathBuf {
        self.place.path().join(below)
    }

    /// A shell script in a mount namespace of its own; `$1` is the file of groups.
    fn shell(&self, script: &str) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private"])
            .args(["sh", "-c", script, "sh"])
            .arg(self.path("group"));
        command
    }

    /// Runs a command line as root or as the member.
    fn run(&self, as_member: bool, line: &str) -> ToolOutput {
        let mut words = line.split_whitespace();
        let script = r#"umask 022; mount --bind "$1" /etc/group && shift && exec "$@""#;
        let mut command = self.shell(script);
        if as_member {
            command.args([
                "setpriv", "--reuid", "65534", "--regid", "65534", "--groups", "98765",
            ]);
            command
                .env("HOME", self.path("home"))
                .env("XDG_RUNTIME_DIR", self.path("home"));
            command
                .env_remove("XDG_CACHE_HOME")
                .env_remove("XDG_CONFIG_HOME");
        }
        command
            .arg(self.path("tools").join(words.next().unwrap()))
            .args(words);
        tool_output::run(
            command
                .env("QUBES_ROOT", self.path("root"))
                .env_remove("QUBES_LIBVIRT_URI"),
        )
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
        // Stops the guests that a failed test left running, then the member's own daemons.
        let _halted = self.run(true, "qvm-kill --all");
        for daemon in ["libvirtd", "virtqemud", "virtlogd"] {
            let pid =
                fs::read_to_string(self.path("home/libvirt").join(daemon).with_extension("pid"));
            if let Some(pid) = pid.ok().and_then(|text| text.trim().parse().ok()) {
                let _gone = kill(Pid::from_raw(pid), Signal::SIGTERM);
            }
        }
    }
}

/// Lists everything below a directory, the directory first.
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
fn a_user_outside_the_group_gets_a_message_that_names_the_group() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    let machine = Machine::new();
    let script = r#"mount --bind "$1" /etc/group; mount -t tmpfs -o mode=755 t /var/lib
        mount -t tmpfs -o mode=755 t /run; "$2/qubes-create" && shift 2
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@""#;
    for line in ["qvm-ls", "qvm-prefs work", "qvm-create --label red x"] {
        let mut words = line.split(' ');
        let mut command = machine.shell(script);
        command
            .arg(machine.path("tools"))
            .arg(machine.path("tools").join(words.next().unwrap()))
            .args(words);
        let ran = tool_output::run(
            command
                .env("QUBES_OFFLINE", "1")
                .env_remove("QUBES_ROOT")
                .env_remove("QUBES_XML_PATH"),
        );
        assert_eq!(
            (ran.code, ran.stderr.lines().count()),
            (1, 1),
            "{line}: {ran:?}"
        );
        assert!(
            ran.stderr
                .contains("/var/lib/qubes/qubes.xml: Permission denied; root and members"),
            "{line}: {ran:?}"
        );
        assert!(
            ran.stderr.contains("usermod -aG qubes nobody"),
            "{line}: {ran:?}"
        );
    }
}

#[test]
fn a_member_of_the_group_works_without_root_and_alongside_root() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    if let Err(reason) = libvirt_daemon::uri() {
        return skip(format_args!("no libvirt: {reason}"));
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
    machine.ok(
        root,
        "qvm-prefs own memory 64\nqvm-start work\nqvm-kill work",
    );
    machine.ok(member, "qvm-start work");

    // The qube runs in the member's own session. Root cannot query that session, reports it, and
    // changes nothing.
    for line in ["qvm-kill work", "qvm-start work", "qvm-remove --force work"] {
        let refused = machine.run(root, line);
        assert_eq!(
            (refused.code, refused.stderr.lines().count()),
            (1, 1),
            "{line}: {refused:?}"
        );
        assert!(
            refused
                .stderr
                .contains("only user 65534 can reach it; its images are left alone"),
            "{refused:?}"
        );
    }
    assert!(
        machine
            .run(member, "qvm-ls --raw-data --fields state work")
            .stdout
            == "Running\n"
    );
    assert!(
        machine
            .path("root/var/lib/qubes/appvms/work/private-dirty.img")
            .exists()
    );

    machine.ok(member, "qvm-kill work");
    for place in ["root/var/lib/qubes", "root/run/qubes"] {
        for path in all(&machine.path(place)) {
            let metadata = fs::metadata(&path).unwrap();
            let mode = metadata.mode() & 0o7777;
            // The kernel's package, and console logs, which only the user who started the qube may
            // write.
            let others = ["vm-kernels", "run/qubes/console/"]
                .iter()
                .any(|p| path.to_string_lossy().contains(p));
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
    // Removed by root, whose libvirt has defined it, too; the member's definition is deleted with
    // his home.
    machine.ok(root, "qvm-remove --force work");
    // An action that only root may do is refused with that reason.
    let refused = machine.run(member, "qvm-prefs tpl autostart True");
    assert_eq!(
        (refused.code, refused.stderr.lines().count()),
        (1, 1),
        "{refused:?}"
    );
    assert!(
        refused.stderr.contains("root has to change its link"),
        "{refused:?}"
    );
}

/// Links, pipes and second names that a member left in a pool, which lead to files of others.
struct Traps {
    machine: Machine,
}

impl Traps {
    /// Creates a template, two qubes, and a file and a directory of root.
    fn new() -> Traps {
        let machine = Machine::new();
        machine.ok(false, "qubes-create");
        let kernel = machine.path("root/var/lib/qubes/vm-kernels/1.0");
        fs::create_dir_all(&kernel).unwrap();
        fs::write(kernel.join("vmlinuz"), "never booted").unwrap();
        machine.ok(
            false,
            "qubes-prefs default_kernel 1.0
             qvm-create --class TemplateVM --label black tpl
             qubes-prefs default_template tpl
             qvm-create --label red work
             qvm-create --label red vault",
        );
        let traps = Traps { machine };
        fs::create_dir(traps.secret().parent().unwrap()).unwrap();
        fs::write(traps.secret(), "root:secret").unwrap();
        fs::set_permissions(traps.secret(), fs::Permissions::from_mode(0o600)).unwrap();
        traps
    }

    fn secret(&self) -> PathBuf {
        self.machine.path("of-root/private.img")
    }

    fn pool(&self, below: &str) -> PathBuf {
        self.machine.path("root/var/lib/qubes").join(below)
    }

    /// Replaces whatever is at `place` by a link of the member.
    fn link(&self, place: &str, target: &Path) {
        let place = self.pool(place);
        let away = place.with_extension("away");
        // The member may rename files in a directory of his group.
        let _nothing_there = fs::rename(&place, away);
        symlink(target, &place).unwrap();
        lchown(&place, Some(NOBODY), Some(QUBES)).unwrap();
    }

    /// Runs a command as root that must fail with one line containing the reason.
    fn refused(&self, line: &str, reason: &str) {
        let ran = self.machine.run(false, line);
        assert_eq!(
            (ran.code, ran.stderr.lines().count()),
            (1, 1),
            "{line}: {ran:?}"
        );
        assert!(ran.stderr.contains(reason), "{line}: {ran:?}");
        self.assert_secrets_unchanged(line);
    }

    fn assert_secrets_unchanged(&self, line: &str) {
        assert_eq!(
            fs::read_to_string(self.secret()).unwrap(),
            "root:secret",
            "{line}"
        );
        let metadata = fs::metadata(self.secret()).unwrap();
        assert_eq!(
            (metadata.mode() & 0o7777, metadata.gid(), metadata.nlink()),
            (0o600, 0, 1),
            "{line}"
        );
        let beside = fs::read_dir(self.secret().parent().unwrap())
            .unwrap()
            .count();
        assert_eq!(beside, 1, "{line} made something beside it");
    }
}

#[test]
fn root_does_not_follow_a_members_link_to_a_file_that_is_not_an_image() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    let of_member = "is a symbolic link of user 65534";
    let traps = Traps::new();
    traps.link("appvms/vault/private.img", &traps.secret());
    let data = traps.machine.path("data");
    fs::write(&data, "data").unwrap();
    for line in [
        "qvm-clone -q vault copy",
        "qvm-volume clone -f vault:private work:private",
    ] {
        traps.refused(line, of_member);
    }
    assert!(!traps.pool("appvms/copy").exists());
    traps.refused("qvm-volume resize vault:private 3GiB", of_member);
    traps.refused("qvm-volume resize -f vault:private 1MiB", of_member);
    // New data replace the link, not its target.
    let _either = traps.machine.run(
        false,
        &format!("qvm-volume import vault:private {}", data.display()),
    );
    traps.assert_secrets_unchanged("import");

    // A clone copies the notes of its source, too.
    traps.link("appvms/work/notes.txt", &traps.secret());
    traps.refused("qvm-notes work --print", of_member);
    traps.refused("qvm-clone -q work copy", of_member);

    // The template's image, of which a start takes a snapshot, is protected in the same way.
    let traps = Traps::new();
    traps.link("vm-templates/tpl/root.img", &traps.secret());
    traps.refused("qvm-clone -q tpl copy", of_member);
    let started = traps.machine.run(false, "qvm-start work");
    assert_ne!(started.code, 0, "{started:?}");
    traps.assert_secrets_unchanged("qvm-start");
}

#[test]
fn root_does_not_work_in_a_directory_that_is_a_members_link() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    let of_member = "is a symbolic link of user 65534";
    let traps = Traps::new();
    let of_root = traps.secret().parent().unwrap().to_path_buf();
    // One after the other: two links to one place would be refused as a shared image.
    for (name, line) in [
        ("new", "qvm-create --label red new"),
        ("copy", "qvm-clone -q work copy"),
    ] {
        traps.link(&format!("appvms/{name}"), &of_root);
        traps.refused(line, of_member);
        fs::remove_file(traps.pool(&format!("appvms/{name}"))).unwrap();
    }
    traps.link("appvms/vault", &of_root);
    traps.refused("qvm-clone -q vault other", of_member);
    traps.refused("qvm-volume clear -f vault:private", of_member);
    traps.refused("qvm-volume resize vault:private 3GiB", of_member);
    traps.refused("qvm-notes vault --set text", of_member);
    traps.refused("qvm-remove --force vault", of_member);
    fs::remove_file(traps.pool("appvms/vault")).unwrap();
    traps.machine.ok(
        false,
        "qvm-remove --force vault\nqvm-create --label red vault",
    );
    // A parent directory, replaced as a whole.
    traps.link("appvms", &traps.machine.path("home"));
    traps.refused("qvm-create --label red new", of_member);
}

#[test]
fn images_with_a_second_name_and_pipes_are_left_unchanged() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    let traps = Traps::new();
    let image = traps.pool("appvms/vault/private.img");
    fs::remove_file(&image).unwrap();
    fs::hard_link(traps.secret(), &image).unwrap();
    let ran = traps
        .machine
        .run(false, "qvm-volume resize vault:private 3GiB");
    assert_eq!((ran.code, ran.stderr.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("second name"), "{ran:?}");
    assert_eq!(fs::read_to_string(traps.secret()).unwrap(), "root:secret");
    assert_eq!(fs::metadata(traps.secret()).unwrap().mode() & 0o7777, 0o600);
    traps.machine.ok(false, "qvm-remove --force vault");
    traps.assert_secrets_unchanged("qvm-remove");

    // No command waits for a pipe.
    let image = traps.pool("appvms/work/private.img");
    fs::remove_file(&image).unwrap();
    nix::unistd::mkfifo(&image, nix::sys::stat::Mode::from_bits_truncate(0o660)).unwrap();
    for line in [
        "qvm-clone -q work copy",
        "qvm-volume resize work:private 3GiB",
    ] {
        traps.refused(line, "not a regular file");
    }
    traps.machine.ok(false, "qvm-remove --force work");
}

#[test]
fn links_of_root_and_of_the_same_user_are_followed() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    let traps = Traps::new();
    let drive = traps.machine.path("root/drive");
    fs::create_dir(&drive).unwrap();
    chown(&drive, Some(NOBODY), Some(QUBES)).unwrap();
    fs::rename(traps.pool("appvms/vault"), drive.join("vault")).unwrap();
    // Absolute links start at the root of their system.
    symlink("/drive/vault", traps.pool("appvms/vault")).unwrap();
    fs::rename(
        traps.pool("appvms/work/private.img"),
        drive.join("work.img"),
    )
    .unwrap();
    symlink(
        "../../../../../drive/work.img",
        traps.pool("appvms/work/private.img"),
    )
    .unwrap();
    for as_member in [false, true] {
        traps.machine.ok(
            as_member,
            "qvm-clone -q vault copy\nqvm-clone -q work other\nqvm-remove --force copy other",
        );
        traps
            .machine
            .ok(as_member, "qvm-volume clear -f vault:private");
    }
    assert!(drive.join("vault/private.img").exists());
    lchown(traps.pool("appvms/vault"), Some(NOBODY), None).unwrap();
    traps.machine.ok(
        true,
        "qvm-clone -q vault copy\nqvm-remove --force copy vault",
    );
    assert!(!drive.join("vault").exists());
}

#[test]
fn an_absolute_link_below_a_root_does_not_lead_outside_of_it() {
    if !nix::unistd::geteuid().is_root() {
        return skip("acting as root and as another user needs root");
    }
    let traps = Traps::new();
    let of_root = traps.secret().parent().unwrap().to_path_buf();
    for name in ["new", "vault"] {
        let place = traps.pool(&format!("appvms/{name}"));
        let _nothing_there = fs::rename(&place, place.with_extension("away"));
        symlink(&of_root, place).unwrap();
    }
    let made = traps.machine.run(false, "qvm-create --label red new");
    assert_ne!(made.code, 0, "{made:?}");
    traps.assert_secrets_unchanged("qvm-create");
    for line in [
        "qvm-clone -q vault copy",
        "qvm-volume resize vault:private 3GiB",
        "qvm-volume clear -f vault:private",
    ] {
        let ran = traps.machine.run(false, line);
        assert_ne!(ran.code, 0, "{line}: {ran:?}");
        traps.assert_secrets_unchanged(line);
    }
    traps.machine.ok(false, "qvm-remove --force vault");
    traps.assert_secrets_unchanged("qvm-remove");
}
