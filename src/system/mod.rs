//! Where everything is: built once in `main`, passed down. The only place that reads the
//! environment.

mod configuration;
mod paths;
mod terminal;

use std::cell::OnceCell;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Gid, Group, geteuid};

use crate::fs::run_directory::{self, RunDirectory};
use crate::fs::{chroot, refuse_foreign_link, text_file};
use crate::model::Release;
use crate::progress::{Progress, SharedProgress};

pub use terminal::TerminalSettings;

use configuration::{Configuration, read_configuration};
use paths::{
    below, cache_directory, fingerprint, given_store, path_from, private_directory, resolved,
    resolved_below,
};

/// What the command line said of the place to work on; the environment answers for what it left
/// open.
#[derive(Debug, Clone, Default)]
pub struct SystemOptions {
    /// `--root DIR`: everything built-in lies below it.
    pub root: Option<PathBuf>,
    /// `--qubesxml FILE`: the store, taken as given.
    pub qubesxml: Option<PathBuf>,
    /// `--offline-mode`: the hypervisor is never asked.
    pub offline: bool,
    /// `--no-wait`: do not wait for a writer.
    pub no_wait: bool,
    /// Write although a live qubesd owns the file.
    pub force: bool,
    /// Who hears, in one line each, what a person should know and what is no error: a tool's
    /// standard error, a monitor's log. Nobody unless said.
    pub notify: Option<fn(&str)>,
    /// `-v`, as often as it was given: from 1 on steps are told. (Programs that are run are
    /// messages of crate `log`, at level debug.)
    pub verbosity: u8,
}

/// Why the place to work on cannot be told.
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

/// The place one invocation works on.
#[derive(Debug, Clone)]
pub struct System {
    root: Option<PathBuf>,
    store: PathBuf,
    /// The store lies where a system of its own has it, below the root if there is one.
    is_own_store: bool,
    run: RunDirectory,
    foreign: bool,
    offline: bool,
    no_wait: bool,
    force: bool,
    notify: Option<fn(&str)>,
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

/// Where a store of our own making is, below the root.
const STORE: &str = "/var/lib/qubes/qubes.xml";

/// Where root has consoles logged whose RUN lies below a directory of somebody else.
const ROOTS_CONSOLES: &str = "/run/qubes-consoles";

/// Whether a root directory is given, with the options or in the environment (`QUBES_ROOT`).
pub fn has_root(options: &SystemOptions) -> bool {
    options.root.is_some() || path_from("QUBES_ROOT").is_some()
}

impl System {
    /// Looks at the environment (`QUBES_ROOT`, `QUBES_XML_PATH`, `QUBES_OFFLINE`,
    /// `QUBES_LIBVIRT_URI`, `DEFAULT_LVM_POOL`, `QUBES_NEARLY_FULL`) and core.toml.
    pub fn new(options: SystemOptions) -> Result<System, SystemError> {
        let root = options.root.or_else(|| path_from("QUBES_ROOT"));
        let root = root.map(|path| {
            fs::canonicalize(&path).map_err(|source| SystemError::Root { path, source })
        });
        let root = root.transpose()?;
        let built_in = |path| resolved_below(root.as_deref(), path);
        let configuration_file = built_in("/etc/qubes/core.toml")?;
        let configuration = read_configuration(&configuration_file)?;
        let uri = env::var("QUBES_LIBVIRT_URI").ok().filter(|u| !u.is_empty());
        let offline = options.offline
            || env::var_os("QUBES_OFFLINE").is_some_and(|v| !v.is_empty() && v != "0");
        if uri.is_none() && !offline && root.as_deref().is_some_and(|root| root != Path::new("/")) {
            configuration.refuse_uri_of_root(&configuration_file)?;
        }
        let own_store = built_in(STORE)?;
        let given = options.qubesxml.or_else(|| path_from("QUBES_XML_PATH"));
        let store = match given {
            Some(given) => given_store(root.as_deref(), given)?,
            None if root.is_some() => own_store.clone(),
            None => {
                let failed = |source| SystemError::Root {
                    path: own_store.clone(),
                    source,
                };
                refuse_foreign_link(&own_store).map_err(failed)?;
                resolved(own_store.clone())
            }
        };
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
            verbosity: options.verbosity,
            uri,
            lvm_pool: env::var("DEFAULT_LVM_POOL").ok().filter(|p| !p.is_empty()),
            nearly_full: env::var("QUBES_NEARLY_FULL")
                .ok()
                .and_then(|percent| percent.parse().ok()),
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

    /// Tells whoever uses this system what is no error.
    pub fn notify(&self, line: &str) {
        if let Some(tell) = self.notify {
            tell(line);
        }
    }

    /// Who is told by [`System::notify`].
    pub fn notifier(&self) -> Option<fn(&str)> {
        self.notify
    }

    /// With `-v`: tells a step of what changes something.
    pub fn report_step(&self, line: impl FnOnce() -> String) {
        if self.verbosity >= 1 {
            self.notify(&line());
        }
    }

    /// Returns where a path of the system lies: without a root the path itself; with one the path
    /// below it, resolved as `chroot` would: no link and no `..` leads out of the root.
    pub fn path_below_root(&self, path: impl AsRef<Path>) -> PathBuf {
        below(self.root.as_deref(), path.as_ref(), chroot::resolve)
    }

    /// As [`System::path_below_root`], but a link that the path itself names is not followed: for who
    /// reads, makes or removes that link.
    pub fn link_path_below_root(&self, path: impl AsRef<Path>) -> PathBuf {
        below(self.root.as_deref(), path.as_ref(), chroot::resolve_parent)
    }

    /// Returns the root directory (`--root`), with links resolved; `None` without one.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Returns the system with data copies that report to `progress`.
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

    /// qubes.xml, symbolic links resolved.
    pub fn store_file(&self) -> &Path {
        &self.store
    }

    /// Copies of the store: `backup/` beside it.
    pub fn backup_dir(&self) -> PathBuf {
        self.store.with_file_name("backup")
    }

    /// Locks, records and logs of running qubes.
    pub fn run_dir(&self) -> &RunDirectory {
        &self.run
    }

    /// Where the consoles of guests are logged. Whatever we check, libvirt's log daemon opens a log
    /// by its path, as root where we are root: so it lies where nobody else can put a link.
    pub fn console_dir(&self) -> RunDirectory {
        let run = self.run.path();
        let beside = run.with_file_name("qubes-consoles");
        match run.parent().is_some_and(run_directory::is_safe_for_user) {
            true => RunDirectory::private(beside, Path::new("")).readable_by_group(),
            false if self.is_superuser() => RunDirectory::private(
                ROOTS_CONSOLES.into(),
                Path::new(&fingerprint(&self.store)[..16]),
            ),
            false => private_directory(&format!("{}/console", &fingerprint(&self.store)[..16])),
        }
    }

    /// What is remembered between runs and may be lost.
    pub fn cache_dir(&self) -> &Path {
        &self.cache
    }

    /// The socket on which a live qubesd would answer: only the system's own store can have one.
    pub fn qubesd_socket(&self) -> Option<PathBuf> {
        self.is_own_store
            .then(|| self.path_below_root("/run/qubesd.sock"))
    }

    /// The system's own store, whichever one this invocation works on.
    pub fn system_store(&self) -> PathBuf {
        resolved(self.path_below_root(STORE))
    }

    /// Whether the store is not the machine's own: then domain names carry
    /// [`System::domain_suffix`].
    pub fn is_foreign_store(&self) -> bool {
        self.foreign
    }

    /// What libvirt's domain names end in so that they never meet the machine's own guests: empty,
    /// or `-` and eight hexadecimal digits made of the store's path.
    pub fn domain_suffix(&self) -> String {
        if self.foreign {
            format!("-{}", &fingerprint(&self.store)[..8])
        } else {
            String::new()
        }
    }

    /// The person's editor with its options: `$VISUAL`, else `$EDITOR`, else vi.
    pub fn editor() -> OsString {
        let chosen = ["VISUAL", "EDITOR"]
            .into_iter()
            .filter_map(env::var_os)
            .find(|v| !v.is_empty());
        chosen.unwrap_or_else(|| "vi".into())
    }

    /// Whether the hypervisor is never asked (`--offline-mode`, `QUBES_OFFLINE`).
    pub fn is_offline(&self) -> bool {
        self.offline
    }

    /// How long a writer waits for another: 30 s, or not at all with `--no-wait`.
    pub fn lock_wait(&self) -> Duration {
        if self.no_wait {
            Duration::ZERO
        } else {
            Duration::from_secs(30)
        }
    }

    /// Whether to write although a live qubesd owns the file.
    pub fn is_forced(&self) -> bool {
        self.force
    }

    /// The LVM thin pool that installers name in `DEFAULT_LVM_POOL` for the first volumes.
    pub fn default_lvm_pool(&self) -> Option<&str> {
        self.lvm_pool.as_deref()
    }

    /// The hypervisor that the environment or core.toml names.
    pub fn configured_uri(&self) -> Option<&str> {
        self.uri
            .as_deref()
            .or(self.configuration.hypervisor.uri.as_deref())
    }

    /// Whether this machine is a dom0 of Xen.
    pub fn is_xen(&self) -> bool {
        fs::read_to_string("/proc/xen/capabilities").is_ok_and(|c| c.contains("control_d"))
    }

    /// Whether systemd can be asked to start something: the system's for root, an ordinary user's
    /// own.
    pub fn has_service_manager(&self) -> bool {
        let own =
            || path_from("XDG_RUNTIME_DIR").is_some_and(|dir| dir.join("systemd/private").exists());
        Path::new("/run/systemd/system").is_dir() && (self.is_superuser() || own())
    }

    /// Whether the effective user is root.
    pub fn is_superuser(&self) -> bool {
        geteuid().is_root()
    }

    /// The number of the user we act as.
    pub fn user(&self) -> u32 {
        geteuid().as_raw()
    }

    /// The directories in which programs are looked for.
    pub fn program_path(&self) -> &std::ffi::OsStr {
        &self.path
    }

    /// A program of our own: beside the running one, in `lib/qubes` of the same prefix, else in the
    /// built-in directory.
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

    /// Memory of the host in MiB: core.toml's word (an installer prepares for another machine),
    /// else the machine's.
    pub fn host_memory_mib(&self) -> u64 {
        let of_machine = || {
            let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
            let total = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"));
            let kib =
                total.and_then(|t| t.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
            kib.unwrap_or(0) / 1024
        };
        self.configuration
            .host
            .memory_mib
            .unwrap_or_else(|| *self.memory.get_or_init(of_machine))
    }

    /// Memory that programs could have now, MiB; `None` where the kernel does not tell.
    pub fn available_memory_mib(&self) -> Option<u64> {
        let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
        let line = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
            .map(|kib| kib / 1024)
    }

    /// The share of its room in use, in percent, from which on a pool is told of:
    /// `QUBES_NEARLY_FULL`, else `[storage] nearly_full` of core.toml; above 100 never.
    pub fn nearly_full_percent(&self) -> Option<u64> {
        self.nearly_full.or(self.configuration.storage.nearly_full)
    }

    /// Processors of the host.
    pub fn host_cpus(&self) -> u32 {
        let machine = || std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        self.configuration.host.cpus.unwrap_or_else(machine)
    }

    /// The release to write for: core.toml, else /etc/qubes-release, else 4.3.
    pub fn release(&self) -> Release {
        *self.release.get_or_init(|| {
            let configured = self
                .configuration
                .store
                .release
                .as_deref()
                .and_then(Release::parse);
            let installed = || {
                let text = text_file::read(&self.path_below_root("/etc/qubes-release")).ok()?;
                Release::parse(&text)
            };
            configured.or_else(installed).unwrap_or(Release::DEFAULT)
        })
    }

    /// Group qubes, where it exists and the store is the system's own.
    pub fn qubes_group(&self) -> Option<Gid> {
        // Where there is no such group, looking it up takes longer than reading the store.
        let look_up = || Group::from_name("qubes").ok().flatten().map(|g| g.gid);
        *self
            .group
            .get_or_init(|| self.is_own_store.then(look_up).flatten())
    }
}
