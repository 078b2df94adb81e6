//! The names of a volume's logical volumes (`docs/spec/r4-storage.md` §7).

use std::path::PathBuf;

use crate::storage::{Revision, StorageError};

/// The two parts of `VG/vm-QUBE-VOLUME`. The names of a volume's other logical volumes derive from
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalNames {
    /// The volume group.
    pub group: String,
    /// The logical volume with the committed data, or with the only data of a volatile volume.
    pub own: String,
}

impl LogicalNames {
    /// Parses the vid of a volume in volume group `group`. A vid comes from qubes.xml; one of
    /// another form or group is refused.
    pub fn from_vid(vid: &str, group: &str) -> Result<LogicalNames, StorageError> {
        match vid.split_once('/') {
            Some((own_group, own))
                if own_group == group && own.len() <= 100 && is_logical_name(own) =>
            {
                Ok(LogicalNames {
                    group: group.to_string(),
                    own: own.to_string(),
                })
            }
            _ => Err(StorageError::Refused(format!(
                "volume id '{}' is not a logical volume of group {group}",
                vid.escape_debug()
            ))),
        }
    }

    /// The logical volume that the running qube writes to.
    pub fn snap(&self) -> String {
        format!("{}-snap", self.own)
    }

    /// The logical volume of an incomplete import.
    pub fn import(&self) -> String {
        format!("{}-import", self.own)
    }

    /// The revision with the data as of `epoch`, seconds since 1970.
    pub fn revision(&self, epoch: i64) -> String {
        format!("{}-{epoch}-back", self.own)
    }

    /// Returns the time of a revision's logical volume in seconds since 1970; `None` for other
    /// names.
    pub fn revision_time(&self, name: &str) -> Option<i64> {
        let epoch = name
            .strip_prefix(&self.own)?
            .strip_prefix('-')?
            .strip_suffix("-back")?;
        epoch
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| epoch.parse().ok())?
    }

    /// Whether the logical volume `name` belongs to this volume.
    pub fn owns(&self, name: &str) -> bool {
        name == self.own
            || name == self.snap()
            || name == self.import()
            || self.revision_time(name).is_some()
    }

    /// Returns `VG/NAME`, as LVM commands take it.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }

    /// Returns the path of the device: group and name with every `-` doubled, joined by one.
    pub fn device(&self, name: &str) -> PathBuf {
        let doubled = |text: &str| text.replace('-', "--");
        PathBuf::from(format!(
            "/dev/mapper/{}-{}",
            doubled(&self.group),
            doubled(name)
        ))
    }
}

/// Whether LVM accepts the name of a group or a logical volume.
pub fn is_logical_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    !text.is_empty() && text.chars().all(plain) && !text.starts_with(['-', '.'])
}

/// Returns the revision that was replaced at `epoch`.
pub fn revision_at(epoch: i64) -> Revision {
    let time = jiff::Timestamp::from_second(epoch).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Revision {
        id: format!("{epoch}-back"),
        time: time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
    }
}

/// Returns the name of the volume's own logical volume, without the suffix of a running copy, an
/// import or a revision.
pub fn volume_name(name: &str) -> &str {
    if let Some(own) = name
        .strip_suffix("-snap")
        .or_else(|| name.strip_suffix("-import"))
    {
        return own;
    }
    let revision = name
        .strip_suffix("-back")
        .and_then(|rest| rest.rsplit_once('-'));
    match revision {
        Some((own, epoch)) if !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()) => own,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vids_of_other_forms_or_groups_are_refused() {
        let names = LogicalNames::from_vid("qubes_dom0/vm-sys-net-private", "qubes_dom0").unwrap();
        assert_eq!(
            names.device(&names.snap()),
            PathBuf::from("/dev/mapper/qubes_dom0-vm--sys--net--private--snap")
        );
        assert_eq!(
            names.revision_time("vm-sys-net-private-1700000000-back"),
            Some(1_700_000_000)
        );
        assert_eq!(names.revision_time("vm-sys-net-private-x-back"), None);
        assert!(names.owns("vm-sys-net-private-import") && !names.owns("vm-sys-net-private2"));
        for vid in [
            "",
            "vm-work-root",
            "other/vm-work-root",
            "qubes_dom0/",
            "qubes_dom0/-rf",
            "qubes_dom0/a b",
            "qubes_dom0/../x",
        ] {
            let error = LogicalNames::from_vid(vid, "qubes_dom0")
                .unwrap_err()
                .to_string();
            assert!(
                error.ends_with("is not a logical volume of group qubes_dom0"),
                "{error}"
            );
        }
    }

    #[test]
    fn suffixes_are_removed_from_names() {
        for name in [
            "vm-a-root",
            "vm-a-root-snap",
            "vm-a-root-import",
            "vm-a-root-12-back",
        ] {
            assert_eq!(volume_name(name), "vm-a-root");
        }
        assert_eq!(volume_name("vm-come-back"), "vm-come-back");
        assert_eq!(
            revision_at(0),
            Revision {
                id: "0-back".into(),
                time: "1970-01-01T00:00:00".into()
            }
        );
    }
}
