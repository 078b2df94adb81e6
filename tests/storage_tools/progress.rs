//! Progress bars: copies show one on a terminal and nothing elsewhere.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use qubes_test_support::{FileSystem, skip};

use crate::small_pool::SmallPool;
use crate::system::{MIB, System, random_bytes};

/// Opens a terminal that programs inherit only where it is given to them: a monitor would keep it
/// open.
fn terminal() -> nix::pty::OpenptyResult {
    let ends = nix::pty::openpty(None, None).unwrap();
    for end in [&ends.master, &ends.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    ends
}

/// Returns what `line` shows on a terminal as its standard error: until `wanted` appears while the
/// command waits for more data, then until it ends.
fn shown(system: &System, line: &str, input: &[u8], wanted: &str) -> String {
    let ends = terminal();
    let mut command = system.command(line);
    command
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::from(ends.slave));
    let mut child = command.spawn().unwrap();
    drop(command);
    let (told, heard) = mpsc::channel();
    let reader = thread::spawn(move || {
        let (mut master, mut piece) = (File::from(ends.master), [0; 4096]);
        // The read fails when the last writer is gone: that is a terminal's end of file.
        while let Ok(got @ 1..) = master.read(&mut piece) {
            told.send(String::from_utf8_lossy(&piece[..got]).into_owned())
                .unwrap();
        }
    });
    let mut pipe = child.stdin.take().unwrap();
    pipe.write_all(input).unwrap();
    let mut seen = String::new();
    while !wanted.is_empty() && !seen.contains(wanted) {
        seen += &heard
            .recv_timeout(Duration::from_secs(60))
            .unwrap_or_else(|_| panic!("not shown: {wanted}: {seen:?}"));
    }
    drop(pipe);
    assert!(child.wait().unwrap().success(), "{seen}");
    reader.join().unwrap();
    seen + &heard.try_iter().collect::<String>()
}

#[test]
fn a_terminal_shows_a_bar_and_removes_it_at_the_end() {
    let system = System::new();
    let seen = shown(
        &system,
        "qvm-volume import --size 8MiB work:private -",
        &random_bytes(8 * MIB, 1),
        "/8.00 MiB",
    );
    assert!(seen.contains("work:private "), "{seen:?}");
    let last = seen.rsplit('\r').next().unwrap();
    assert_eq!(
        last.trim_start_matches("\u{1b}[2K"),
        "",
        "the line is cleared: {seen:?}"
    );
    let unknown = shown(
        &system,
        "qvm-volume import work:private -",
        &random_bytes(4 * MIB, 1),
        "MiB",
    );
    assert!(unknown.contains("work:private "), "{unknown:?}");
    assert_eq!(
        shown(
            &system,
            "qvm-volume -q import work:private -",
            &random_bytes(MIB, 1),
            ""
        ),
        ""
    );
}

/// Returns what a command shows on a terminal while each copy by the kernel is delayed.
fn shown_slowly(command: &Command) -> String {
    let ends = terminal();
    // Without -f: the monitor of a started qube is not waited for.
    let mut traced = Command::new("strace");
    traced.args(["-qq", "-o", "/dev/null", "-e", "trace=copy_file_range"]);
    traced
        .args(["-e", "inject=copy_file_range:delay_enter=700000"])
        .arg(command.get_program())
        .args(command.get_args());
    traced.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    traced
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::from(ends.slave));
    let mut child = traced.spawn().unwrap();
    drop(traced);
    let (mut master, mut piece, mut seen) = (File::from(ends.master), [0; 4096], String::new());
    while let Ok(got @ 1..) = master.read(&mut piece) {
        seen += &String::from_utf8_lossy(&piece[..got]);
    }
    assert!(child.wait().unwrap().success(), "{command:?}: {seen:?}");
    seen
}

/// Checks that the bar of a volume was shown and removed.
fn assert_shown(command: &Command, volume: &str) {
    let seen = shown_slowly(command);
    assert!(
        seen.contains(&format!("{volume} ")) && seen.contains("/1.00 MiB"),
        "{command:?}: {seen:?}"
    );
    assert!(
        !seen.rsplit('\r').next().unwrap().contains(volume),
        "{command:?}: it stays: {seen:?}"
    );
}

#[test]
fn every_copy_shows_a_bar() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    // If blocks are shared, nothing is copied.
    let Some(system) = System::on(FileSystem::Ext4) else {
        return;
    };
    let bytes = random_bytes(MIB, 1);
    let file = system.file("data", &bytes);
    let file = file.display();
    for volume in ["tpl:root", "work:private"] {
        system.ok(format!("qvm-volume import {volume} {file}"));
    }
    let package = system.path("/package");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(package.join("root.img"), &bytes).unwrap();
    let dirty = |volume: &str| {
        let (clean, dirty) = (
            system.image(&format!("{volume}.img")),
            system.image(&format!("{volume}-dirty.img")),
        );
        std::fs::copy(clean, dirty).unwrap();
    };
    for (line, volume) in [
        (
            format!("qvm-volume import work:private {file}"),
            "work:private",
        ),
        (
            "qvm-volume clone -f tpl:root work:private".to_string(),
            "work:private",
        ),
        ("qvm-clone work copy".to_string(), "copy:private"),
        (
            format!("qvm-create -C TemplateVM -l red --root-copy-from {file} made"),
            "made:root",
        ),
        (
            format!(
                "qvm-template-postprocess --really --skip-start post-install new {}",
                package.display()
            ),
            "new:root",
        ),
        ("qvm-volume revert work:private".to_string(), "work:private"),
        ("qvm-template-commit tpl".to_string(), "tpl:root"),
        ("qubes-recover".to_string(), "work:private"),
        (
            "qvm-volume resize -f work:private 512KiB".to_string(),
            "work:private",
        ),
    ] {
        match &*line {
            "qvm-template-commit tpl" => dirty("vm-templates/tpl/root"),
            "qubes-recover" => dirty("appvms/work/private"),
            _ => {}
        }
        assert_shown(&system.command(&line), volume);
    }
    let image = File::options()
        .write(true)
        .open(system.image("vm-templates/tpl/root.img"))
        .unwrap();
    image.write_all_at(&vec![0; MIB as usize / 2], 0).unwrap();
    image.sync_all().unwrap();
    assert_shown(&system.command("qvm-trim-template tpl"), "tpl:root");

    // The same without a terminal.
    system.ok(format!("qvm-volume import work:private {file}"));
}

#[test]
fn a_start_that_copies_shows_a_bar() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("strace is not installed");
    }
    let Some(pool) = SmallPool::new() else { return };
    let seen = shown_slowly(&pool.live.command("qvm-start idle"));
    assert!(
        seen.contains("idle:root ") && seen.contains("/8.00 MiB"),
        "{seen:?}"
    );
}
