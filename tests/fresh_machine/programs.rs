//! Checks that `demo/dependencies.sh` looks for every program that a test or script calls.

use std::collections::BTreeSet;
use std::path::Path;

use crate::shell;
use crate::sources::{Source, recipes, repository, scripts, tests};

/// Programs of packages that every Debian and Fedora has: coreutils, util-linux, the C library's,
/// grep, sed, tar, findutils, diffutils, shadow.
const EVERYWHERE: &str = "basename bash sh cat chgrp chmod chown chroot cksum cmp cp cut date dd df diff dirname du env find findmnt \
    flock getconf getent grep groupadd gunzip gzip hostname id install kill ldconfig ldd ln ls mkdir mknod mktemp \
    mount mv nproc od prlimit readlink realpath rm rmdir sed seq setsid sha256sum sleep sort stat sync tac tail tar \
    tee timeout touch tr truncate umount uname uniq unlink unshare useradd wc xargs head mountpoint stty blockdev";

/// Programs in the package of another one that is looked for.
const SAME_PACKAGE: [(&str, &str); 5] = [
    ("chattr", "mke2fs"),
    ("mkfs.ext4", "mke2fs"),
    ("depmod", "modprobe"),
    ("libvirtd", "virtlogd"),
    ("virtqemud", "virtlogd"),
];

/// The Rust toolchain, which has a check of its own.
const TOOLCHAIN: &str = "cargo rustc rustfmt";

/// Programs that are called only inside the lab's machine.
const INSIDE_LAB: &str = "dmsetup lvm lvcreate lvremove vgcreate vgremove";

/// Programs that are called only if they exist: package managers, service managers, and git in a
/// clone.
const OPTIONAL: &str = "apt-get apt-cache apt-config dpkg dpkg-query dnf rpm rpm2cpio rustup sudo systemctl \
    systemd-sysusers systemd-tmpfiles git";

/// Keywords and builtins of bash.
const BUILTINS: &str = ". : [ [[ alias break builtin case cd command compgen continue declare do done echo esac eval \
    exec exit export fi for function hash in let local mapfile popd printf pushd pwd read return select set shift \
    source test times trap true false type typeset ulimit umask unset wait";

/// Literals of tests that are also the name of a program.
const COINCIDENCES: &str = "convert ed editor file idle id last link man red rev size test true false yes write name who \
    work users dir info sum factor split host import display w at from time watch sg top less more join paste fold \
    expand tag free script groups uptime ip sync make clear reset col rename comm kill logger mesg service";

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_whitespace()
}

/// Returns the programs that dependencies.sh looks for.
fn looked_for() -> BTreeSet<String> {
    let text = std::fs::read_to_string(repository("demo/dependencies.sh")).unwrap();
    let needs = text
        .lines()
        .filter(|line| line.trim_start().starts_with("need \""));
    let check = |line: &str| line.split('"').nth(3).map(String::from);
    let checks: BTreeSet<String> = needs.filter_map(check).collect();
    let mut programs: BTreeSet<String> = checks
        .iter()
        .filter_map(|c| c.strip_prefix("has "))
        .map(String::from)
        .collect();
    // Checks beyond the existence of a program.
    for (check, program) in [
        ("has_busybox", "busybox"),
        ("has_libvirt_qemu", "virtqemud"),
    ] {
        if checks.contains(check) {
            programs.insert(program.to_string());
        }
    }
    programs
}

struct Known {
    looked_for: BTreeSet<String>,
    own: BTreeSet<String>,
}

impl Known {
    fn new() -> Known {
        let own = qubes::tools::COMMANDS.iter().map(|c| c.name.to_string());
        let more = ["qubes", "qubes-complete"].map(String::from);
        Known {
            looked_for: looked_for(),
            own: own.chain(more).collect(),
        }
    }

    fn has(&self, program: &str) -> bool {
        let is_in_same_package = SAME_PACKAGE
            .iter()
            .any(|(other, of)| *other == program && self.looked_for.contains(*of));
        is_in_same_package
            || self.looked_for.contains(program)
            || self.own.contains(program)
            || [EVERYWHERE, OPTIONAL, TOOLCHAIN, INSIDE_LAB]
                .into_iter()
                .flat_map(words)
                .any(|w| w == program)
    }
}

fn is_installed_here(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/bin", "/sbin"]
        .iter()
        .any(|d| Path::new(d).join(program).exists())
}

fn is_program_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
}

/// Words that run the command after them.
const RUNNERS: &str =
    "exec env command sudo as_root xargs nohup nice setsid timeout unshare setpriv run show chroot";

/// Returns the program that a command runs and those that it runs through others.
fn called_programs(command: &shell::Command) -> Vec<&str> {
    let mut called = Vec::new();
    let mut rest = command.words.as_slice();
    while let [word, arguments @ ..] = rest {
        called.push(word.as_str());
        if !words(RUNNERS).any(|runner| runner == word) {
            break;
        }
        let is_argument =
            |w: &String| w.starts_with('-') || w.contains(['=', '$']) || w.parse::<f64>().is_ok();
        let skipped = arguments.iter().take_while(|w| is_argument(w)).count();
        rest = &arguments[skipped..];
    }
    called
}

fn unknown_in_script(source: &Source, known: &Known, unknown: &mut Vec<String>) -> usize {
    let script = shell::read(&source.text);
    let mut read = 0;
    for command in &script.commands {
        for program in called_programs(command)
            .into_iter()
            .filter(|w| is_program_name(w))
        {
            let is_shells =
                words(BUILTINS).any(|b| b == program) || script.functions.contains(program);
            read += 1;
            if !is_shells && !known.has(program) {
                unknown.push(format!("{}:{}: {program}", source.path, command.line));
            }
        }
    }
    read
}

#[test]
fn every_program_that_a_script_calls_is_looked_for() {
    let known = Known::new();
    let mut unknown = Vec::new();
    let sources = scripts().into_iter().chain(recipes());
    let read: usize = sources
        .map(|source| unknown_in_script(&source, &known, &mut unknown))
        .sum();
    assert!(read > 300, "{read} commands were read");
    report(&unknown);
}

fn report(unknown: &[String]) {
    assert!(
        unknown.is_empty(),
        "demo/dependencies.sh does not look for these programs (add words that are not programs to COINCIDENCES):\n{}",
        unknown.join("\n")
    );
}

/// The literal arguments of calls that run a program or look for one.
const CALLS: [&str; 5] = [
    "Command::new(\"",
    "Program::new(\"",
    "command(\"",
    "is_installed(\"",
    "exec::find_program(\"",
];

/// Parts of lines that pass a program to another one.
const PASSED_TO_OTHERS: [&str; 5] = [
    ".arg(",
    ".args(",
    "within",
    "Command::new(",
    "Program::new(",
];

#[test]
fn every_program_that_a_test_calls_is_looked_for() {
    let known = Known::new();
    let mut unknown = Vec::new();
    let mut read = 0;
    for source in tests() {
        for (number, line) in source.text.lines().enumerate() {
            let at = |program: &str| format!("{}:{}: {program}", source.path, number + 1);
            let calls = CALLS.iter().flat_map(|call| line.split(call).skip(1));
            for program in calls
                .filter_map(|rest| rest.split('"').next())
                .filter(|w| is_program_name(w))
            {
                read += 1;
                if !known.has(program) {
                    unknown.push(at(program));
                }
            }
            // A literal that is installed here may be a program that another one runs.
            if !PASSED_TO_OTHERS.iter().any(|call| line.contains(call)) {
                continue;
            }
            for literal in line
                .split('"')
                .skip(1)
                .step_by(2)
                .filter(|w| is_program_name(w))
            {
                let is_coincidence = words(COINCIDENCES).any(|word| word == literal);
                if !is_coincidence && !known.has(literal) && is_installed_here(literal) {
                    unknown.push(at(literal));
                }
            }
        }
    }
    assert!(read > 40, "{read} calls were read");
    unknown.dedup();
    report(&unknown);
}
