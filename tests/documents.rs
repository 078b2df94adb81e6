//! The shell blocks of README.md and of the pages for beginners, and the demonstration, run as they
//! stand.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[path = "support/libvirt_daemon.rs"]
mod libvirt_daemon;
#[path = "support/skip.rs"]
mod skip;

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(document: &str) -> String {
    fs::read_to_string(checkout().join(document)).unwrap()
}

/// The blocks between ```` ```sh ```` and ```` ``` ````, in their order.
fn shell_blocks(document: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text(document).lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(block), "```") => {
                blocks.push(std::mem::take(block));
                open = None;
            }
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block has no end");
    blocks
}

/// A directory that looks like a checkout with everything built.
fn place() -> Option<tempfile::TempDir> {
    let guest = checkout().join("target/guest");
    if !guest.join("kernel-version").exists() {
        skip::skip("there is no target/guest, which `make guest` makes");
        return None;
    }
    if let Err(reason) = libvirt_daemon::uri() {
        skip::skip(format_args!("no libvirt: {reason}"));
        return None;
    }
    let place = tempfile::Builder::new()
        .prefix("qubes-test-")
        .tempdir_in("/var/tmp")
        .unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(place.path().join("target")).unwrap();
    symlink(guest, place.path().join("target/guest")).unwrap();
    symlink(checkout().join("demo"), place.path().join("demo")).unwrap();
    Some(place)
}

/// Runs the blocks of a document in one shell that ends at the first command that fails.
fn run(document: &str) {
    let Some(place) = place() else { return };
    let blocks = shell_blocks(document);
    assert!(!blocks.is_empty(), "{document} has no shell block");
    // Whatever happens, no guest stays; `mktemp` is the document's own way to find a place.
    let script = format!(
        "set -euo pipefail\ntrap 'code=$?; trap - EXIT; [ -d \"${{QUBES_ROOT:-/nowhere}}\" ] && \
         {{ qvm-kill --all || :; rm -rf \"$QUBES_ROOT\"; }}; exit $code' EXIT\n{}",
        blocks.join("\n")
    );
    let tools: PathBuf = Path::new(env!("CARGO_BIN_EXE_qvm-start"))
        .parent()
        .unwrap()
        .to_path_buf();
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-x", "-c", &script])
        .current_dir(place.path())
        .env("PATH", format!("{}:{path}", tools.display()))
        .env("RUST_BACKTRACE", "0")
        .env_remove("QUBES_ROOT")
        .env_remove("QUBES_XML_PATH")
        .env_remove("QUBES_OFFLINE")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{document}: {}\n{stdout}\n{stderr}",
        output.status
    );
}

#[test]
fn the_tour_of_the_readme_runs_as_it_stands() {
    run("README.md");
}

#[test]
fn the_first_steps_run_as_they_stand() {
    run("docs/first-steps.md");
}

#[test]
fn the_demonstration_works() {
    if place().is_none() {
        return;
    }
    let tools = Path::new(env!("CARGO_BIN_EXE_qvm-start")).parent().unwrap();
    let mut demonstration = Command::new(checkout().join("demo/run.sh"));
    demonstration
        .arg(tools)
        .env("RUST_BACKTRACE", "0")
        .env_remove("QUBES_DEMO_DIR")
        .stdin(Stdio::null());
    let output = demonstration.output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{}\n{stdout}\n{stderr}",
        output.status
    );
}

/// Blocks that are indented instead of fenced run by no test: only what installs and builds may be.
#[test]
fn the_readme_has_no_command_that_no_test_runs() {
    let readme = text("README.md");
    let indented = readme
        .lines()
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with(' '));
    for command in indented {
        let is_known = ["make ", "sudo make install"]
            .iter()
            .any(|known| command.starts_with(known));
        assert!(is_known, "put this into a ```sh block: {command}");
    }
}
