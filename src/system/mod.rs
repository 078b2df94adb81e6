//! The system that one invocation works on: paths, configuration and environment. Built once in
//! `main` and passed down; no other module reads the environment.

mod configuration;
mod host;
mod paths;
mod terminal;

use std::cell::OnceCell;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Group};

use crate::fs::run_directory::{self, RunDirectory};
use crate::fs::{chroot, refuse_foreign_link};
use crate::model::Release;
use crate::progress::{Progress, SharedProgress};

pub use configuration::is_plain_uri;
pub use terminal::TerminalSettings;

use configuration::{Configuration, read_configuration};
use paths::{
    cache_directory, fingerprint, path_from_variable, private_directory, resolve, resolve_below,
    resolve_path, resolve_store,
};

/// The command line's options that select the system. The environment supplies what they leave
/// unset.
#[derive(Debug, Clone, Default)]
pub struct SystemOptions {
    /// `--root DIR`: all built-in paths are below it.
    pub root: Option<PathBuf>,
    /// `--qubesxml FILE`: the path of the store.
    pub qubesxml: Option<PathBuf>,
    /// `--offline-mode`: never connect to the hypervisor.
    pub offline: bool,
    /// `--no-wait`: do not wait for another writer.
    pub no_wait: bool,
    /// `--force-write`: write although a running qubesd owns the store.
    pub force: bool,
    /// Receives notices that are not errors, one line each: a tool prints them to standard error, a
    /// monitor writes them to its log. By default they are dropped.
    pub notify: Option<fn(&str)>,
    /// Returns the notice of an error: by default its text. A tool adds which command helps.
    pub describe_error: Option<fn(&(dyn Error + 'static)) -> String>,
    /// How often `-v` was given. From 1 on, steps are reported. (Programs that are run are logged
    /// by crate `log` at level debug.)
    pub verbosity: u8,
}

/// Why the system cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SystemError {
    /// The root directory, or a path below it, cannot be resolved.
    #[error("cannot use {path}: {}", crate::fs::errno_text(source))]
    Root {
        /// The path that cannot be resolved.
        path: PathBuf,
        /// The error of the system call.
        source: io::Error,
    },
    /// The configuration file cannot be read, or has an invalid setting.
    #[error("{path}: {reason}")]
    Configuration {
        /// Path of the configuration file, `/etc/qubes/core.toml` below the root.
        path: PathBuf,
        /// What is wrong with the file.
        reason: String,
    },
}

/// The system that one invocation works on.
#[derive(Debug, Clone)]
pub struct System {
    root: Option<PathBuf>,
    store: PathBuf,
    /// Whether the store is at the built-in path, below the root if there is one.
    is_own_store: bool,
    run: RunDirectory,
    foreign: bool,
    offline: bool,
    no_wait: bool,
    force: bool,
    notify: Option<fn(&str)>,
    describe_error: Option<fn(&(dyn Error + 'static)) -> String>,
    verbosity: u8,
    uri: Option<String>,
    lvm_pool: Option<String>,
    nearly_full: Option<u64>,
    cache: PathBuf,
    path: OsString,
    libexec: Option<PathBuf>,
    configuration: Configuration,
    release: OnceCell<Release>,
    group: OnceCell<Option<Gid>>,
    memory: OnceCell<u64>,
    progress: SharedProgress,
}

/// The built-in path of the store, below the root.
const STORE: &str = "/var/lib/qubes/qubes.xml";

/// The directory of root's console logs if RUN is below a directory that others can write to.
const ROOT_CONSOLES: &str = "/run/qubes-consoles";

/// Returns whether a root directory is set, by the options or by `QUBES_ROOT`.
pub fn has_root(options: &SystemOptions) -> bool {
    options.root.is_some() || path_from_variable("QUBES_ROOT").is_some()
}

/// Returns the path of the store: `explicit` if it is set, else the built-in `own_store`.
fn select_store(
    root: Option<&Path>,
    explicit: Option<PathBuf>,
    own_store: &Path,
) -> Result<PathBuf, SystemError> {
    if let Some(file) = explicit {
        return resolve_store(root, file);
    }
    if root.is_some() {
        return Ok(own_store.to_path_buf());
    }
    refuse_foreign_link(own_store).map_err(|source| SystemError::Root {
        path: own_store.to_path_buf(),
        source,
    })?;
    Ok(resolve(own_store.to_path_buf()))
}

impl System {
    /// Sets up the system from the options, the environment (`QUBES_ROOT`, `QUBES_XML_PATH`,
    /// `QUBES_OFFLINE`, `QUBES_LIBVIRT_URI`, `DEFAULT_LVM_POOL`, `QUBES_NEARLY_FULL`) and
    /// core.toml.
    ///
    /// # Errors
    /// The root cannot be resolved, the built-in store is a link of another user, or core.toml is
    /// invalid.
    pub fn new(options: SystemOptions) -> Result<System, SystemError> {
        let root = options.root.or_else(|| path_from_variable("QUBES_ROOT"));
        let root = root.map(|path| {
            fs::canonicalize(&path).map_err(|source| SystemError::Root { path, source })
        });
        let root = root.transpose()?;
        let built_in = |path| resolve_below(root.as_deref(), path);
        let configuration_file = built_in("/etc/qubes/core.toml")?;
        let configuration = read_configuration(&configuration_file)?;
        let text_from = |variable| env::var(variable).ok().filter(|text| !text.is_empty());
        let uri = text_from("QUBES_LIBVIRT_URI");
        let offline = options.offline
            || env::var_os("QUBES_OFFLINE").is_some_and(|v| !v.is_empty() && v != "0");
        if uri.is_none() && !offline && root.as_deref().is_some_and(|root| root != Path::new("/")) {
            configuration.refuse_uri_of_root(&configuration_file)?;
        }
        let own_store = built_in(STORE)?;
        let explicit = options
            .qubesxml
            .or_else(|| path_from_variable("QUBES_XML_PATH"));
        let store = select_store(root.as_deref(), explicit, &own_store)?;
        let foreign = root.is_some() || store != Path::new(STORE);
        let run = match &root {
            Some(root) if store.starts_with(root) => RunDirectory::shared(built_in("/run/qubes")?),
            _ if !foreign => RunDirectory::shared("/run/qubes".into()),
            _ => private_directory(&fingerprint(&store)[..16]),
        };
        Ok(System {
            is_own_store: store == own_store,
            store,
            run,
            foreign,
            offline,
            no_wait: options.no_wait,
            force: options.force,
            notify: options.notify,
            describe_error: options.describe_error,
            verbosity: options.verbosity,
            uri,
            lvm_pool: text_from("DEFAULT_LVM_POOL"),
            nearly_full: text_from("QUBES_NEARLY_FULL").and_then(|percent| percent.parse().ok()),
            cache: cache_directory(),
            path: env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()),
            libexec: env::current_exe()
                .ok()
                .and_then(|exe| Some(exe.parent()?.to_path_buf())),
            configuration,
            root,
            release: OnceCell::new(),
            group: OnceCell::new(),
            memory: OnceCell::new(),
            progress: SharedProgress::default(),
        })
    }

    /// Passes a notice, which is not an error, to [`SystemOptions::notify`].
    pub fn notify(&self, line: &str) {
        if let Some(notify) = self.notify {
            notify(line);
        }
    }

    /// Passes an error that is not that of the operation as a notice.
    pub fn notify_error(&self, error: &(dyn Error + 'static)) {
        self.notify(&self.describe_error(error));
    }

    /// Returns the text of an error for a notice, with the command that helps if a tool knows one.
    pub fn describe_error(&self, error: &(dyn Error + 'static)) -> String {
        self.describe_error
            .map_or_else(|| error.to_string(), |describe| describe(error))
    }

    /// Returns the receiver of [`System::notify`].
    pub fn notifier(&self) -> Option<fn(&str)> {
        self.notify
    }

    /// Reports a step of a change, if `-v` was given.
    pub fn report_step(&self, line: impl FnOnce() -> String) {
        if self.verbosity >= 1 {
            self.notify(&line());
        }
    }

    /// Returns where a path of the system is: without a root the path itself, else the path below
    /// the root, resolved as `chroot` would. No link and no `..` leads out of the root.
    pub fn path_below_root(&self, path: impl AsRef<Path>) -> PathBuf {
        resolve_path(self.root.as_deref(), path.as_ref(), chroot::resolve)
    }

    /// Returns what [`System::path_below_root`] returns, but does not follow a link that is the
    /// last component of the path: for callers that read, create or remove that link.
    pub fn link_path_below_root(&self, path: impl AsRef<Path>) -> PathBuf {
        resolve_path(self.root.as_deref(), path.as_ref(), chroot::resolve_parent)
    }

    /// Returns the root directory, if one is set.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Returns this system with `progress` as the receiver of the progress of data copies.
    pub fn with_progress(self, progress: Arc<dyn Progress + Send + Sync>) -> System {
        System {
            progress: SharedProgress::new(progress),
            ..self
        }
    }

    /// Returns the receiver of the progress of data copies.
    pub fn progress(&self) -> SharedProgress {
        self.progress.clone()
    }

    /// Returns the path of qubes.xml, symbolic links resolved.
    pub fn store_file(&self) -> &Path {
        &self.store
    }

    /// Returns the directory of the store's copies: `backup/` beside the store.
    pub fn backup_dir(&self) -> PathBuf {
        self.store.with_file_name("backup")
    }

    /// Returns RUN, the directory of locks, records and logs of running qubes.
    pub fn run_dir(&self) -> &RunDirectory {
        &self.run
    }

    /// Returns the directory of the guests' console logs. Libvirt's log daemon opens a log by its
    /// path, as root if this process is root, so the directory is one where no other user can
    /// create a link.
    pub fn console_dir(&self) -> RunDirectory {
        let run = self.run.path();
        let beside = run.with_file_name("qubes-consoles");
        match run.parent().is_some_and(run_directory::is_safe_for_user) {
            true => RunDirectory::private(beside, Path::new("")).readable_by_group(),
            false if self.is_superuser() => RunDirectory::private(
                ROOT_CONSOLES.into(),
                Path::new(&fingerprint(&self.store)[..16]),
            ),
            false => private_directory(&format!("{}/console", &fingerprint(&self.store)[..16])),
        }
    }

    /// Returns the directory of cached files, which may be lost.
    pub fn cache_dir(&self) -> &Path {
        &self.cache
    }

    /// Returns the path of qubesd's socket, if this is the system's own store.
    pub fn qubesd_socket(&self) -> Option<PathBuf> {
        self.is_own_store
            .then(|| self.path_below_root("/run/qubesd.sock"))
    }

    /// Returns the path of the system's own store, even if this invocation uses another one.
    pub fn system_store(&self) -> PathBuf {
        resolve(self.path_below_root(STORE))
    }

    /// Returns whether the store is not this machine's own. Then domain names end in
    /// [`System::domain_suffix`].
    pub fn is_foreign_store(&self) -> bool {
        self.foreign
    }

    /// Returns the suffix of libvirt's domain names: empty for this machine's own store, else `-`
    /// and eight hexadecimal digits made from the store's path, so that its domains do not collide
    /// with this machine's own.
    pub fn domain_suffix(&self) -> String {
        if self.foreign {
            format!("-{}", &fingerprint(&self.store)[..8])
        } else {
            String::new()
        }
    }

    /// Returns the user's editor with its options: `$VISUAL`, else `$EDITOR`, else vi.
    pub fn editor() -> OsString {
        let chosen = ["VISUAL", "EDITOR"]
            .into_iter()
            .filter_map(env::var_os)
            .find(|v| !v.is_empty());
        chosen.unwrap_or_else(|| "vi".into())
    }

    /// Returns whether the hypervisor must not be connected to.
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// Returns how long to wait for the store's lock: 30 s, or zero with `--no-wait`.
    pub fn lock_wait(&self) -> Duration {
        if self.no_wait {
            Duration::ZERO
        } else {
            Duration::from_secs(30)
        }
    }

    /// Returns whether to write although a running qubesd owns the store.
    pub fn is_forced(&self) -> bool {
        self.force
    }

    /// Returns the LVM thin pool that installers name in `DEFAULT_LVM_POOL` for the first volumes.
    pub fn default_lvm_pool(&self) -> Option<&str> {
        self.lvm_pool.as_deref()
    }

    /// Returns the hypervisor's URI from the environment or core.toml.
    pub fn configured_uri(&self) -> Option<&str> {
        self.uri
            .as_deref()
            .or(self.configuration.hypervisor.uri.as_deref())
    }

    /// Returns the search path for programs.
    pub fn program_path(&self) -> &std::ffi::OsStr {
        &self.path
    }

    /// Returns the path of a program of this package: beside the running one, in `lib/qubes` of the
    /// same prefix, else in the built-in directory.
    pub fn own_program(&self, name: &str) -> PathBuf {
        let beside = self
            .libexec
            .iter()
            .flat_map(|dir| [dir.join(name), dir.join("../lib/qubes").join(name)]);
        beside
            .into_iter()
            .find(|p| p.is_file())
            .unwrap_or_else(|| Path::new("/usr/lib/qubes").join(name))
    }

    /// Returns the usage in percent from which a pool is reported as nearly full:
    /// `QUBES_NEARLY_FULL`, else `[storage] nearly_full` of core.toml. Above 100, none is reported.
    pub fn nearly_full_percent(&self) -> Option<u64> {
        self.nearly_full.or(self.configuration.storage.nearly_full)
    }

    /// Returns the group qubes, if it exists and the store is the system's own.
    pub fn qubes_group(&self) -> Option<Gid> {
        // Looking up a group that does not exist takes longer than reading the store.
        let look_up = || Group::from_name("qubes").ok().flatten().map(|g| g.gid);
        *self
            .group
            .get_or_init(|| self.is_own_store.then(look_up).flatten())
    }
}
