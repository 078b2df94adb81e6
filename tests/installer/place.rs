//! A machine without libvirt on which a system is installed, and how command lines run on it.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes::tools::COMMANDS;
use qubes_test_support::{ToolOutput, binary, skip, tool_output, tree};

/// The user id of the first member of group qubes, which is also the id of the group.
pub const MEMBER: u32 = 1000;
pub const QUBES: u32 = 98_765;

/// Where the command lines run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// Outside, with `QUBES_ROOT`. A mount namespace hides libvirt's library from the tools.
    BelowRoot,
    /// Inside, through chroot, with nothing but the tools and the libraries they are linked with.
    Chroot,
    /// Inside, through chroot, with /proc.
    ChrootWithProc,
}

/// A machine without libvirt on which a system is installed.
pub struct Installer {
    root: tempfile::TempDir,
    place: Where,
}

impl Installer {
    /// Returns one installer of each kind that this machine can have.
    pub fn everywhere() -> impl Iterator<Item = Installer> {
        [Where::BelowRoot, Where::Chroot, Where::ChrootWithProc]
            .into_iter()
            .map_while(Installer::new)
    }

    pub fn new(place: Where) -> Option<Installer> {
        if !nix::unistd::geteuid().is_root() {
            skip("hiding a library and chroot need root");
            return None;
        }
        let root = tempfile::Builder::new()
            .prefix("qubes-installer-")
            .tempdir()
            .unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let installer = Installer { root, place };
        if installer.is_inside() {
            installer.furnish();
        }
        Some(installer)
    }

    /// Installs the tools, their libraries and the accounts.
    fn furnish(&self) {
        let bin = self.path("/usr/bin");
        fs::create_dir_all(&bin).unwrap();
        let tools: Vec<&str> = COMMANDS.iter().map(|command| command.name).collect();
        for tool in &tools {
            let there = bin.join(tool);
            // A hard link on the same file system, otherwise a copy.
            fs::hard_link(binary(tool), &there)
                .or_else(|_| fs::copy(binary(tool), &there).map(drop))
                .unwrap();
        }
        let libraries: HashSet<String> = tools
            .iter()
            .flat_map(|tool| libraries_of(&binary(tool)))
            .collect();
        for library in libraries {
            let there = self.path(&library);
            fs::create_dir_all(there.parent().unwrap()).unwrap();
            fs::copy(&library, there).unwrap();
        }
        for directory in ["etc", "proc"] {
            fs::create_dir_all(self.path(directory)).unwrap();
        }
        fs::write(
            self.path("etc/group"),
            format!("root:x:0:\nqubes:x:{QUBES}:user\n"),
        )
        .unwrap();
        fs::write(
            self.path("etc/passwd"),
            format!("root:x:0:0::/:/bin/sh\nuser:x:{MEMBER}:{MEMBER}::/:/bin/sh\n"),
        )
        .unwrap();
    }

    pub fn is_inside(&self) -> bool {
        self.place != Where::BelowRoot
    }

    /// Returns the kind of place, for messages.
    pub fn place(&self) -> Where {
        self.place
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Returns a path of the system as the test reaches it.
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below.trim_start_matches('/'))
    }

    /// Returns the same path as a command line on the system names it.
    pub fn named(&self, below: &str) -> String {
        if self.is_inside() {
            below.to_string()
        } else {
            self.path(below).display().to_string()
        }
    }

    /// Runs one command line as root.
    pub fn run(&self, line: &str) -> ToolOutput {
        self.run_through(&[], line)
    }

    /// Runs one command line as the first member of group qubes.
    pub fn run_as_member(&self, line: &str) -> ToolOutput {
        assert!(
            self.is_inside(),
            "only inside there are a group and its member"
        );
        let (user, group) = (
            format!("--userspec={MEMBER}:{MEMBER}"),
            format!("--groups={QUBES}"),
        );
        let mut command = Command::new("chroot");
        self.finish(
            command
                .args([user, group])
                .arg(self.root())
                .current_dir("/"),
            line,
        )
    }

    /// Runs one command line under another program, which is outside the system.
    pub fn run_through(&self, wrapper: &[&str], line: &str) -> ToolOutput {
        let mut command = match wrapper {
            [] => Command::new("env"),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
        };
        match self.place {
            Where::BelowRoot => {
                let hide = r#"for library in $HIDDEN; do mount --bind /dev/null "$library" || exit 99; done; exec "$@""#;
                command.args([
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    hide,
                    "sh",
                ]);
                command
                    .env("HIDDEN", libvirt_libraries().join(" "))
                    .env("QUBES_ROOT", self.root());
            }
            Where::Chroot => {
                command.arg("chroot").arg(self.root()).current_dir("/");
            }
            Where::ChrootWithProc => {
                let mount = r#"mount -t proc proc "$1/proc" || exit 99; exec chroot "$@""#;
                command.args([
                    "unshare",
                    "--mount",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    mount,
                    "sh",
                ]);
                command.arg(self.root()).current_dir("/");
            }
        }
        self.finish(&mut command, line)
    }

    fn finish(&self, command: &mut Command, line: &str) -> ToolOutput {
        let mut words = words(line).into_iter();
        let tool = words.next().unwrap();
        let program = if self.is_inside() {
            Path::new("/usr/bin").join(tool)
        } else {
            binary(&tool)
        };
        command.arg(program).args(words);
        tool_output::run(
            command
                .env_remove("QUBES_LIBVIRT_URI")
                .env_remove("XDG_RUNTIME_DIR"),
        )
    }

    /// Runs command lines that must succeed without messages. Returns what the last one printed.
    pub fn ok(&self, lines: &str) -> String {
        let mut printed = String::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let ran = self.run(line);
            assert_eq!(
                (ran.code, ran.stderr.as_str()),
                (0, ""),
                "{:?}: {line}",
                self.place
            );
            printed = ran.stdout;
        }
        printed
    }

    /// Runs a command line that must fail with one line, and returns that line.
    pub fn fails(&self, line: &str) -> String {
        let ran = self.run(line);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (1, ""),
            "{:?}: {line}: {ran:?}",
            self.place
        );
        assert_eq!(ran.complaints().count(), 1, "{line}: {ran:?}");
        ran.stderr
    }

    /// Installs a kernel as its package does.
    pub fn install_kernel(&self, version: &str) {
        let directory = self.path("/var/lib/qubes/vm-kernels").join(version);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("vmlinuz"), "kernel").unwrap();
    }

    pub fn prefs(&self, qube: &str, property: &str) -> String {
        self.ok(&format!("qvm-prefs --offline-mode {qube} {property}"))
            .trim_end()
            .to_string()
    }

    fn mode(&self, below: &str) -> u32 {
        fs::metadata(self.path(below)).unwrap().permissions().mode() & 0o7777
    }

    /// Checks what must hold of every installed system.
    pub fn check_system(&self) {
        let bytes = fs::read(self.path("/var/lib/qubes/qubes.xml")).unwrap();
        qubes::format::check(&bytes).unwrap();
        let qubes = qubes::format::read(bytes).unwrap();
        assert!(qubes.diagnoses.is_empty());
        let ids: Vec<i64> = qubes
            .iter()
            .filter_map(|vm| vm.properties.get("qid")?.parse().ok())
            .collect();
        assert_eq!(
            ids.iter().collect::<HashSet<_>>().len(),
            ids.len(),
            "no number is given twice"
        );
        let litter: Vec<_> = tree::tree(self.root(), &[])
            .into_keys()
            .filter(|path| path.to_string_lossy().contains('~'))
            .collect();
        assert!(litter.is_empty(), "{litter:?}");
        for directory in ["/var", "/var/lib", "/run"] {
            assert_eq!(self.mode(directory), 0o755, "{directory} is not ours alone");
        }
        let ours = [
            "/var/lib/qubes",
            "/var/lib/qubes/appvms",
            "/var/lib/qubes/backup",
            "/run/qubes",
            "/run/qubes/lock",
        ];
        for directory in ours {
            assert_eq!(
                self.mode(directory),
                0o2770,
                "{directory} is for members of group qubes"
            );
        }
        assert_eq!(self.mode("/var/lib/qubes/qubes.xml"), 0o660);
        let checked = self.run("qubes-db --offline-mode check");
        assert_eq!(checked.code, 0, "{checked:?}");
    }

    /// Checks that a start fails with one line that says why, and changes nothing.
    pub fn check_that_nothing_starts(&self) {
        let before = tree::tree(self.root(), &[]);
        let line = self.fails("qvm-start work");
        assert!(
            line.starts_with("Error: Starting qube failed: work: libvirt is not installed ("),
            "{line}"
        );
        assert!(
            line.ends_with("install the package that provides libvirt.so.0\n"),
            "{line}"
        );
        let line = self.fails("qvm-start --offline-mode work");
        assert!(
            line.starts_with("Error: Starting qube failed: work: offline mode: "),
            "{line}"
        );
        tree::assert_same(
            &before,
            &tree::tree(self.root(), &[]),
            "a start that cannot be",
        );
    }
}

/// Splits a command line into words. Single quotes keep a word together.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let (mut open, mut quoted) = (false, false);
    for c in line.chars() {
        match c {
            '\'' => {
                quoted = !quoted;
                if !open {
                    words.push(String::new());
                    open = true;
                }
            }
            c if c.is_whitespace() && !quoted => open = false,
            c => {
                if !open {
                    words.push(String::new());
                    open = true;
                }
                words.last_mut().unwrap().push(c);
            }
        }
    }
    words
}

/// Returns libvirt's library, wherever the loader would find it.
fn libvirt_libraries() -> Vec<String> {
    let output = Command::new("ldconfig").arg("-p").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .filter(|l| l.trim_start().starts_with("libvirt.so.0 "));
    let paths = lines.filter_map(|l| fs::canonicalize(l.split(" => ").nth(1)?.trim()).ok());
    let paths: HashSet<PathBuf> = paths.collect();
    paths.into_iter().map(|p| p.display().to_string()).collect()
}

/// Returns the libraries and the loader that a program is linked with.
fn libraries_of(program: &Path) -> Vec<String> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let paths: Vec<String> = text
        .split_whitespace()
        .filter(|w| w.starts_with('/'))
        .map(str::to_string)
        .collect();
    assert!(
        paths.iter().all(|p| !p.contains("virt")),
        "the tools are not linked with libvirt: {paths:?}"
    );
    paths
}
