//! Steps that die at one of their system calls: a test of this binary, run again under strace.
//! For each test file to include by itself: `#[path = "support/dying.rs"] mod dying;`.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;

use qubes::exec::Program;

/// Every call of ours that changes a file or a directory.
const CHANGING: &str = "rename,renameat,renameat2,unlink,unlinkat,link,linkat,mkdir,mkdirat,rmdir,fsync,fdatasync,\
                        ftruncate,fchmod,chmod,fchmodat,utimensat,copy_file_range,pwrite64";

/// Runs `test` in a process of its own with this environment until its `call`th changing call, on entering which it is
/// killed; says whether it got through.
pub fn run_dying(test: &str, environment: &[(&str, OsString)], call: u32) -> bool {
    let program = Program::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null"])
        .args(["-e".into(), format!("trace={CHANGING}")])
        .args(["-e".into(), format!("inject={CHANGING}:signal=KILL:when={call}")])
        .arg(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"]);
    let answer = environment.iter().fold(program, |p, (name, value)| p.env(name, value)).answer().unwrap();
    let died = answer.status.signal() == Some(9);
    let words = String::from_utf8_lossy(&answer.stderr);
    assert!(died || answer.status.success(), "{test} failed at call {call}: {words}");
    !died
}
