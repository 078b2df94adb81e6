//! What differs between two states of a system, in words.

use std::collections::BTreeSet;
use std::fmt;

use super::device::DeviceAssignment;
use super::pool::Pool;
use super::qubes::Qubes;
use super::text_map::TextMap;
use super::vm::Vm;

/// One difference. Prints as `work: memory 400 → 800`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The qube, or `system`, `pool NAME`.
    pub subject: String,
    /// What of it; empty when it is there as a whole, or is not.
    pub item: String,
    pub kind: DifferenceKind,
}

/// How something differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DifferenceKind {
    /// From one text to the other; `None` where there is none, for which people read the word
    /// `absent`.
    Changed {
        old: Option<String>,
        new: Option<String>,
        absent: &'static str,
    },
    /// Only the new state has it. Of a qube the class is told.
    Added(Option<String>),
    /// Only the old state has it.
    Removed(Option<String>),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.subject)?;
        if !self.item.is_empty() {
            write!(f, " {}", self.item)?;
        }
        let about = |about: &Option<String>| {
            about
                .as_ref()
                .map(|text| format!(" ({text})"))
                .unwrap_or_default()
        };
        match &self.kind {
            DifferenceKind::Changed { old, new, absent } => {
                write!(f, " {} → {}", shown(old, absent), shown(new, absent))
            }
            DifferenceKind::Added(what) => write!(f, " added{}", about(what)),
            DifferenceKind::Removed(what) => write!(f, " removed{}", about(what)),
        }
    }
}

fn shown<'a>(text: &'a Option<String>, absent: &'a str) -> &'a str {
    match text.as_deref() {
        None => absent,
        Some("") => "(empty)",
        Some(text) => text,
    }
}

/// Collects differences of one owner.
struct DifferenceCollector<'a> {
    of: &'a str,
    found: &'a mut Vec<Difference>,
}

impl DifferenceCollector<'_> {
    fn add(&mut self, item: impl Into<String>, kind: DifferenceKind) {
        self.found.push(Difference {
            subject: self.of.to_owned(),
            item: item.into(),
            kind,
        });
    }

    /// One text that changed, with the word for its absence.
    fn text(&mut self, what: &str, old: Option<&str>, new: Option<&str>, absent: &'static str) {
        if old != new {
            let (old, new) = (old.map(str::to_owned), new.map(str::to_owned));
            self.add(what, DifferenceKind::Changed { old, new, absent });
        }
    }

    /// All texts of two maps, in byte order of their names.
    fn texts(&mut self, front: &str, old: &TextMap, new: &TextMap, absent: &'static str) {
        let names: BTreeSet<&str> = old.names().chain(new.names()).collect();
        for name in names {
            self.text(
                &format!("{front}{name}"),
                old.get(name),
                new.get(name),
                absent,
            );
        }
    }
}

impl Qubes {
    /// What is different in `new`: the system's own things first, then qube by qube, in the order
    /// of their names. Only what is explicitly set counts.
    pub fn find_differences(&self, new: &Qubes) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut system = DifferenceCollector {
            of: "system",
            found: &mut found,
        };
        system.texts("", &self.globals, &new.globals, "default");
        let labels = |qubes: &Qubes| -> TextMap {
            let shown = qubes
                .labels
                .iter()
                .map(|l| (l.index.to_string(), format!("{} {}", l.name, l.color)));
            shown
                .collect::<Vec<_>>()
                .iter()
                .map(|(n, t)| (n.as_str(), t.as_str()))
                .collect()
        };
        system.texts("label ", &labels(self), &labels(new), "absent");
        let pools: BTreeSet<&str> = self
            .pools
            .iter()
            .chain(new.pools.iter())
            .map(Pool::name)
            .collect();
        for name in pools {
            let of = format!("pool {name}");
            let mut told = DifferenceCollector {
                of: &of,
                found: &mut found,
            };
            match (self.pools.get(name), new.pools.get(name)) {
                (Some(old), Some(new)) => {
                    told.texts("", &old.attributes, &new.attributes, "absent")
                }
                (old, _) => told.add(
                    "",
                    if old.is_some() {
                        DifferenceKind::Removed(None)
                    } else {
                        DifferenceKind::Added(None)
                    },
                ),
            }
        }
        let mut names: Vec<&str> = self
            .names()
            .chain(new.names())
            .map(|n| n.as_str())
            .collect();
        names.sort_by_key(|name| (*name != "dom0", *name));
        names.dedup();
        for name in names {
            let mut told = DifferenceCollector {
                of: name,
                found: &mut found,
            };
            match (self.get(name), new.get(name)) {
                (Some(old), Some(new)) => told.qube(old, new),
                (Some(old), None) => {
                    told.add("", DifferenceKind::Removed(Some(old.class.to_string())))
                }
                (None, Some(new)) => {
                    told.add("", DifferenceKind::Added(Some(new.class.to_string())))
                }
                (None, None) => {}
            }
        }
        found
    }
}

impl DifferenceCollector<'_> {
    fn qube(&mut self, old: &Vm, new: &Vm) {
        self.text(
            "class",
            Some(old.class.as_str()),
            Some(new.class.as_str()),
            "",
        );
        self.texts("", &old.properties, &new.properties, "default");
        self.texts("feature ", &old.features, &new.features, "unset");
        let tags = |vm: &Vm| vm.tags.iter().map(|tag| format!("tag {tag}")).collect();
        self.sets(tags(old), tags(new));
        let devices = |vm: &Vm| {
            let all = vm
                .devices
                .iter()
                .flat_map(|class| class.assignments.iter().map(|a| assigned(&class.class, a)));
            all.collect()
        };
        self.sets(devices(old), devices(new));
        let volumes: BTreeSet<&str> = old
            .volumes
            .iter()
            .chain(&new.volumes)
            .map(|v| v.name())
            .collect();
        for name in volumes {
            match (old.volume(name), new.volume(name)) {
                (Some(old), Some(new)) => {
                    self.texts(
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

    /// What is in one set and not in the other.
    fn sets(&mut self, old: BTreeSet<String>, new: BTreeSet<String>) {
        old.difference(&new)
            .for_each(|gone| self.add(gone, DifferenceKind::Removed(None)));
        new.difference(&old)
            .for_each(|come| self.add(come, DifferenceKind::Added(None)));
    }
}

/// A device assignment in words: `pci device 00_14.0 of dom0 (required, no-strict-reset=True)`.
fn assigned(class: &str, device: &DeviceAssignment) -> String {
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
