//! RUN of a store that is not this machine's own is used only if it belongs to the user.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use qubes_test_support::system::{small_store, stored_property};
use qubes_test_support::{ToolOutput, binary};

use crate::victim::{Victim, run_with_deadline};

/// The user who owns the store.
const USER: u32 = 54_321;
/// Another user.
const ATTACKER: u32 = 54_322;

/// A store in a directory of its user, with a runtime and a temporary directory.
struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// Creates a store that belongs to this user.
    fn new(user: u32) -> Home {
        let home = Home {
            dir: tempfile::Builder::new()
                .prefix("qubes-private-")
                .tempdir()
                .unwrap(),
        };
        fs::set_permissions(home.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        for (directory, owner) in [
            ("store", user),
            ("store/backup", user),
            ("tmp", 0),
            ("runtime", user),
        ] {
            fs::create_dir(home.path(directory)).unwrap();
            chown(home.path(directory), Some(owner), Some(owner)).unwrap();
        }
        fs::set_permissions(home.path("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::set_permissions(home.path("runtime"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(home.path("store/qubes.xml"), small_store()).unwrap();
        chown(home.path("store/qubes.xml"), Some(user), Some(user)).unwrap();
        home
    }

    fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// Runs a tool on the store as this user, with or without a runtime directory.
    fn run(&self, user: u32, runtime: Option<&Path>, line: &str) -> ToolOutput {
        let mut words = line.split_whitespace();
        let tool = binary(words.next().unwrap());
        let mut command = match user {
            0 => Command::new(tool),
            _ => {
                let mut command = Command::new("setpriv");
                let user = user.to_string();
                command
                    .args(["--reuid", &user, "--regid", &user, "--clear-groups"])
                    .arg(tool);
                command
            }
        };
        command.args(words).arg("--offline-mode");
        command.args(["--qubesxml", self.path("store/qubes.xml").to_str().unwrap()]);
        command
            .env("TMPDIR", self.path("tmp"))
            .env_remove("QUBES_ROOT")
            .env_remove("XDG_RUNTIME_DIR");
        if let Some(runtime) = runtime {
            command.env("XDG_RUNTIME_DIR", runtime);
        }
        run_with_deadline(&command)
    }

    /// Returns the only directory of a store below `base`.
    fn only_store_dir(&self, base: &str) -> PathBuf {
        let found: Vec<_> = fs::read_dir(self.path(base)).unwrap().flatten().collect();
        assert_eq!(found.len(), 1, "{base}");
        found[0].path()
    }
}

/// Returns whether another user can run the programs; only root may have access to the directory of
/// the build.
fn can_be_another_user() -> bool {
    if !nix::unistd::geteuid().is_root() {
        qubes_test_support::skip("acting as another user needs root");
        return false;
    }
    let ran = Command::new("setpriv")
        .args(["--reuid", "54321", "--regid", "54321", "--clear-groups"])
        .arg(binary("qvm-ls"))
        .arg("--version")
        .output();
    let can = ran.is_ok_and(|ran| ran.status.success());
    if !can {
        qubes_test_support::skip("another user cannot reach the programs");
    }
    can
}

#[test]
fn a_run_directory_that_another_user_created_is_not_used() {
    if !can_be_another_user() {
        return;
    }
    let home = Home::new(USER);
    // The first run shows where the directory is.
    let ran = home.run(USER, None, "qvm-prefs work memory 410");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let base = format!("tmp/qubes-{USER}");
    let made = fs::metadata(home.path(&base)).unwrap();
    assert_eq!((made.uid(), made.mode() & 0o7777), (USER, 0o700));
    let store_dir = home.only_store_dir(&base);
    let run = Path::new(&base).join(store_dir.file_name().unwrap());
    fs::remove_dir_all(home.path(&base)).unwrap();

    let victim = Victim::new(home.path("authorized_keys"));
    chown(&victim.path, Some(USER), Some(USER)).unwrap();
    let lock = home.path(run.to_str().unwrap()).join("lock");
    fs::create_dir_all(&lock).unwrap();
    for directory in home
        .path(run.to_str().unwrap())
        .ancestors()
        .take(2)
        .chain([lock.as_path()])
    {
        chown(directory, Some(ATTACKER), Some(ATTACKER)).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).unwrap();
    }
    symlink(&victim.path, lock.join("database.holder")).unwrap();
    // A change of the store does not need RUN; a command that needs a lock reports what to set.
    let ran = home.run(USER, None, "qvm-prefs work memory 411");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        stored_property(&home.path("store/qubes.xml"), "work", "memory"),
        "411"
    );
    let ran = home.run(USER, None, "qvm-remove --force work");
    assert_eq!((ran.code, ran.stderr.lines().count()), (1, 1), "{ran:?}");
    assert!(
        ran.stderr
            .contains(&format!("belongs to user {ATTACKER}: set XDG_RUNTIME_DIR")),
        "{ran:?}"
    );
    let unchanged = fs::metadata(&victim.path).unwrap();
    assert_eq!(
        (unchanged.len(), unchanged.mode() & 0o777),
        (crate::victim::CONTENT.len() as u64, 0o600)
    );
    assert_eq!(fs::read_dir(&lock).unwrap().count(), 1);
}

#[test]
fn a_runtime_directory_of_another_user_is_not_used() {
    if !can_be_another_user() {
        return;
    }
    let home = Home::new(USER);
    let runtime = home.path("runtime");
    // Root with the user's environment (`su`, `sudo -E`) does not use it.
    let ran = home.run(0, Some(&runtime), "qvm-prefs work memory 420");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(fs::read_dir(&runtime).unwrap().count(), 0);
    // The user's own directory is used.
    let ran = home.run(USER, Some(&runtime), "qvm-prefs work memory 421");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(fs::read_dir(runtime.join("qubes")).unwrap().count(), 1);
    // A directory that others may write to is not used.
    fs::remove_dir_all(runtime.join("qubes")).unwrap();
    fs::set_permissions(&runtime, fs::Permissions::from_mode(0o777)).unwrap();
    let ran = home.run(USER, Some(&runtime), "qvm-prefs work memory 422");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(fs::read_dir(&runtime).unwrap().count(), 0);
}

#[test]
fn a_relative_runtime_directory_is_not_used() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("q.xml"), small_store()).unwrap();
    fs::create_dir(place.path().join("relative")).unwrap();
    fs::set_permissions(
        place.path().join("relative"),
        fs::Permissions::from_mode(0o700),
    )
    .unwrap();
    let mut command = Command::new("env");
    command
        .arg("--chdir")
        .arg(place.path())
        .arg(binary("qvm-prefs"));
    command.args([
        "--qubesxml",
        "q.xml",
        "--offline-mode",
        "work",
        "memory",
        "430",
    ]);
    command
        .env("XDG_RUNTIME_DIR", "relative")
        .env_remove("QUBES_ROOT")
        .env("TMPDIR", place.path());
    let ran = run_with_deadline(&command);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        stored_property(&place.path().join("q.xml"), "work", "memory"),
        "430"
    );
    assert_eq!(
        fs::read_dir(place.path().join("relative")).unwrap().count(),
        0
    );
}
