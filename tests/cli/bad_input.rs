//! Invalid input: each command ends with one clear line on standard error and the documented exit
//! code, and changes nothing on disk.

use std::fs;
use std::io::Read;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use qubes_test_support::{TestSystem, ToolOutput, binary, libvirt_daemon, skip, tree};

/// The address of a hypervisor that does not exist.
const NOWHERE: &str = "qemu:///system?socket=/nonexistent/libvirt-sock";
const NOBODY: &str = "65534";

/// A system with a template `tpl`, a qube `work` and a kernel, without a hypervisor.
struct System {
    system: TestSystem,
    uri: String,
    /// The program that runs the tools with fewer privileges, if any.
    within: Vec<String>,
    tools: PathBuf,
}

impl Deref for System {
    type Target = TestSystem;

    fn deref(&self) -> &TestSystem {
        &self.system
    }
}

/// A small file system that is mounted on a directory.
struct Mounted(tempfile::TempDir);

impl Drop for Mounted {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        let gone = umount.arg("--lazy").arg(self.0.path()).status();
        assert!(gone.is_ok_and(|s| s.success()) || std::thread::panicking());
    }
}

impl System {
    fn new() -> System {
        System::on(TestSystem::empty().online())
    }

    fn on(system: TestSystem) -> System {
        fs::set_permissions(system.root(), fs::Permissions::from_mode(0o755)).unwrap();
        let tools = binary("qubes").parent().unwrap().to_path_buf();
        let system = System {
            system,
            uri: NOWHERE.into(),
            within: Vec::new(),
            tools,
        };
        system.ok("qubes-create");
        system.install_kernel("6.6.1");
        system.add_template_and_qube();
        system
    }

    fn command(&self, words: &[&str]) -> Command {
        let tool = self.tools.join(words[0]);
        let mut command = match self.within.split_first() {
            None => self.program(tool),
            Some((program, arguments)) => {
                let mut command = self.program(program);
                command.args(arguments).arg(tool);
                command
            }
        };
        command.args(&words[1..]);
        command.env("QUBES_LIBVIRT_URI", &self.uri);
        command
    }

    fn run(&self, words: &[&str]) -> ToolOutput {
        self.run_command(self.command(words), "")
    }

    fn ok(&self, line: &str) -> String {
        let ran = self.run(&line.split_whitespace().collect::<Vec<_>>());
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        ran.stdout
    }

    /// Returns all files except those in RUN, where commands create lock files.
    fn tree(&self) -> tree::Tree {
        tree::tree(self.root(), &["run"])
    }

    /// Runs a command that must fail with `code` and one line that contains all `words`, and change
    /// nothing.
    fn refuses(&self, command: &[&str], code: i32, words: &[&str]) {
        let before = self.tree();
        let ran = self.run(command);
        let what = command.join(" ");
        assert_eq!(ran.code, code, "{what}: {ran:?}");
        assert_eq!(ran.stdout, "", "{what} prints data although it fails");
        let line = error_line(&what, &ran.stderr);
        for word in words {
            assert!(line.contains(word), "{what} does not name {word:?}: {line}");
        }
        tree::assert_same(&before, &self.tree(), &what);
    }
}

/// Splits a command line into words; `''` is an empty one.
fn errno_text(line: &str) -> Vec<&str> {
    line.split_whitespace()
        .map(|w| if w == "''" { "" } else { w })
        .collect()
}

/// Returns the single line of an error message, without usage and hint.
fn error_line(what: &str, stderr: &str) -> String {
    let usage = |line: &&str| {
        ["usage: ", "  ", "hint: "]
            .iter()
            .any(|front| line.starts_with(front))
    };
    let lines: Vec<&str> = stderr.lines().filter(|l| !usage(l)).collect();
    assert_eq!(
        lines.len(),
        1,
        "{what} is to complain in one line: {stderr}"
    );
    for technical in [
        "os error",
        "panicked",
        "Some(",
        "Err(",
        " { ",
        "caused by",
        "\u{1b}",
    ] {
        assert!(
            !lines[0].contains(technical),
            "{what} says {technical:?}: {stderr}"
        );
    }
    assert!(lines[0].len() < 700, "{what} says too much: {stderr}");
    lines[0].to_string()
}

fn is_root(what: &str) -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        skip(format_args!("{what} needs root"));
    }
    is_root
}

/// Commands of each kind: list, query, change, create, start, stop, remove and recover.
const ALL_KINDS: [&str; 12] = [
    "qvm-ls",
    "qvm-check work",
    "qubes-prefs",
    "qubes-prefs stats_interval 5",
    "qvm-prefs work memory",
    "qvm-prefs work memory 300",
    "qvm-create --label red new",
    "qvm-start work",
    "qvm-shutdown work",
    "qvm-kill work",
    "qvm-remove --force work",
    "qubes-recover",
];

/// Asserts that every kind of command refuses the store for this reason.
fn assert_refused_by_all(system: &System, reason: &str) {
    let file = system.store_file().display().to_string();
    for line in ALL_KINDS {
        if line != "qubes-recover" || system.store_file().exists() {
            system.refuses(&errno_text(line), 1, &[&file, reason]);
        }
    }
}

/// Asserts that a reading and a changing command refuse the store with little memory and in little
/// time.
fn assert_refused_cheaply(system: &mut System, what: &str, content: &[u8], reason: &str) {
    fs::write(system.store_file(), content).unwrap();
    system.within = ["prlimit", "--as=500000000", "--cpu=10"]
        .map(String::from)
        .to_vec();
    let file = system.store_file().display().to_string();
    for line in ["qvm-ls", "qvm-prefs work memory 300"] {
        eprintln!("{what}: {line}");
        system.refuses(&errno_text(line), 1, &[&file, reason]);
    }
    system.within.clear();
}

#[test]
fn a_missing_empty_or_truncated_store_is_refused() {
    let system = System::new();
    let good = fs::read(system.store_file()).unwrap();
    fs::write(system.store_file(), "").unwrap();
    assert_refused_by_all(&system, "the file is empty");
    system.refuses(
        &["qubes-create"],
        1,
        &[&system.store_file().display().to_string(), "exists already"],
    );
    for length in [1, good.len() / 4, good.len() / 2, good.len() - 2] {
        fs::write(system.store_file(), &good[..length]).unwrap();
        system.refuses(&["qvm-ls"], 1, &["qubes.xml: ", "line "]);
        system.refuses(
            &["qvm-prefs", "work", "memory", "300"],
            1,
            &["qubes.xml: ", "line "],
        );
    }
    assert_refused_by_all(&system, "line ");
    fs::remove_file(system.store_file()).unwrap();
    assert_refused_by_all(&system, "there is no store at");
}

#[test]
fn a_store_that_is_another_kind_of_file_is_refused() {
    let mut system = System::new();
    let good = fs::read_to_string(system.store_file()).unwrap();
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let noise: Vec<u8> = (0..50_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let latin: Vec<u8> = good
        .replace(">work<", ">w\u{f6}rk<")
        .chars()
        .map(|c| c as u32 as u8)
        .collect();
    let tailed = [good.as_bytes(), &[0; 64]].concat();
    let twice = format!("{good}{good}");
    let unknown = good.replace(">work<", ">&nbsp;<");
    let cases: [(&str, &[u8], &str); 9] = [
        ("text", b"hello world\n", "text outside the root element"),
        ("noise", &noise, "not well-formed"),
        (
            "html",
            b"<html><body/></html>",
            "the root element is <html>",
        ),
        ("two in one", twice.as_bytes(), "a second root element"),
        (
            "zeros, as some file systems leave behind",
            &[0; 4096],
            "NUL",
        ),
        ("zeros at the end", &tailed, "NUL"),
        ("UTF-16", &utf16, "UTF-8"),
        ("Latin-1", &latin, "not UTF-8"),
        (
            "an unknown entity",
            unknown.as_bytes(),
            "not begin a known reference",
        ),
    ];
    for (what, content, reason) in cases {
        assert_refused_cheaply(&mut system, what, content, reason);
    }
    fs::remove_file(system.store_file()).unwrap();
    fs::create_dir(system.store_file()).unwrap();
    assert_refused_by_all(&system, "is not a regular file");
    fs::remove_dir(system.store_file()).unwrap();
    nix::unistd::mkfifo(&system.store_file(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_refused_by_all(&system, "is not a regular file");
    fs::remove_file(system.store_file()).unwrap();
    std::os::unix::fs::symlink("qubes.xml", system.store_file()).unwrap();
    assert_refused_by_all(&system, "symbolic links");
}

#[test]
fn a_malicious_store_is_refused_at_little_cost() {
    let mut system = System::new();
    let good = fs::read_to_string(system.store_file()).unwrap();
    let mut bomb = "<?xml version=\"1.0\"?>\n<!DOCTYPE qubes [<!ENTITY a0 \"ha\">\n".to_string();
    (1..30).for_each(|n| bomb += &format!("<!ENTITY a{n} \"&a{0};&a{0};&a{0};&a{0};\">\n", n - 1));
    bomb += "]><qubes>&a29;</qubes>";
    assert_refused_cheaply(&mut system, "an entity bomb", bomb.as_bytes(), "DOCTYPE");
    let outside = "<!DOCTYPE qubes [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><qubes>&x;</qubes>";
    assert_refused_cheaply(
        &mut system,
        "an external entity",
        outside.as_bytes(),
        "DOCTYPE",
    );
    let deep = good.replace(
        "</qubes>",
        &format!(
            "{}{}</qubes>",
            "<a>".repeat(300_000),
            "</a>".repeat(300_000)
        ),
    );
    assert_refused_cheaply(
        &mut system,
        "deep nesting",
        deep.as_bytes(),
        "nest deeper than",
    );
    let huge = good.replace(
        "</qubes>",
        &format!("<!--{}--></qubes>", "x".repeat(100 << 20)),
    );
    assert_refused_cheaply(
        &mut system,
        "100 MB",
        huge.as_bytes(),
        "more than a store can have",
    );
    // A sparse file of a terabyte costs nothing either.
    fs::write(system.store_file(), &good).unwrap();
    fs::OpenOptions::new()
        .write(true)
        .open(system.store_file())
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    system.refuses(&["qvm-ls"], 1, &["more than a store can have"]);
}

#[test]
fn a_file_in_backup_longer_than_any_store_is_ignored() {
    let system = System::new();
    let note = system.path("/var/lib/qubes/appvms/new/creation.json");
    fs::create_dir_all(note.parent().unwrap()).unwrap();
    fs::write(
        note,
        r#"{"uuid":"14cf2e5d-7025-41d7-a69c-dc4282cbdcff","volumes":[]}"#,
    )
    .unwrap();
    let long = system.path("/var/lib/qubes/backup/long");
    fs::File::create(&long).unwrap().set_len(1 << 40).unwrap();
    system.ok("qvm-create --label red new");
    assert_eq!(fs::metadata(long).unwrap().len(), 1 << 40);
}

#[test]
fn damage_in_one_domain_is_reported_and_does_not_affect_the_others() {
    let system = System::new();
    system.ok("qvm-create --label blue other");
    let good = fs::read_to_string(system.store_file()).unwrap();
    let damaged = |name: &str| -> Vec<String> {
        let listed = system.run(&[
            "qvm-ls",
            "--offline-mode",
            "--raw-data",
            "--fields",
            "name,label",
        ]);
        assert_eq!(listed.code, 0, "{listed:?}");
        assert!(listed.stdout.contains("other|blue\n"), "{name}: {listed:?}");
        listed.stderr.lines().map(String::from).collect()
    };
    // A name with a NUL is invalid: the qube cannot be used, and one line reports its position.
    fs::write(system.store_file(), good.replace(">work<", ">wo\0rk<")).unwrap();
    let told = damaged("NUL in a name");
    assert!(
        told.len() == 1
            && told[0].contains("the domain at line ")
            && told[0].contains("cannot be used"),
        "{told:?}"
    );
    // A store that upstream could no longer load is not overwritten.
    system.refuses(
        &["qvm-prefs", "other", "memory", "300"],
        1,
        &["qubes.xml", "line "],
    );

    let at = good.find(">work<").unwrap();
    let deep = format!(
        "</properties>{}{}",
        "<a>".repeat(100_000),
        "</a>".repeat(100_000)
    );
    let nested = format!(
        "{}{}",
        &good[..at],
        good[at..].replacen("</properties>", &deep, 1)
    );
    fs::write(system.store_file(), nested).unwrap();
    let told = damaged("deep nesting");
    assert!(
        told.len() == 1 && told[0].starts_with("work: ") && told[0].contains("nest deeper"),
        "{told:?}"
    );

    let strange = good.replacen("<domains>", "<domains><domain class=\"NoSuchVM\" id=\"domain-77\"><properties><property name=\"name\">strange</property><property name=\"qid\">77</property></properties></domain>", 1);
    fs::write(system.store_file(), strange).unwrap();
    let told = damaged("an unknown class");
    assert_eq!(told, ["strange: 'NoSuchVM' is not a class of qubes"]);
    system.ok("qvm-prefs other memory 300");
    assert!(
        fs::read_to_string(system.store_file())
            .unwrap()
            .contains("class=\"NoSuchVM\""),
        "what is not understood is kept"
    );
}

#[test]
fn a_path_that_cannot_be_used_is_named_in_the_message() {
    let system = System::new();
    let etc = system.path("/etc/qubes");
    fs::create_dir_all(&etc).unwrap();
    let file = etc.join("core.toml").display().to_string();
    for (text, reason) in [
        ("[store", "unclosed"),
        ("[store]\nrelease = \"9\"\n", "\"9\""),
        ("[hypervisor]\nurl = \"x\"\n", "url"),
        ("[host]\ncpus = \"many\"\n", "many"),
    ] {
        fs::write(&file, text).unwrap();
        system.refuses(&["qvm-ls"], 1, &[&file, reason]);
    }
    fs::remove_file(&file).unwrap();
    system.refuses(
        &["qvm-ls", "--root", "/nonexistent/root"],
        1,
        &["/nonexistent/root", "No such file"],
    );
    system.refuses(
        &["qvm-ls", "--qubesxml", "/nonexistent/q.xml"],
        1,
        &["/nonexistent/q.xml", "no store"],
    );
    system.refuses(
        &["qubes-create", "--qubesxml", "/proc/q.xml"],
        1,
        &["/proc/q.xml"],
    );
}

#[test]
fn a_directory_without_write_access_is_reported() {
    if !is_root("acting as another user") {
        return;
    }
    let mut system = System::new();
    // Copies the tools to a directory that the user nobody can reach.
    let tools = tempfile::tempdir().unwrap();
    fs::set_permissions(tools.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for line in ALL_KINDS.iter().chain(&["qubes-create"]) {
        let tool = errno_text(line)[0];
        let there = tools.path().join(tool);
        if !there.exists() {
            fs::hard_link(binary(tool), &there)
                .or_else(|_| fs::copy(binary(tool), &there).map(drop))
                .unwrap();
        }
    }
    system.tools = tools.path().to_path_buf();
    let nobody = [
        "setpriv",
        "--reuid",
        NOBODY,
        "--regid",
        NOBODY,
        "--clear-groups",
    ];
    system.within = nobody.map(String::from).to_vec();
    let store = system.store_file().display().to_string();

    // With its original mode, others have no access.
    for line in ALL_KINDS.iter().filter(|l| **l != "qubes-recover") {
        system.refuses(&errno_text(line), 1, &[&store, "Permission denied"]);
    }
    system.refuses(
        &["qubes-create"],
        1,
        &["/var/lib/qubes", "Permission denied"],
    );

    // With read access they can read, but not change.
    assert!(
        Command::new("chmod")
            .arg("-R")
            .arg("a+rX")
            .arg(system.root())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        system.ok("qvm-ls --offline-mode --raw-list"),
        "dom0\ntpl\nwork\n"
    );
    system.refuses(
        &["qvm-prefs", "work", "memory", "300"],
        1,
        &[&store, "Permission denied"],
    );
    system.refuses(
        &["qvm-create", "--label", "red", "new"],
        1,
        &["lock new", "Permission denied"],
    );
    system.refuses(
        &["qvm-remove", "--force", "work"],
        1,
        &["lock work", "Permission denied"],
    );

    // Write access to the file alone is not enough, because a save replaces it.
    fs::set_permissions(system.store_file(), fs::Permissions::from_mode(0o666)).unwrap();
    system.refuses(
        &["qvm-prefs", "work", "memory", "300"],
        1,
        &[&store, "Permission denied"],
    );
}

#[test]
fn a_full_disk_is_reported_and_leaves_nothing_partial() {
    if !is_root("mounting a small file system") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=400k,mode=755", "none"])
        .arg(directory.path())
        .status();
    assert!(mount.unwrap().success());
    let root = directory.path().to_path_buf();
    let system = System::on(TestSystem::below(root, Mounted(directory)).online());
    // Fills the disk to the last byte.
    let filler = system.path("/filler");
    let mut file = fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[1; 4096]).is_ok_and(|n| n > 0) {}
    drop(file);

    let full = "No space left on device";
    system.refuses(
        &["qvm-prefs", "work", "memory", "300"],
        1,
        &["qubes.xml", full],
    );
    system.refuses(
        &["qubes-prefs", "stats_interval", "5"],
        1,
        &["qubes.xml", full],
    );
    system.refuses(
        &["qvm-create", "--label", "red", "new"],
        1,
        &["Error creating VM", full],
    );
    // Its images occupy no blocks, so deleting them first would free no space. The store stays
    // unchanged, and an error is reported.
    let store = fs::read(system.path("/var/lib/qubes/qubes.xml")).unwrap();
    let removal = system.run(&["qvm-remove", "--offline-mode", "--force", "work"]);
    assert_eq!(
        (removal.code, removal.stdout.as_str()),
        (1, ""),
        "{removal:?}"
    );
    assert!(
        ["qubes.xml", full]
            .iter()
            .all(|word| removal.stderr.contains(word)),
        "{removal:?}"
    );
    assert_eq!(
        fs::read(system.path("/var/lib/qubes/qubes.xml")).unwrap(),
        store
    );
    assert_eq!(
        system.ok("qvm-ls --offline-mode --raw-list"),
        "dom0\ntpl\nwork\n"
    );
    // No partial file is left, even where it took no space.
    let litter: Vec<_> = tree::tree(system.root(), &[])
        .into_keys()
        .filter(|p| p.to_string_lossy().contains('~'))
        .collect();
    assert!(litter.is_empty(), "{litter:?}");

    fs::remove_file(&filler).unwrap();
    // An interrupted removal can be finished.
    system.ok("qvm-remove --offline-mode --force work");
    assert!(!system.path("/var/lib/qubes/appvms/work").exists());
    system.ok("qvm-create --label red new");
    system.ok("qvm-prefs new memory 300");
}

#[test]
fn only_commands_that_need_libvirt_fail_while_it_is_down() {
    let system = System::new();
    let reason = "'/nonexistent/libvirt-sock': No such file or directory; is libvirtd running?";
    let before = tree::tree(system.root(), &[]);
    system.refuses(
        &["qvm-start", "work"],
        1,
        &[
            "Error: Starting qube failed: work: cannot reach the hypervisor",
            reason,
        ],
    );
    tree::assert_same(
        &before,
        &tree::tree(system.root(), &[]),
        "what cannot be done, locks included,",
    );
    // These leave only the stop mark for a start in progress.
    system.refuses(
        &["qvm-kill", "work"],
        1,
        &["Error: Failed to kill: work: ", reason],
    );
    system.refuses(
        &["qvm-shutdown", "work"],
        1,
        &["Error: Failed to shut down: work: ", reason],
    );
    system.refuses(
        &["qvm-pause", "work"],
        1,
        &["Error: Failed to pause: work: cannot reach", reason],
    );
    system.refuses(
        &["qvm-unpause", "work"],
        1,
        &[
            "Error: Failed to unpause/resume: work: cannot reach",
            reason,
        ],
    );
    assert!(
        !system.path("/run/qubes/vm/work").exists(),
        "no record is made"
    );
    // In a listing the state is NA, and one line gives the reason.
    let listed = system.run(&["qvm-ls", "--raw-data", "--fields", "name,state"]);
    assert_eq!(
        (listed.code, listed.stdout.as_str()),
        (0, "dom0|Running\ntpl|NA\nwork|NA\n")
    );
    assert!(
        error_line("qvm-ls", &listed.stderr).contains(reason),
        "{listed:?}"
    );
    // The exit code is the number of failures.
    assert_eq!(system.run(&["qvm-kill", "tpl", "work"]).code, 2);
}

#[test]
fn a_qube_that_does_not_start_is_reported_and_leaves_nothing_behind() {
    let uri = match libvirt_daemon::uri() {
        Ok(uri) => uri,
        Err(reason) => return skip(format_args!("no libvirt: {reason}")),
    };
    let mut system = System::new();
    system.uri = uri.to_string();
    system.ok("qvm-prefs work memory 64");
    system.ok("qvm-prefs work maxmem 0");
    let template = |text: &str| {
        let file = system.path("/etc/qubes/templates/libvirt/qemu/by-name/work.xml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    let refused = |words: &[&str]| {
        // Scratch images of the qube may remain, prepared for the next start.
        let stay = |(path, _): &(PathBuf, String)| !path.to_string_lossy().contains("precache");
        let before = system.tree().into_iter().filter(stay).collect();
        let ran = system.run(&["qvm-start", "work"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        let line = error_line("qvm-start", &ran.stderr);
        assert!(
            line.starts_with("Error: Starting qube failed: work: "),
            "{line}"
        );
        assert!(words.iter().all(|w| line.contains(w)), "{words:?}: {line}");
        let after = system.tree().into_iter().filter(stay).collect();
        tree::assert_same(&before, &after, &line);
        assert!(
            !system.path("/run/qubes/vm/work").exists(),
            "no record stays"
        );
        assert_eq!(
            system.ok("qvm-ls --raw-data --fields state work"),
            "Halted\n"
        );
    };
    // The kernel of this system is a text file, which QEMU refuses.
    refused(&["libvirt refused to", "kernel"]);
    let with = |block: &str| format!("{{% extends 'libvirt/qemu.xml' %}}\n{block}");
    template(&with(
        "{% block devices %}<emulator>/nonexistent/qemu</emulator>{% endblock %}",
    ));
    refused(&["/nonexistent/qemu"]);
    template(&with(
        "{% block devices %}<emulator>/bin/false</emulator>{% endblock %}",
    ));
    refused(&["/bin/false"]);
    template("no xml");
    refused(&["libvirt refused to"]);
    template(&with("{% block devices %}"));
    refused(&["qemu/by-name/work.xml", "line "]);
    template(&with("{% block devices %}{{ vm.nonsense }}{% endblock %}"));
    refused(&["qemu/by-name/work.xml", "line "]);
    // The kernel is removed between setting and starting.
    fs::remove_file(system.path("/etc/qubes/templates/libvirt/qemu/by-name/work.xml")).unwrap();
    fs::remove_dir_all(system.path("/var/lib/qubes/vm-kernels/6.6.1")).unwrap();
    refused(&["6.6.1"]);
    system.ok("qvm-remove --force work");
}

#[test]
fn texts_of_a_store_cannot_control_a_terminal() {
    let system = System::new();
    system.ok("qvm-prefs work kernelopts EVIL");
    let text = fs::read_to_string(system.store_file()).unwrap();
    // A one-character CSI, a delete, and a label with both: XML can contain them, but not ESC
    // itself.
    let evil = text
        .replace("EVIL", "a\u{9b}2Jb\u{7f}c")
        .replace(">green<", ">gr\u{9b}31meen<");
    fs::write(system.store_file(), evil).unwrap();
    for words in [
        &["qvm-prefs", "work", "kernelopts"][..],
        &["qvm-prefs", "work"],
        &["qvm-ls", "--offline-mode"],
        &[
            "qvm-ls",
            "--offline-mode",
            "--fields",
            "name,label,kernelopts",
        ],
        &[
            "qvm-ls",
            "--offline-mode",
            "--json",
            "--fields",
            "name,label,kernelopts",
        ],
        &["qvm-create", "--label", "\u{1b}[31mpink", "new"],
        &["qvm-create", "--label", "red", "\u{1b}]0;title\u{7}"],
        &["qvm-prefs", "\u{1b}[2J"],
        &["qvm-prefs", "work", "\u{9b}2J"],
        &["qvm-start", "--\u{1b}[2J"],
        &["qvm-check", "\u{1b}[2J"],
        &["qvm-prefs", "work", "netvm", "\u{1b}[2J"],
        &["qvm-ls", "--qubesxml", "/nonexistent/\u{1b}[2J"],
    ] {
        let shown = on_terminal(&system, words);
        let controls: String = shown
            .chars()
            .filter(|c| c.is_control() && !['\n', '\r', '\t'].contains(c))
            .collect();
        assert_eq!(controls, "", "{words:?} lets them through: {shown:?}");
        assert!(!shown.is_empty(), "{words:?} says something");
    }
    // Output for scripts is the stored text.
    assert_eq!(
        system.ok("qvm-prefs work kernelopts"),
        "a\u{9b}2Jb\u{7f}c\n"
    );
}

/// Returns the output on a terminal.
fn on_terminal(system: &System, words: &[&str]) -> String {
    let ends = nix::pty::openpty(None, None).unwrap();
    let mut command = system.command(words);
    let slave = || Stdio::from(ends.slave.try_clone().unwrap());
    // The tools' own colours are not the subject of the test.
    let mut child = command
        .env("RUST_BACKTRACE", "0")
        .env("NO_COLOR", "1")
        .stdin(slave())
        .stdout(slave())
        .stderr(slave())
        .spawn()
        .unwrap();
    drop((command, ends.slave));
    let mut bytes = Vec::new();
    // On a terminal, a read fails once the last writer is gone; that is its end of file.
    let _closed = fs::File::from(ends.master).read_to_end(&mut bytes);
    child.wait().unwrap();
    String::from_utf8(bytes).unwrap()
}
