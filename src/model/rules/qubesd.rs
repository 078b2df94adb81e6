//! Predicates for what qubesd refuses to load or cannot work with. The rules for changes and the
//! checks of a store share them, so that a command accepts only what a check accepts.

use smol_str::{SmolStr, format_smolstr};

use crate::model::class::Class;
use crate::model::name::VmName;
use crate::model::pool::Pool;
use crate::model::pool_driver::VolumeIds;
use crate::model::release::Release;
use crate::model::tags::is_valid_tag;
use crate::model::vm::Vm;

/// The properties whose value qubesd also sets as a tag of the qube, with the prefixes of the tags.
/// It adds the tag while it loads the store, and refuses the store where it cannot.
pub(in crate::model) const TAGGED_REFERENCES: [(&str, &str); 3] = [
    ("audiovm", "audiovm-"),
    ("guivm", "guivm-"),
    ("relayvm", "relayvm-"),
];

/// Returns the tag for a reference to `name`; `None` if the name has a character that tags cannot
/// have.
pub(in crate::model) fn reference_tag(prefix: &str, name: &VmName) -> Option<SmolStr> {
    Some(format_smolstr!("{prefix}{name}")).filter(|tag| is_valid_tag(tag))
}

/// Explains why a qube cannot be the value of `property`, one of [`TAGGED_REFERENCES`] or a default
/// of one.
pub(in crate::model) fn find_reference_problem(property: &str, name: &VmName) -> Option<String> {
    let prefix = format!("{}-", property.strip_prefix("default_").unwrap_or(property));
    match reference_tag(&prefix, name) {
        Some(_) => None,
        None => Some(format!(
            "its name has a dot, and Qubes OS cannot create the tag '{prefix}{name}' \
             for {property}"
        )),
    }
}

/// A feature that qubesd cannot work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct FeatureProblem {
    /// Whether qubesd refuses the store for it. Otherwise it fails later.
    pub is_refused: bool,
    /// The rule that it breaks.
    pub rule: String,
}

/// The features that count preloaded disposables: the name, and whether only dom0 has it.
const PRELOAD_COUNTS: [(&str, bool); 2] = [
    ("preload-dispvm-max", false),
    ("preload-dispvm-threshold", true),
];
const PRELOAD_DELAY: &str = "preload-dispvm-delay";

/// The maximum length of a file name: qubesd creates a file for each service of dom0 while it loads
/// the store.
const FILE_NAME_MAX: usize = 255;

/// Explains why qubesd cannot work with a feature of a qube.
pub(in crate::model) fn find_feature_problem(
    vm: &Vm,
    name: &str,
    value: &str,
    release: Release,
) -> Option<FeatureProblem> {
    let refused = |rule: &str| {
        Some(FeatureProblem {
            is_refused: true,
            rule: rule.to_owned(),
        })
    };
    let later = |rule: &str| {
        Some(FeatureProblem {
            is_refused: false,
            rule: rule.to_owned(),
        })
    };
    let is_admin = vm.class == Class::AdminVM;
    if is_admin && let Some(service) = name.strip_prefix("service.") {
        if service == "meminfo-writer" && value.is_empty() {
            let is_refused = release >= Release::R4_4;
            let rule = "it would turn memory balancing off for dom0, \
                        and Qubes OS cannot set dom0's maxmem"
                .to_owned();
            return Some(FeatureProblem { is_refused, rule });
        }
        if service.len() > FILE_NAME_MAX && !value.is_empty() {
            return refused("the name of a service of dom0 has at most 255 characters");
        }
    }
    if !is_admin && !Class::DispVM.can_have_template(&vm.class) {
        return None;
    }
    if PRELOAD_COUNTS
        .iter()
        .any(|(count, only_dom0)| *count == name && (is_admin || !only_dom0))
    {
        return match is_count(value) {
            true => None,
            false => later("it must be a number of digits only"),
        };
    }
    if name == PRELOAD_DELAY && !is_delay(value) {
        return later("it must be a number of seconds");
    }
    None
}

/// Returns whether qubes of the class have network properties, so that one can be another's client.
pub(in crate::model) fn can_have_network(class: &Class) -> bool {
    class.is_local_guest()
}

/// Returns whether qubesd reads the text as a count: digits, or nothing, which is 0. Python limits
/// the number of digits it converts.
fn is_count(text: &str) -> bool {
    const MAX_DIGITS: usize = 18;
    text.len() <= MAX_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns whether qubesd reads the text as seconds: a number with or without fraction and sign, or
/// nothing, which is 0.
fn is_delay(text: &str) -> bool {
    text.is_empty() || text.trim().parse::<f64>().is_ok_and(f64::is_finite)
}

/// The properties of a volume that decide whether a driver can hold it, from the store and the
/// class.
#[derive(Debug, Clone, Copy)]
pub(in crate::model) struct VolumeTraits<'a> {
    pub name: &'a str,
    pub rw: bool,
    pub save_on_stop: bool,
    pub snap_on_start: bool,
    pub has_source: bool,
    /// The explicit number of revisions, if there is one.
    pub revisions_to_keep: Option<i64>,
}

/// A volume that its pool cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::model) struct VolumeProblem {
    /// Whether qubesd refuses the store for it. Otherwise it cannot start the qube.
    pub is_refused: bool,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// The attributes to remove so that it fits.
    pub attributes_to_remove: &'static [&'static str],
}

/// The volume that selects a kernel of dom0.
const KERNEL: &str = "kernel";

impl VolumeTraits<'_> {
    /// Explains why a pool cannot hold the volume.
    pub(in crate::model) fn find_problem(&self, pool: &Pool) -> Option<VolumeProblem> {
        let refused = |rule, attributes_to_remove: &'static [&'static str]| {
            Some(VolumeProblem {
                is_refused: true,
                rule,
                attributes_to_remove,
            })
        };
        let driver = pool.driver_spec();
        match pool.volume_ids() {
            Some(VolumeIds::Kernel) if self.rw => {
                refused("a kernel pool has no writable volumes", &[])
            }
            Some(VolumeIds::Kernel) if self.save_on_stop => {
                refused("a kernel pool keeps no changes of a qube", &[])
            }
            Some(VolumeIds::Kernel) if self.revisions_to_keep.is_some_and(|n| n != 0) => {
                refused("a kernel pool keeps no revisions", &["revisions_to_keep"])
            }
            Some(VolumeIds::File | VolumeIds::Logical | VolumeIds::Dataset)
                if self.name == KERNEL =>
            {
                let rule = "the kernel volume needs a pool of driver linux-kernel";
                Some(VolumeProblem {
                    is_refused: false,
                    rule,
                    attributes_to_remove: &[],
                })
            }
            _ if self.snap_on_start
                && self.save_on_stop
                && driver.is_some_and(|driver| !driver.keeps_changes_of_snapshots) =>
            {
                refused("driver file keeps no changes of a snapshot", &[])
            }
            _ if self.save_on_stop
                && driver.is_some_and(|driver| driver.max_revisions == Some(1))
                && self
                    .revisions_to_keep
                    .is_some_and(|n| !(-1..=1).contains(&n)) =>
            {
                refused(
                    "driver file keeps at most one revision",
                    &["revisions_to_keep"],
                )
            }
            _ if self.has_source && !self.snap_on_start => {
                refused("it has a source and is not a snapshot", &["source"])
            }
            _ => None,
        }
    }
}

/// Returns whether the text is a valid vid in a pool of files: a path below the pool's directory.
pub fn is_file_vid(vid: &str) -> bool {
    let stem = vid.rsplit('/').next().unwrap_or_default();
    vid.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !vid.chars().any(char::is_control)
        && !stem.starts_with('~')
}

/// Returns whether the text can be the name of a kernel, or empty for none.
pub fn is_kernel_name(text: &str) -> bool {
    !text.contains('/') && text != "." && text != ".." && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dom0() -> Vm {
        Vm::new(VmName::dom0(), Class::AdminVM)
    }

    #[test]
    fn preload_counts_and_delays_are_numbers() {
        for (value, is_valid) in [
            ("", true),
            ("3", true),
            ("abc", false),
            ("-1", false),
            ("1.5", false),
            ("٣", false),
        ] {
            for name in ["preload-dispvm-max", "preload-dispvm-threshold"] {
                let problem = find_feature_problem(&dom0(), name, value, Release::R4_3);
                assert_eq!(problem.is_none(), is_valid, "{name} {value}");
            }
        }
        for (value, is_valid) in [("", true), ("-1.5", true), ("soon", false), ("nan", false)] {
            assert_eq!(
                find_feature_problem(&dom0(), PRELOAD_DELAY, value, Release::R4_3).is_none(),
                is_valid,
                "{value}"
            );
        }
    }

    #[test]
    fn a_service_name_of_dom0_has_at_most_255_bytes() {
        let long = format!("service.app-dispvm.{}", "a".repeat(250));
        assert!(
            find_feature_problem(&dom0(), &long, "1", Release::R4_3).is_some_and(|m| m.is_refused)
        );
        assert!(find_feature_problem(&dom0(), &long, "", Release::R4_3).is_none());
    }
}
