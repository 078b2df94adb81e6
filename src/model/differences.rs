//! The differences between two states of a system, as text.

use std::collections::BTreeSet;
use std::fmt;

use super::device::DeviceAssignment;
use super::pool::Pool;
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::vm::Vm;

/// One difference. Displayed as `work: memory 400 → 800`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name of the qube, `system`, or `pool NAME`.
    pub subject: String,
    /// The property, feature, tag, device or volume; empty if the subject as a whole was added or
    /// removed.
    pub item: String,
    /// What changed.
    pub kind: DifferenceKind,
}

/// The kind of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The text changed. `None` means missing, displayed as `absent`.
    Changed {
        /// The text in the old state.
        old: Option<String>,
        /// The text in the new state.
        new: Option<String>,
        /// The word for a missing text: `default`, `unset` or `absent`.
        absent: &'static str,
    },
    /// Only the new state has it. For a qube with its class.
    Added(Option<String>),
    /// Only the old state has it. For a qube with its class.
    Removed(Option<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.subject)?;
        if !self.item.is_empty() {
            write!(f, " {}", self.item)?;
        }
        let parenthesized = |about: &Option<String>| {
            about
                .as_ref()
                .map(|text| format!(" ({text})"))
                .unwrap_or_default()
        };
        match &self.kind {
            DifferenceKind::Changed { old, new, absent } => {
                write!(
                    f,
                    " {} → {}",
                    text_or_absent(old, absent),
                    text_or_absent(new, absent)
                )
            }
            DifferenceKind::Added(what) => write!(f, " added{}", parenthesized(what)),
            DifferenceKind::Removed(what) => write!(f, " removed{}", parenthesized(what)),
        }
    }
}

fn text_or_absent<'a>(text: &'a Option<String>, absent: &'a str) -> &'a str {
    match text.as_deref() {
        None => absent,
        Some("") => "(empty)",
        Some(text) => text,
    }
}

/// Collects the differences of one subject.
struct DifferenceCollector<'a> {
    subject: &'a str,
    found: &'a mut Vec<Difference>,
}

impl DifferenceCollector<'_> {
    fn add(&mut self, item: impl Into<String>, kind: DifferenceKind) {
        self.found.push(Difference {
            subject: self.subject.to_owned(),
            item: item.into(),
            kind,
        });
    }

    /// Adds a difference if the texts differ. `absent` is the word for a missing one.
    fn compare_texts(
        &mut self,
        what: &str,
        old: Option<&str>,
        new: Option<&str>,
        absent: &'static str,
    ) {
        if old != new {
            let (old, new) = (old.map(str::to_owned), new.map(str::to_owned));
            self.add(what, DifferenceKind::Changed { old, new, absent });
        }
    }

    /// Adds the differences of two maps, in byte order of the names.
    fn compare_maps(&mut self, prefix: &str, old: &TextMap, new: &TextMap, absent: &'static str) {
        let names: BTreeSet<&str> = old.names().chain(new.names()).collect();
        for name in names {
            self.compare_texts(
                &format!("{prefix}{name}"),
                old.get(name),
                new.get(name),
                absent,
            );
        }
    }
}

/// Lists the differences of `new` from this state: first those of the system, then those of
/// each qube in the order of the names. Only explicit values are compared.
pub fn find_differences(qubes: &Qubes, new: &Qubes) -> Vec<Difference> {
    let mut found = Vec::new();
    compare_system(qubes, new, &mut found);
    compare_pools(qubes, new, &mut found);
    let mut names: Vec<&str> = qubes
        .names()
        .chain(new.names())
        .map(|n| n.as_str())
        .collect();
    names.sort_by_key(|name| (*name != "dom0", *name));
    names.dedup();
    for name in names {
        let mut collector = DifferenceCollector {
            subject: name,
            found: &mut found,
        };
        match (qubes.get(name), new.get(name)) {
            (Some(old), Some(new)) => collector.compare_qubes(old, new),
            (Some(old), None) => {
                collector.add("", DifferenceKind::Removed(Some(old.class.to_string())))
            }
            (None, Some(new)) => {
                collector.add("", DifferenceKind::Added(Some(new.class.to_string())))
            }
            (None, None) => {}
        }
    }
    found
}

/// Adds the differences of global properties and labels.
fn compare_system(qubes: &Qubes, new: &Qubes, found: &mut Vec<Difference>) {
    let labels = |qubes: &Qubes| {
        let mut labels = TextMap::new();
        for label in qubes.labels.iter() {
            let text = format!("{} {}", label.name, label.color);
            labels.set(&label.index.to_string(), &text);
        }
        labels
    };
    let mut system = DifferenceCollector {
        subject: "system",
        found,
    };
    system.compare_maps("", &qubes.globals, &new.globals, "default");
    system.compare_maps("label ", &labels(qubes), &labels(new), "absent");
}

/// Adds the differences of pools, in byte order of their names.
fn compare_pools(qubes: &Qubes, new: &Qubes, found: &mut Vec<Difference>) {
    let pools = qubes.pools.iter().chain(new.pools.iter());
    let names: BTreeSet<&str> = pools.map(Pool::name).collect();
    for name in names {
        let mut pool = DifferenceCollector {
            subject: &format!("pool {name}"),
            found,
        };
        match (qubes.pools.get(name), new.pools.get(name)) {
            (Some(old), Some(new)) => {
                pool.compare_maps("", &old.attributes, &new.attributes, "absent");
            }
            (Some(_), None) => pool.add("", DifferenceKind::Removed(None)),
            (None, _) => pool.add("", DifferenceKind::Added(None)),
        }
    }
}

impl DifferenceCollector<'_> {
    fn compare_qubes(&mut self, old: &Vm, new: &Vm) {
        self.compare_texts(
            "class",
            Some(old.class.as_str()),
            Some(new.class.as_str()),
            "",
        );
        self.compare_maps("", &old.properties, &new.properties, "default");
        self.compare_maps("feature ", &old.features, &new.features, "unset");
        let tags = |vm: &Vm| vm.tags.iter().map(|tag| format!("tag {tag}")).collect();
        self.compare_sets(tags(old), tags(new));
        let devices = |vm: &Vm| {
            let all = vm.devices.iter().flat_map(|class| {
                class
                    .assignments
                    .iter()
                    .map(|a| describe_assignment(&class.class, a))
            });
            all.collect()
        };
        self.compare_sets(devices(old), devices(new));
        let volumes: BTreeSet<&str> = old
            .volumes
            .iter()
            .chain(&new.volumes)
            .map(|v| v.name())
            .collect();
        for name in volumes {
            match (old.volume(name), new.volume(name)) {
                (Some(old), Some(new)) => {
                    self.compare_maps(
                        &format!("volume {name} "),
                        &old.attributes,
                        &new.attributes,
                        "default",
                    );
                }
                (old, _) => {
                    let how = if old.is_some() {
                        DifferenceKind::Removed(None)
                    } else {
                        DifferenceKind::Added(None)
                    };
                    self.add(format!("volume {name}"), how);
                }
            }
        }
    }

    /// Adds what only one of the sets has.
    fn compare_sets(&mut self, old: BTreeSet<String>, new: BTreeSet<String>) {
        old.difference(&new)
            .for_each(|gone| self.add(gone, DifferenceKind::Removed(None)));
        new.difference(&old)
            .for_each(|come| self.add(come, DifferenceKind::Added(None)));
    }
}

/// Describes a device assignment: `pci device 00_14.0 of dom0 (required, no-strict-reset=True)`.
fn describe_assignment(class: &str, device: &DeviceAssignment) -> String {
    let mode = device.mode().map_or_else(|text| text, |mode| mode.as_str());
    let mut about = vec![mode.to_owned()];
    if device.identity() != "*" {
        about.push(device.identity().to_owned());
    }
    about.extend(
        device
            .options
            .iter()
            .filter(|(n, _)| *n != "identity")
            .map(|(n, v)| format!("{n}={v}")),
    );
    let backend = device.backend().unwrap_or("any qube");
    format!(
        "{class} device {} of {backend} ({})",
        device.port(),
        about.join(", ")
    )
}
