//! Reads the configuration file `/etc/qubes/core.toml`.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::SystemError;
use crate::fs::text_file;
use crate::model::Release;

/// The content of `/etc/qubes/core.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Configuration {
    pub store: StoreSection,
    pub host: HostSection,
    pub hypervisor: HypervisorSection,
    pub storage: StorageSection,
}

/// `[store]`: the release to write for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreSection {
    pub release: Option<String>,
}

/// `[host]`: the size of the host, instead of this machine's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HostSection {
    pub memory_mib: Option<u64>,
    pub cpus: Option<u32>,
}

/// `[hypervisor]`: the libvirt URI.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HypervisorSection {
    pub uri: Option<String>,
}

/// `[storage]`: the percentage from which a pool is reported as nearly full.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StorageSection {
    pub nearly_full: Option<u64>,
}

impl Configuration {
    /// Refuses a URI with which libvirt would run a program or connect to another host: a system
    /// below `--root` may be on a disk from an untrusted source.
    pub(super) fn refuse_uri_of_root(&self, file: &Path) -> Result<(), SystemError> {
        let Some(uri) = self
            .hypervisor
            .uri
            .as_deref()
            .filter(|uri| !is_plain_uri(uri))
        else {
            return Ok(());
        };
        let reason = format!(
            "[hypervisor] uri = '{}': below --root only xen:///system, qemu:///system and \
             qemu:///session are taken from this file; for another one set QUBES_LIBVIRT_URI",
            uri.escape_debug()
        );
        Err(SystemError::Configuration {
            path: file.into(),
            reason,
        })
    }
}

/// Reads and checks core.toml; a missing file is an empty configuration.
pub(super) fn read_configuration(file: &Path) -> Result<Configuration, SystemError> {
    let text = match text_file::read(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Configuration::default()),
        Err(e) => {
            return Err(SystemError::Configuration {
                path: file.into(),
                reason: crate::fs::errno_text(&e),
            });
        }
    };
    let invalid = |reason: String| SystemError::Configuration {
        path: file.into(),
        reason,
    };
    let configuration: Configuration = toml::from_str(&text)
        .map_err(|e| invalid(e.message().lines().next().unwrap_or_default().to_string()))?;
    match &configuration.store.release {
        Some(release) if Release::parse(release).is_none() => Err(invalid(format!(
            "[store] release = \"{release}\" is not one of 4.0 to 4.4"
        ))),
        _ => Ok(configuration),
    }
}

/// Returns whether a URI is one of libvirt's usual local URIs. Such a URI has no transport and no
/// parameters, which could make libvirt run a command or connect elsewhere.
pub fn is_plain_uri(uri: &str) -> bool {
    ["xen:///system", "qemu:///system", "qemu:///session"].contains(&uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_usual_local_uris_are_plain() {
        assert!(
            ["xen:///system", "qemu:///system", "qemu:///session"]
                .into_iter()
                .all(is_plain_uri)
        );
        for uri in [
            "",
            "qemu+ext:///system?command=/tmp/evil",
            "qemu:///system?command=/tmp/evil",
            "qemu:///session?socket=/tmp/evil",
            "qemu+ssh://host/system",
            "qemu://host/system",
            "QEMU:///system",
            "qemu:///system ",
            "xen:///",
            "test:///default",
            "lxc:///system",
        ] {
            assert!(!is_plain_uri(uri), "{uri}");
        }
    }
}
