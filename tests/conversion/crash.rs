//! A conversion that is killed before any call that changes something: the store is the old one and
//! the next write converts it, or the new one and everything beside it is converted.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::old_system::{CLOSED, CLOSED_IN_R4, OldSystem};
use crate::skip;

/// The calls that change what a crash leaves behind.
const CHANGING: [&str; 17] = [
    "openat",
    "write",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "fchmod",
    "chmod",
    "linkat",
    "copy_file_range",
    "sendfile",
];

/// The files of rules of this system: where R4 looks for them.
const RULES: [&str; 3] = [
    "appvms/work/firewall.xml",
    "appvms/sys-firewall/firewall.xml",
    "vm-templates/win-tpl/firewall.xml",
];

fn traced(system: &OldSystem, arguments: &[&str]) -> Command {
    let writer = system.command("qvm-prefs work memory 500");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o"])
        .arg(system.dir.path().join("log"))
        .args(arguments);
    command.arg(writer.get_program()).args(writer.get_args());
    command.envs(
        writer
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The changing calls after the store was opened for writing: name, and which of its name.
fn calls(log: &str) -> Vec<(String, usize)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let (mut calls, mut is_begun) = (Vec::new(), false);
    for line in log.lines() {
        let Some((name, rest)) = line
            .split_once(' ')
            .and_then(|(_, call)| call.trim_start().split_once('('))
        else {
            continue;
        };
        let number = seen.entry(name).or_default();
        *number += 1;
        is_begun |= rest.contains("/qubes.xml\"") && rest.contains("O_RDWR");
        let changes = name != "openat" || rest.contains("O_CREAT");
        if is_begun && changes && CHANGING.contains(&name) {
            calls.push((name.to_string(), *number));
        }
    }
    calls
}

#[test]
fn a_conversion_killed_anywhere_is_completed_by_the_next_command() {
    let system = OldSystem::whole();
    if !traced(&system, &[]).status().is_ok_and(|s| s.success()) {
        skip::skip("strace is not installed or may not trace here");
        return;
    }
    let calls = calls(&fs::read_to_string(system.dir.path().join("log")).unwrap());
    // Copies of the store and of two files of rules, four new files of rules, the store.
    let renames = calls
        .iter()
        .filter(|(name, _)| name.starts_with("rename"))
        .count();
    assert!(renames >= 8, "the trace misses the conversion: {calls:?}");
    let (mut left_old, mut left_new, mut left_between) = (0, 0, 0);
    for (name, number) in &calls {
        let at = format!("killed before {name} number {number}");
        let system = OldSystem::whole();
        let inject = format!("inject={name}:signal=KILL:when={number}");
        let ended = traced(&system, &["-e", &inject]).status().unwrap();
        assert!(!ended.success(), "{at}: it was not reached");
        let is_converted = |file: &str| match fs::read_to_string(system.base().join(file)) {
            Ok(text) if text == CLOSED_IN_R4 => true,
            Ok(text) => {
                assert_eq!(text, CLOSED, "{at}: {file}");
                false
            }
            Err(_) => false,
        };
        let converted = RULES.into_iter().filter(|file| is_converted(file)).count();
        if system.is_old() {
            left_old += 1;
            left_between += u32::from(converted > 0);
        } else {
            left_new += 1;
            system.is_sound(&at);
            assert_eq!(converted, RULES.len(), "{at}: the store is the new one");
        }
        // Whatever was left, the next command completes it.
        system.ok("qvm-prefs work memory 600");
        system.is_sound(&at);
        assert_eq!(system.ok("qvm-prefs work memory"), "600\n", "{at}");
        assert!(RULES.into_iter().all(is_converted), "{at}");
        let kept: Vec<String> = system
            .kept()
            .iter()
            .map(|name| system.read(&format!("backup/{name}")))
            .collect();
        assert!(
            kept.iter().any(|text| text.as_bytes() == system.before),
            "{at}: the old store was kept"
        );
        assert!(
            kept.iter().filter(|text| *text == CLOSED).count() >= 2,
            "{at}: the old rules were kept"
        );
    }
    assert!(
        left_old > 0 && left_new > 0 && left_between > 0,
        "{left_old}, {left_new}, {left_between}"
    );
}
