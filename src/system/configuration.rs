//! `/etc/qubes/core.toml`.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::SystemError;
use crate::fs::text_file;
use crate::hypervisor::uri::is_plain_uri;
use crate::model::Release;

/// `/etc/qubes/core.toml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Configuration {
    pub store: StoreSection,
    pub host: HostSection,
    pub hypervisor: HypervisorSection,
    pub storage: StorageSection,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreSection {
    pub release: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HostSection {
    pub memory_mib: Option<u64>,
    pub cpus: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HypervisorSection {
    pub uri: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StorageSection {
    pub nearly_full: Option<u64>,
}

impl Configuration {
    /// Refuses a URI with which libvirt would run a program, or connect to another place: a system
    /// below `--root` may be somebody else's disk, which is only looked at.
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
            "[hypervisor] uri = '{}': below --root only xen:///system, qemu:///system and qemu:///session are \
             taken from this file; for another one set QUBES_LIBVIRT_URI",
            uri.escape_debug()
        );
        Err(SystemError::Configuration {
            path: file.into(),
            reason,
        })
    }
}

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
    let wrong = |reason: String| SystemError::Configuration {
        path: file.into(),
        reason,
    };
    let configuration: Configuration = toml::from_str(&text)
        .map_err(|e| wrong(e.message().lines().next().unwrap_or_default().to_string()))?;
    match &configuration.store.release {
        Some(release) if Release::parse(release).is_none() => Err(wrong(format!(
            "[store] release = \"{release}\" is not one of 4.0 to 4.4"
        ))),
        _ => Ok(configuration),
    }
}
