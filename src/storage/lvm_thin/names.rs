//! The names of one volume's logical volumes (`docs/spec/r4-storage.md` §7).

use std::path::PathBuf;

use crate::storage::{Revision, StorageError};

/// `VG/vm-QUBE-VOLUME` in its two parts; what else a volume has is named after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogicalNames {
    pub group: String,
    /// Committed data, or the only data of a volatile volume.
    pub own: String,
}

impl LogicalNames {
    /// The names for the vid of a volume in volume group `group`. A vid stands in qubes.xml: one
    /// that is no such name, or leads to another group, is refused.
    pub fn from_vid(vid: &str, group: &str) -> Result<LogicalNames, StorageError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
        match vid.split_once('/') {
            Some((own_group, own))
                if own_group == group
                    && !own.is_empty()
                    && own.len() <= 100
                    && own.chars().all(plain)
                    && !own.starts_with(['-', '.']) =>
            {
                Ok(LogicalNames {
                    group: group.to_string(),
                    own: own.to_string(),
                })
            }
            _ => Err(StorageError::Refused(format!(
                "volume id '{}' names no logical volume of group {group}",
                vid.escape_debug()
            ))),
        }
    }

    /// What the running qube has.
    pub fn snap(&self) -> String {
        format!("{}-snap", self.own)
    }

    /// An import that is not complete.
    pub fn import(&self) -> String {
        format!("{}-import", self.own)
    }

    /// The data as they were at `epoch`, seconds since 1970.
    pub fn revision(&self, epoch: i64) -> String {
        format!("{}-{epoch}-back", self.own)
    }

    /// The time of the revision that the logical volume `name` is, in seconds since 1970.
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

    /// `VG/NAME`, as LVM's commands take it.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.group)
    }

    /// Its device: group and name with every `-` doubled, joined by one.
    pub fn device(&self, name: &str) -> PathBuf {
        let doubled = |text: &str| text.replace('-', "--");
        PathBuf::from(format!(
            "/dev/mapper/{}-{}",
            doubled(&self.group),
            doubled(name)
        ))
    }
}

/// The revision that was current until `epoch`.
pub fn revision_of(epoch: i64) -> Revision {
    let time = jiff::Timestamp::from_second(epoch).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    Revision {
        id: format!("{epoch}-back"),
        time: time.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
    }
}

/// The logical volume's name without what a running copy, an import or a revision has appended.
pub fn volume_of(name: &str) -> &str {
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
    fn a_vid_names_a_volume_of_its_pools_group_and_nothing_else() {
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
                error.ends_with("names no logical volume of group qubes_dom0"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_appended_is_taken_off() {
        for name in [
            "vm-a-root",
            "vm-a-root-snap",
            "vm-a-root-import",
            "vm-a-root-12-back",
        ] {
            assert_eq!(volume_of(name), "vm-a-root");
        }
        assert_eq!(volume_of("vm-come-back"), "vm-come-back");
        assert_eq!(
            revision_of(0),
            Revision {
                id: "0-back".into(),
                time: "1970-01-01T00:00:00".into()
            }
        );
    }
}
