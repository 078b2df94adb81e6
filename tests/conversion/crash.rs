//! A conversion is killed before each call that changes something: either the store is the old one
//! and the next write converts it, or it is the new one and everything beside it is converted.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};

use qubes_test_support::skip;

use crate::old_system::{OldSystem, RESTRICTIVE_R3_RULES, RESTRICTIVE_R4_RULES};

/// The system calls that change what a crash leaves behind.
const CHANGING_CALLS: [&str; 17] = [
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

/// The rule files of this system, at the paths of R4.
const RULE_FILES: [&str; 3] = [
    "appvms/work/firewall.xml",
    "appvms/sys-firewall/firewall.xml",
    "vm-templates/win-tpl/firewall.xml",
];

fn trace_writer(system: &OldSystem, arguments: &[&str]) -> Command {
    let writer = system.command("qvm-prefs work memory 500");
    let mut command = Command::new("strace");
    command
        .args(["-f", "-qq", "-o"])
        .arg(system.root().join("log"))
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

/// Returns the changing calls after the store was opened for writing: name, and number among the
/// calls of this name.
fn changing_calls(log: &str) -> Vec<(String, usize)> {
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
        if is_begun && changes && CHANGING_CALLS.contains(&name) {
            calls.push((name.to_string(), *number));
        }
    }
    calls
}

#[test]
fn a_conversion_killed_anywhere_is_completed_by_the_next_command() {
    let system = OldSystem::with_images();
    if !trace_writer(&system, &[])
        .status()
        .is_ok_and(|s| s.success())
    {
        skip("strace is not installed or may not trace here");
        return;
    }
    let calls = changing_calls(&fs::read_to_string(system.root().join("log")).unwrap());
    // Copies of the store and of two rule files, four new rule files, the store.
    let renames = calls
        .iter()
        .filter(|(name, _)| name.starts_with("rename"))
        .count();
    assert!(renames >= 8, "the trace misses the conversion: {calls:?}");
    let (mut left_old, mut left_new, mut left_between) = (0, 0, 0);
    for (name, number) in &calls {
        let at = format!("killed before {name} number {number}");
        let system = OldSystem::with_images();
        let inject = format!("inject={name}:signal=KILL:when={number}");
        let ended = trace_writer(&system, &["-e", &inject]).status().unwrap();
        assert!(!ended.success(), "{at}: it was not reached");
        let is_converted = |file: &str| match fs::read_to_string(system.base().join(file)) {
            Ok(text) if text == RESTRICTIVE_R4_RULES => true,
            Ok(text) => {
                assert_eq!(text, RESTRICTIVE_R3_RULES, "{at}: {file}");
                false
            }
            Err(_) => false,
        };
        let converted = RULE_FILES
            .into_iter()
            .filter(|file| is_converted(file))
            .count();
        if system.is_old() {
            left_old += 1;
            left_between += u32::from(converted > 0);
        } else {
            left_new += 1;
            system.assert_sound(&at);
            assert_eq!(
                converted,
                RULE_FILES.len(),
                "{at}: the store is the new one"
            );
        }
        // The next command completes the conversion from any state.
        system.succeeds("qvm-prefs work memory 600");
        system.assert_sound(&at);
        assert_eq!(system.succeeds("qvm-prefs work memory"), "600\n", "{at}");
        assert!(RULE_FILES.into_iter().all(is_converted), "{at}");
        let kept: Vec<String> = system
            .copy_names()
            .iter()
            .map(|name| system.read(&format!("backup/{name}")))
            .collect();
        assert!(
            kept.iter().any(|text| text.as_bytes() == system.before),
            "{at}: the old store was kept"
        );
        assert!(
            kept.iter()
                .filter(|text| *text == RESTRICTIVE_R3_RULES)
                .count()
                >= 2,
            "{at}: the old rules were kept"
        );
    }
    assert!(
        left_old > 0 && left_new > 0 && left_between > 0,
        "{left_old}, {left_new}, {left_between}"
    );
}
