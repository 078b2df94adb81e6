//! Finds everything that is wrong with a file, with its line: in its form, and in its content
//! ([`crate::model::check`]).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::salvage::{SalvagedStore, salvage};
use super::source_lines::SourceLines;
use crate::format::document::index::DomainEntry;
use crate::format::document::parse::{
    describe_unknown_class, items, label_number, nameless_items, read_volumes, sections,
};
use crate::format::document::schema::{LABELS, NAMED, POOLS, PROPERTIES, WRITE_ONCE_PROPERTIES};
use crate::format::document::usable_name;
use crate::format::xml::tree::{ElementId, Tree};
use crate::format::{Bytes, FormatError, check, read};
use crate::model::check::{FindingKind, Harm};
use crate::model::{Class, Facts, Finding, Label, Location, Remedy, Vm, VmName, check};

/// One finding, with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1; `None` if the finding has no place in the file.
    pub line: Option<usize>,
    /// The affected qube.
    pub qube: Option<VmName>,
    /// What is wrong, as one of the documented kinds.
    pub kind: FindingKind,
    /// What the damage leads to.
    pub harm: Harm,
    /// What is wrong, in one line without the name of the qube.
    pub text: String,
    /// What repairs it.
    pub remedy: Remedy,
    pub(super) target: Target,
}

impl Damage {
    /// Creates a warning about something outside the text that only a person can repair.
    pub fn for_manual_repair(
        line: Option<usize>,
        qube: Option<VmName>,
        kind: FindingKind,
        text: String,
        what: &str,
    ) -> Damage {
        let remedy = Remedy::Manual(what.to_owned());
        Damage {
            line,
            qube,
            kind,
            harm: Harm::Misread,
            text,
            remedy,
            target: Target::Text,
        }
    }

    /// Creates a damage of the text, for which upstream refuses the store.
    fn of_text(line: Option<usize>, kind: FindingKind, text: String, remedy: Remedy) -> Damage {
        Damage {
            line,
            qube: None,
            kind,
            harm: Harm::Refused,
            text,
            remedy,
            target: Target::Text,
        }
    }

    /// Creates a damage of the element at `range`, for which upstream refuses the store.
    fn of_element(
        lines: &SourceLines,
        range: Range<usize>,
        kind: FindingKind,
        text: String,
        remedy: Remedy,
    ) -> Damage {
        Damage {
            line: Some(lines.line_at(range.start)),
            target: Target::Element(range),
            ..Damage::of_text(None, kind, text, remedy)
        }
    }
}

/// What a repair changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Something in the collection.
    Known(Location),
    /// An element of the file that is not in the collection.
    Element(Range<usize>),
    /// The text of the file.
    Text,
}

/// Finds what is wrong with `bytes` as a store, in the order of the file. If the text is damaged,
/// the part that can be salvaged is examined, too.
pub fn find_damage(bytes: &Bytes, facts: &dyn Facts) -> Vec<Damage> {
    let mut found = match check(bytes) {
        Ok(()) => content_damage(bytes, facts),
        Err(FormatError::OldFormat) => old_store_damage(bytes),
        Err(error) => text_damage(bytes, &error, facts),
    };
    found.sort_by_key(|damage| damage.line);
    found
}

/// Finds what upstream refuses or reads differently in a well-formed store.
fn content_damage(bytes: &Bytes, facts: &dyn Facts) -> Vec<Damage> {
    let qubes = match read(bytes.clone()) {
        Ok(qubes) => qubes,
        Err(error) => return vec![form_damage(&error)],
    };
    let lines = SourceLines::new(bytes);
    let mut found = Vec::new();
    check_labels(&lines, &mut found);
    check_pools(&lines, &mut found);
    check_domain_names(bytes, &lines, &mut found);
    for vm in qubes.iter().filter(|vm| !vm.diagnoses.is_empty()) {
        check_domain_form(vm, &lines, &mut found);
    }
    found.extend(
        check::findings(&qubes, facts)
            .into_iter()
            .map(|finding| locate(finding, &lines)),
    );
    found
}

/// Adds the line to a finding.
fn locate(finding: Finding, lines: &SourceLines) -> Damage {
    let Finding {
        at,
        kind,
        harm,
        text,
        remedy,
    } = finding;
    Damage {
        line: lines.find_line(&at),
        qube: at.qube().cloned(),
        kind,
        harm,
        text,
        remedy,
        target: Target::Known(at),
    }
}

/// Describes a store of R1 to R3, which no release of R4 loads.
fn old_store_damage(bytes: &Bytes) -> Vec<Damage> {
    let damage = |qube, kind, text: String| Damage {
        qube,
        ..Damage::of_text(None, kind, text, Remedy::Manual("qubes-db convert".into()))
    };
    let text =
        "written by Qubes R3 or older, and no release of R4 loads it; the next change converts it";
    let mut found = vec![damage(None, FindingKind::OldFormat, text.to_owned())];
    match read(bytes.clone()) {
        Err(error) => found.push(form_damage(&error)),
        Ok(qubes) => {
            let system = qubes.diagnoses.iter().map(|diagnosis| (None, diagnosis));
            let of_qubes = qubes
                .iter()
                .flat_map(|vm| vm.diagnoses.iter().map(|d| (Some(vm.name.clone()), d)));
            let all = system.chain(of_qubes);
            found.extend(all.map(|(qube, diagnosis)| {
                damage(qube, FindingKind::BadValue, diagnosis.text.clone())
            }));
        }
    }
    found
}

/// Describes why the file cannot be read as a store.
fn form_damage(error: &FormatError) -> Damage {
    let restore = "go back to a copy: qubes-db restore COPY";
    match error {
        FormatError::NotWellFormed {
            line,
            column,
            reason,
        } => Damage::of_text(
            Some(*line),
            FindingKind::Form,
            format!("not well-formed XML at column {column}: {reason}"),
            Remedy::Manual(format!("fix it in an editor, or {restore}")),
        ),
        other => Damage::of_text(
            None,
            FindingKind::Form,
            other.to_string(),
            Remedy::Manual(restore.to_owned()),
        ),
    }
}

/// Describes a damaged text: what can be salvaged, what is lost, and what is wrong in the rest.
fn text_damage(bytes: &Bytes, error: &FormatError, facts: &dyn Facts) -> Vec<Damage> {
    let mut form = form_damage(error);
    let Some(store) = salvage(bytes) else {
        return vec![form];
    };
    form.remedy = Remedy::Salvage(describe_salvage(&store));
    let form_line = form.line;
    let mut found = vec![form];
    found.extend(store.steps.iter().map(|step| {
        let remedy = Remedy::Salvage(step.action.clone());
        Damage::of_text(step.line, FindingKind::Form, step.problem.clone(), remedy)
    }));
    found.extend(store.lost.iter().map(|lost| {
        let action = match lost.name {
            Some(_) => "restore the qube from a copy, or give it up",
            None => "restore it from a copy",
        };
        let qube = lost.name.as_ref();
        Damage {
            qube: qube.and_then(|name| VmName::from_store(name).ok()),
            ..Damage::of_text(
                Some(lost.line).or(form_line),
                FindingKind::Form,
                lost.text.clone(),
                Remedy::Salvage(action.to_owned()),
            )
        }
    }));
    // A missing reference is a consequence of the lost part.
    let is_independent = |damage: &Damage| {
        store.lost.is_empty()
            || !matches!(
                damage.kind,
                FindingKind::Dangling
                    | FindingKind::VolumeSource
                    | FindingKind::NoDom0
                    | FindingKind::DeviceBackend
            )
    };
    let content = content_damage(&Bytes::from(store.bytes.clone()), facts).into_iter();
    found.extend(content.filter(is_independent).map(|damage| Damage {
        line: damage.line.map(|line| store.original_line(line)),
        ..damage
    }));
    found
}

/// Describes in one line what a salvage keeps.
fn describe_salvage(store: &SalvagedStore) -> String {
    let domains = store.domains;
    let kept = match store.lost.iter().filter(|lost| lost.name.is_some()).count() {
        0 if store.lost.is_empty() => format!("nothing is lost: the store has {domains} domains"),
        0 => format!("{domains} domains can be read"),
        named => format!("{domains} domains can be read, {named} cannot"),
    };
    match store.steps.first().filter(|_| store.lost.is_empty()) {
        Some(step) => format!("{}; {kept}", step.action),
        None => {
            format!("keep what can be read, or use a copy: qubes-db repair asks which; {kept}")
        }
    }
}

/// Finds labels without a number, or with the name or number of another label.
fn check_labels(lines: &SourceLines, found: &mut Vec<Damage>) {
    let trees: Vec<Tree> = lines.sections(LABELS).collect();
    let all = || {
        trees.iter().flat_map(|tree| {
            tree.children_named(Tree::ROOT, LABELS.item)
                .map(move |id| (tree, id))
        })
    };
    let mut numbers: HashSet<u32> = all()
        .filter_map(|(tree, id)| label_number(tree, id))
        .collect();
    let mut names_by_number: HashMap<u32, Cow<str>> = HashMap::new();
    let mut names: HashSet<Cow<str>> = HashSet::new();
    for (tree, id) in all() {
        let name = tree.text(id);
        let number = label_number(tree, id);
        if names.contains(&name) {
            let text = format!("label '{name}' occurs twice");
            let remedy = Remedy::Remove {
                what: "the second".into(),
            };
            found.push(Damage {
                harm: Harm::Misread,
                ..Damage::of_element(lines, tree.range(id), FindingKind::LabelTwice, text, remedy)
            });
            continue;
        }
        let same_number = number.and_then(|number| names_by_number.get(&number));
        let (kind, harm, text) = match (number, same_number) {
            (Some(number), None) => {
                names_by_number.insert(number, name.clone());
                names.insert(name);
                continue;
            }
            (Some(number), Some(first)) => (
                FindingKind::LabelTwice,
                Harm::Misread,
                format!("label '{name}' has the number of '{first}', {number}"),
            ),
            (None, _) => (
                FindingKind::LabelNumber,
                Harm::Refused,
                format!("label '{name}' has no number: its id is not label-N"),
            ),
        };
        let new = free_label_number(&name, &numbers);
        let remedy = Remedy::SetAttribute {
            name: "id",
            value: format!("label-{new}"),
        };
        found.push(Damage {
            harm,
            ..Damage::of_element(lines, tree.range(id), kind, text, remedy)
        });
        numbers.insert(new);
        names.insert(name);
    }
}

/// Returns a free number for a label: its built-in number where possible, else the first from 9 on.
fn free_label_number(name: &str, taken: &HashSet<u32>) -> u32 {
    let built_in = Label::BUILT_IN
        .iter()
        .find(|(number, _, built_in)| *built_in == name && !taken.contains(number));
    built_in
        .map(|(number, _, _)| *number)
        .or_else(|| (9..).find(|n| !taken.contains(n)))
        .unwrap_or_default()
}

/// Finds pools without a name.
fn check_pools(lines: &SourceLines, found: &mut Vec<Damage>) {
    for tree in lines.sections(POOLS) {
        let is_nameless = |id: &ElementId| tree.attribute(*id, "name").is_none_or(|n| n.is_empty());
        for id in tree
            .children_named(Tree::ROOT, POOLS.item)
            .filter(is_nameless)
        {
            found.push(Damage::of_element(
                lines,
                tree.range(id),
                FindingKind::PoolName,
                "a storage pool has no name".into(),
                Remedy::Remove {
                    what: "the pool".into(),
                },
            ));
        }
    }
}

/// Finds domains without a usable name, and domains with the name of another one.
fn check_domain_names(bytes: &[u8], lines: &SourceLines, found: &mut Vec<Damage>) {
    let entries = &lines.index().domains;
    let names: HashSet<&str> = entries
        .iter()
        .filter_map(|e| e.name.as_ref().ok())
        .map(VmName::as_str)
        .collect();
    let mut new_names: HashSet<String> = HashSet::new();
    let mut choose_name = |wish: &str| {
        let mut candidates =
            std::iter::once(wish.to_owned()).chain((2..).map(|n| format!("{wish}-{n}")));
        let new = candidates.find(|new| !names.contains(new.as_str()) && !new_names.contains(new));
        new_names.extend(new.clone());
        Remedy::NewName(new.unwrap_or_default())
    };
    let mut first_entries: HashMap<&VmName, &DomainEntry> = HashMap::new();
    for entry in entries {
        let range = entry.span.range();
        let name = match usable_name(entry) {
            Ok(name) => name,
            Err(reason) => {
                let text = format!("this domain cannot be used: {reason}");
                let remedy = choose_name(&guess_name(bytes, entry));
                found.push(Damage::of_element(
                    lines,
                    range,
                    FindingKind::QubeName,
                    text,
                    remedy,
                ));
                continue;
            }
        };
        let Some(first) = first_entries.get(name) else {
            first_entries.insert(name, entry);
            continue;
        };
        let remedy = if bytes[range.clone()] == bytes[first.span.range()] {
            Remedy::Remove {
                what: "the second, which is the same".into(),
            }
        } else if entry.class == Class::AdminVM {
            Remedy::Remove {
                what: "the second".into(),
            }
        } else {
            choose_name(&format!("{}-2", truncate(name.as_str(), 28)))
        };
        let text = "a second qube has this name; the first is used".to_owned();
        found.push(Damage {
            qube: Some(name.clone()),
            ..Damage::of_element(lines, range, FindingKind::QubeNameTwice, text, remedy)
        });
    }
}

/// Guesses the name of a qube from the paths of its volumes, else from its number.
fn guess_name(bytes: &[u8], entry: &DomainEntry) -> String {
    let tree = Tree::parse_element(bytes, entry.span.range()).ok();
    let from_volumes = tree.as_ref().and_then(|tree| {
        let vids = read_volumes(tree).filter_map(|(id, _)| tree.attribute(id, "vid"));
        let mut names =
            vids.filter_map(|vid| match vid.split('/').collect::<Vec<_>>().as_slice() {
                ["appvms" | "vm-templates", name, _] => VmName::new(name).ok(),
                _ => None,
            });
        names.next()
    });
    match from_volumes {
        Some(name) => name.to_string(),
        None => {
            let id = tree.and_then(|tree| {
                tree.attribute(Tree::ROOT, "id")?
                    .strip_prefix("domain-")
                    .map(str::to_owned)
            });
            let digits = id.filter(|id| id.len() < 8 && id.bytes().all(|b| b.is_ascii_digit()));
            format!("qube-{}", digits.as_deref().unwrap_or("x"))
        }
    }
}

/// Shortens `text` to at most `most` bytes.
fn truncate(text: &str, most: usize) -> &str {
    let end = text
        .char_indices()
        .map(|(at, c)| at + c.len_utf8())
        .take_while(|end| *end <= most)
        .last();
    &text[..end.unwrap_or(0)]
}

/// Finds what the reader reports about the form of one domain.
fn check_domain_form(vm: &Vm, lines: &SourceLines, found: &mut Vec<Damage>) {
    let Some(tree) = lines.domain(&vm.name) else {
        return;
    };
    let mut add = |id: ElementId, kind, text, remedy| {
        found.push(Damage {
            qube: Some(vm.name.clone()),
            ..Damage::of_element(lines, tree.range(id), kind, text, remedy)
        });
    };
    if let Class::Unknown(class) = &vm.class {
        let text = describe_unknown_class(class);
        let remedy = unknown_class_remedy(vm, class);
        add(Tree::ROOT, FindingKind::UnknownClass, text, remedy);
    }
    let properties: Vec<_> = sections(&tree, Tree::ROOT, PROPERTIES)
        .flat_map(|section| items(&tree, section, PROPERTIES))
        .collect();
    for property_name in WRITE_ONCE_PROPERTIES {
        let all: Vec<_> = properties
            .iter()
            .filter(|p| p.name == property_name)
            .collect();
        let Some((last, earlier)) = all.split_last() else {
            continue;
        };
        for occurrence in earlier {
            let text = format!(
                "property '{property_name}' occurs twice ('{}', then '{}'); the last one counts",
                occurrence.text, last.text
            );
            let remedy = Remedy::Remove {
                what: "the first".into(),
            };
            add(occurrence.id, FindingKind::PropertyTwice, text, remedy);
        }
    }
    for container in NAMED {
        let item = container.item;
        for (_, id) in nameless_items(&tree, container) {
            let remedy = Remedy::Remove {
                what: format!("the {item}"),
            };
            let text = format!("a {item} has no name");
            add(id, FindingKind::Nameless, text, remedy);
        }
    }
}

/// Corrects a class that differs only in case; any other class is left to a person.
fn unknown_class_remedy(vm: &Vm, class: &str) -> Remedy {
    let similar = Class::ALL
        .iter()
        .find(|c| c.as_str().eq_ignore_ascii_case(class));
    match similar.filter(|c| **c != Class::AdminVM) {
        Some(class) => Remedy::SetAttribute {
            name: "class",
            value: class.to_string(),
        },
        None => Remedy::Manual(format!(
            "write its class in an editor, or qvm-remove {}",
            vm.name
        )),
    }
}

/// Returns the findings about the collection, with their positions in `damages`.
pub(super) fn known_findings(damages: &[Damage]) -> impl Iterator<Item = (usize, Finding)> + '_ {
    damages
        .iter()
        .enumerate()
        .filter_map(|(n, damage)| match &damage.target {
            Target::Known(at) => {
                let Damage {
                    kind,
                    harm,
                    text,
                    remedy,
                    ..
                } = damage.clone();
                Some((
                    n,
                    Finding {
                        at: at.clone(),
                        kind,
                        harm,
                        text,
                        remedy,
                    },
                ))
            }
            _ => None,
        })
}
