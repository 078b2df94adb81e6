//! Runs the shell blocks of README.md and docs/first-steps.md, and the demonstration.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use qubes_test_support::{binary, libvirt_daemon, skip};

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(document: &str) -> String {
    fs::read_to_string(checkout().join(document)).unwrap()
}

/// Returns the blocks between ```` ```sh ```` and ```` ``` ````, in order.
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

/// Creates a directory that looks like a checkout with everything built. Returns `None`, and
/// reports a skip, without the guest or libvirt.
fn create_checkout() -> Option<tempfile::TempDir> {
    let guest = checkout().join("target/guest");
    if !guest.join("kernel-version").exists() {
        skip("there is no target/guest, which `make guest` makes");
        return None;
    }
    if let Err(reason) = libvirt_daemon::uri() {
        skip(format_args!("no libvirt: {reason}"));
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

/// Runs the blocks of a document in one shell, up to the first command that fails.
fn run(document: &str) {
    let Some(place) = create_checkout() else {
        return;
    };
    let blocks = shell_blocks(document);
    assert!(!blocks.is_empty(), "{document} has no shell block");
    // The trap stops all guests and removes the directory that the document creates with mktemp.
    let script = format!(
        "set -euo pipefail\ntrap 'code=$?; trap - EXIT; [ -d \"${{QUBES_ROOT:-/nowhere}}\" ] && \
         {{ qvm-kill --all || :; rm -rf \"$QUBES_ROOT\"; }}; exit $code' EXIT\n{}",
        blocks.join("\n")
    );
    let qubes = binary("qubes");
    let tools = qubes.parent().unwrap();
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
fn readme_tour_works() {
    run("README.md");
}

#[test]
fn first_steps_work() {
    run("docs/first-steps.md");
}

#[test]
fn demonstration_works() {
    if create_checkout().is_none() {
        return;
    }
    let qubes = binary("qubes");
    let tools = qubes.parent().unwrap();
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

/// Indented blocks are not run by a test, so they may contain only commands that build and install.
#[test]
fn every_readme_command_is_tested() {
    let readme = text("README.md");
    let mut is_fenced = false;
    let outside_fences = readme.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_fenced ^= is_fence;
        !is_fenced && !is_fence
    });
    let indented = outside_fences
        .filter_map(|line| line.strip_prefix("    "))
        .filter(|line| !line.starts_with(' '));
    for command in indented {
        let is_known = ["make ", "sudo make install"]
            .iter()
            .any(|known| command.starts_with(known));
        assert!(is_known, "put this into a ```sh block: {command}");
    }
}
