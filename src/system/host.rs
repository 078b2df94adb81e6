//! What this machine is: its memory, processors and release, and who runs the program.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use super::System;
use super::paths::path_from_variable;
use crate::fs::text_file;
use crate::model::Release;

impl System {
    /// Returns whether this machine is dom0 of Xen.
    pub fn is_xen(&self) -> bool {
        fs::read_to_string("/proc/xen/capabilities").is_ok_and(|c| c.contains("control_d"))
    }

    /// Returns whether systemd can start units: the system's instance for root, the user's own
    /// instance for others.
    pub fn has_service_manager(&self) -> bool {
        let own = || {
            path_from_variable("XDG_RUNTIME_DIR")
                .is_some_and(|dir| dir.join("systemd/private").exists())
        };
        Path::new("/run/systemd/system").is_dir() && (self.is_superuser() || own())
    }

    /// Returns whether this process is root.
    pub fn is_superuser(&self) -> bool {
        geteuid().is_root()
    }

    /// Returns the effective user ID.
    pub fn user(&self) -> u32 {
        geteuid().as_raw()
    }

    /// Returns the memory of the host in MiB: from core.toml (an installer prepares another
    /// machine), else this machine's.
    pub fn host_memory_mib(&self) -> u64 {
        let machine_memory = || {
            let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
            let total = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"));
            let kib =
                total.and_then(|t| t.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
            kib.unwrap_or(0) / 1024
        };
        self.configuration
            .host
            .memory_mib
            .unwrap_or_else(|| *self.memory.get_or_init(machine_memory))
    }

    /// Returns the memory that is available to programs now in MiB, or `None` if it is unknown.
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

    /// Returns the number of processors of the host: from core.toml, else this machine's.
    pub fn host_cpus(&self) -> u32 {
        let machine = || std::thread::available_parallelism().map_or(1, |n| n.get() as u32);
        self.configuration.host.cpus.unwrap_or_else(machine)
    }

    /// Returns the release to write for: from core.toml, else /etc/qubes-release, else 4.3.
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
}
