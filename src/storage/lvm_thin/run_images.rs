//! Tells the logical volumes that a run of a non-persistent volume has made from foreign ones.

use super::report::{LogicalVolume, Report};
use super::{LvmThin, list_images, revision_times};
use crate::storage::logical_names::LogicalNames;
use crate::storage::run_images::is_called_volatile;
use crate::storage::{ForeignImage, Image, Volume, VolumeKind};

/// The tag of a logical volume that a run of a volatile volume has made.
pub const RUN_TAG: &str = "qubes-run";

/// The purpose of a new logical volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A run, which removes it at its end.
    Run,
    /// Data that stay.
    Persistent,
}

impl LvmThin {
    /// Returns the logical volume that a run of a non-persistent volume has left.
    pub(super) fn run_volume(
        &self,
        report: &Report,
        volume: &Volume,
        names: &LogicalNames,
    ) -> Option<String> {
        let has_revisions = !revision_times(report, names).is_empty();
        let (own, snap) = (report.get(&names.own), report.get(&names.snap()));
        match volume.kind() {
            VolumeKind::Origin => None,
            VolumeKind::Snapshot => {
                let is_alone = own.is_none() && !has_revisions;
                let is_of_source = |snap: &LogicalVolume| {
                    self.source(volume)
                        .is_ok_and(|source| is_committed(&snap.origin, &source))
                };
                snap.filter(|snap| is_alone || is_of_source(snap))
                    .map(|snap| snap.name.clone())
            }
            VolumeKind::Volatile => {
                let has_volatile_name =
                    is_called_volatile(volume, '-') && snap.is_none() && !has_revisions;
                let has_tag = |own: &LogicalVolume| own.tags.iter().any(|tag| tag == RUN_TAG);
                own.filter(|own| has_volatile_name || has_tag(own))
                    .map(|own| own.name.clone())
            }
        }
    }

    /// Returns the foreign logical volumes. Each counts as having data, because its content is not
    /// known exactly.
    pub(super) fn list_foreign(
        &self,
        report: &Report,
        volume: &Volume,
        names: &LogicalNames,
    ) -> Vec<ForeignImage> {
        if volume.kind() == VolumeKind::Origin {
            return Vec::new();
        }
        let from_run = self.run_volume(report, volume, names);
        let is_foreign = |image: &Image| {
            let Image::Logical { name, .. } = image else {
                return false;
            };
            Some(name) != from_run.as_ref() && *name != names.import()
        };
        let foreign = list_images(report, names).into_iter().filter(is_foreign);
        foreign
            .map(|image| ForeignImage {
                image,
                blocks_start: true,
            })
            .collect()
    }
}

/// Whether `name` is, or was, the committed state of a volume.
fn is_committed(name: &str, volume: &LogicalNames) -> bool {
    name == volume.own || volume.revision_time(name).is_some()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::storage::VolumeLocks;

    /// Returns a report of logical volumes, each a name, its origin and its tags.
    fn report(volumes: &[(&str, &str, &str)]) -> Report {
        let row = |(name, origin, tags): &(&str, &str, &str)| {
            serde_json::json!({
                "vg_name": "q", "pool_lv": "pool00", "lv_name": name, "lv_size": "1024",
                "data_percent": "",
                "lv_attr": "Vwi-a-tz--", "origin": origin, "metadata_percent": "",
                "lv_metadata_size": "", "lv_tags": tags,
            })
        };
        let rows: Vec<_> = volumes.iter().map(row).collect();
        let text = serde_json::json!({ "report": [{ "lv": rows }] }).to_string();
        Report::parse(text.as_bytes()).unwrap()
    }

    fn volume(name: &str, kind: VolumeKind) -> Volume {
        let source = (kind == VolumeKind::Snapshot).then(|| "q/vm-tpl-root".to_string());
        Volume {
            owner: "work".into(),
            name: name.into(),
            snap_on_start: kind == VolumeKind::Snapshot,
            save_on_stop: kind == VolumeKind::Origin,
            source,
            ..Volume::orphan("pool", &format!("q/vm-work-{name}"))
        }
    }

    /// Returns the logical volume of a run and the names of foreign ones.
    fn classify(volume: &Volume, volumes: &[(&str, &str, &str)]) -> (Option<String>, Vec<String>) {
        let pool = LvmThin::new(
            "pool",
            "q",
            "pool00",
            VolumeLocks::new(PathBuf::from("/nowhere"), None, Duration::ZERO),
        );
        let (report, names) = (
            report(volumes),
            LogicalNames::from_vid(&volume.vid, "q").unwrap(),
        );
        let foreign = pool
            .list_foreign(&report, volume, &names)
            .into_iter()
            .map(|foreign| foreign.image.to_string());
        (pool.run_volume(&report, volume, &names), foreign.collect())
    }

    #[test]
    fn a_run_of_a_snapshot_is_identified_by_its_origin() {
        let (root, snap) = (volume("root", VolumeKind::Snapshot), "vm-work-root-snap");
        let run = Some(snap.to_string());
        for origin in ["vm-tpl-root", "vm-tpl-root-7-back"] {
            assert_eq!(
                classify(&root, &[(snap, origin, "")]),
                (run.clone(), vec![])
            );
        }
        // Its origin is removed, and nothing else exists.
        assert_eq!(classify(&root, &[(snap, "", "")]), (run.clone(), vec![]));
        let both = [("vm-work-root", "", ""), (snap, "vm-work-root", "")];
        assert_eq!(
            classify(&root, &both),
            (None, vec!["q/vm-work-root".into(), format!("q/{snap}")])
        );
        let cut_off = [
            ("vm-work-root-7-back", "", ""),
            (snap, "vm-work-root-7-back", ""),
        ];
        assert_eq!(classify(&root, &cut_off).1.len(), 2);
        let beside = [("vm-work-root", "", ""), (snap, "vm-tpl-root", "")];
        assert_eq!(
            classify(&root, &beside),
            (run, vec!["q/vm-work-root".into()])
        );
        assert_eq!(
            classify(&volume("root", VolumeKind::Origin), &both),
            (None, vec![])
        );
    }

    #[test]
    fn a_run_of_a_volatile_volume_is_identified_by_its_tag_or_name() {
        let own = |name: &str| Some(format!("vm-work-{name}"));
        let scratch = volume("scratch", VolumeKind::Volatile);
        assert_eq!(
            classify(&scratch, &[("vm-work-scratch", "", "x,qubes-run")]),
            (own("scratch"), vec![])
        );
        assert_eq!(
            classify(&scratch, &[("vm-work-scratch", "", "")]),
            (None, vec!["q/vm-work-scratch".into()])
        );
        let usual = volume("volatile", VolumeKind::Volatile);
        assert_eq!(
            classify(&usual, &[("vm-work-volatile", "", "")]),
            (own("volatile"), vec![])
        );
        let kept = [
            ("vm-work-volatile", "", ""),
            ("vm-work-volatile-7-back", "", ""),
        ];
        assert_eq!(classify(&usual, &kept).1.len(), 2);
        let lent = Volume {
            vid: "q/vm-work-private".into(),
            ..usual
        };
        assert_eq!(
            classify(&lent, &[("vm-work-private", "", "")]),
            (None, vec!["q/vm-work-private".into()])
        );
    }
}
