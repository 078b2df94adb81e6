//! Whoever waits at a terminal sees how far a copy is; nobody else hears a word.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::system::{MIB, System, random_bytes};

/// What is shown on a terminal that is standard error of `line`, until `wanted` is seen there while the command waits for
/// more data; then to its end.
fn shown(system: &System, line: &str, input: &[u8], wanted: &str) -> String {
    let ends = nix::pty::openpty(None, None).unwrap();
    let mut command = system.command(line);
    command.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::from(ends.slave));
    let mut child = command.spawn().unwrap();
    drop(command);
    let (told, heard) = mpsc::channel();
    let reader = thread::spawn(move || {
        let (mut master, mut piece) = (File::from(ends.master), [0; 4096]);
        // The read ends with an error when the last writer is gone: that is a terminal's end of file.
        while let Ok(got @ 1..) = master.read(&mut piece) {
            told.send(String::from_utf8_lossy(&piece[..got]).into_owned()).unwrap();
        }
    });
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(input).unwrap();
    let mut seen = String::new();
    while !wanted.is_empty() && !seen.contains(wanted) {
        seen +=
            &heard.recv_timeout(Duration::from_secs(60)).unwrap_or_else(|_| panic!("not shown: {wanted}: {seen:?}"));
    }
    drop(pipe);
    assert!(child.wait().unwrap().success(), "{seen}");
    reader.join().unwrap();
    seen + &heard.try_iter().collect::<String>()
}

#[test]
fn a_terminal_shows_a_bar_that_is_gone_at_the_end() {
    let system = System::new();
    let seen = shown(&system, "qvm-volume import --size 8MiB work:private -", &random_bytes(4 * MIB, 1), "/8.00 MiB");
    assert!(seen.contains("work:private "), "{seen:?}");
    let last = seen.rsplit('\r').next().unwrap();
    assert_eq!(last.trim_start_matches("\u{1b}[2K"), "", "the line is cleared: {seen:?}");
    let unknown = shown(&system, "qvm-volume import work:private -", &random_bytes(4 * MIB, 1), "MiB");
    assert!(unknown.contains("work:private "), "{unknown:?}");
    assert_eq!(shown(&system, "qvm-volume -q import work:private -", &random_bytes(MIB, 1), ""), "");
}
