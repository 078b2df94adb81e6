//! Kills a step at one of its system calls: runs a test of this binary again under strace.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;

use qubes::exec::Program;

/// The system calls that change a file or a directory.
const CHANGING_CALLS: &str = "rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,mkdirat,\
    rmdir,fsync,fdatasync,ftruncate,fallocate,fchmod,chmod,fchmodat,utimensat,copy_file_range,\
    pwrite64,ioctl";

/// A system call of a step. `number` counts the calls of that name in one thread, as strace does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    name: String,
    number: usize,
}

/// Runs `test` in its own process with this environment and returns its changing calls as strace
/// writes them: thread, name, arguments with the paths of descriptors, result.
pub fn trace_calls(test: &str, environment: &[(&str, OsString)]) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let log_option = log.path().as_os_str().to_owned();
    let trace = format!("trace={CHANGING_CALLS}");
    let output = run(
        test,
        environment,
        &[
            "-y".into(),
            "-o".into(),
            log_option,
            "-e".into(),
            trace.into(),
        ],
    );
    assert!(
        output.status.success(),
        "{test}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::read_to_string(log.path())
        .unwrap()
        .lines()
        .map(String::from)
        .collect()
}

/// Runs `test` in its own process with this environment to its end and returns its changing calls.
pub fn list_calls(test: &str, environment: &[(&str, OsString)]) -> Vec<Call> {
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    let mut calls = Vec::new();
    for line in trace_calls(test, environment) {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, _)) = call.trim_start().split_once('(') else {
            continue;
        };
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            continue;
        }
        let number = seen.entry((thread.into(), name.into())).or_default();
        *number += 1;
        calls.push(Call {
            name: name.into(),
            number: *number,
        });
    }
    assert!(calls.len() > 1, "{test} changed nothing");
    calls
}

/// Runs `test` again and kills it just before that call.
pub fn run_killed_at(test: &str, environment: &[(&str, OsString)], call: &Call) {
    let Call { name, number } = call;
    let inject = format!("inject={name}:signal=KILL:when={number}");
    let options = [
        "-o".into(),
        "/dev/null".into(),
        "-e".into(),
        format!("trace={name}").into(),
        "-e".into(),
        inject.into(),
    ];
    let output = run(test, environment, &options);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.signal(),
        Some(9),
        "{test} was not killed at {call:?}: {stderr}"
    );
}

fn run(
    test: &str,
    environment: &[(&str, OsString)],
    options: &[OsString],
) -> qubes::exec::ProgramOutput {
    let program = Program::new("strace")
        .args(["-f", "-qq"])
        .args(options)
        .arg(env::current_exe().unwrap());
    let program = program.args(["--exact", test, "--nocapture"]);
    environment
        .iter()
        .fold(program, |p, (name, value)| p.env(name, value))
        .run()
        .unwrap()
}
