//! Finds everything that is wrong with a file, with its line: in its form, and in its content
//! ([`crate::model::check`]).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::index::{DomainEntry, Section};
use super::reader::{WRITE_ONCE_PROPERTIES, items};
use super::salvage::{SalvagedStore, salvage};
use super::source_lines::{SourceLines, label_number};
use super::tree::{ElementId, Tree};
use super::{Bytes, FormatError, check, read, usable_name};
use crate::model::check::{FindingKind, Harm};
use crate::model::{Class, Facts, Finding, Label, Location, Remedy, Vm, VmName};

/// One finding, with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1; `None` if the finding has no place in the file.
    pub line: Option<usize>,
    /// The affected qube.
    pub qube: Option<VmName>,
    /// What is wrong, as one of the documented kinds.
    pub kind: Kind,
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
}

/// What a repair changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// Something in the collection.
    Known(At),
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
        qubes
            .findings(facts)
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
    let by_conversion = |line, qube, kind, text: String, what: &str| {
        let remedy = Remedy::ByHand(what.to_owned());
        Damage {
            line,
            qube,
            kind,
            harm: Harm::Refused,
            text,
            remedy,
            target: Target::Text,
        }
    };
    let convert = "qubes-db convert";
    let text =
        "written by Qubes R3 or older, and no release of R4 loads it; the next change converts it"
            .to_owned();
    let mut found = vec![by_conversion(None, None, Kind::OldFormat, text, convert)];
    match read(bytes.clone()) {
        Err(error) => found.push(form_damage(&error)),
        Ok(qubes) => {
            let system = qubes.diagnoses.iter().map(|diagnosis| (None, diagnosis));
            let of_qubes = qubes
                .iter()
                .flat_map(|vm| vm.diagnoses.iter().map(|d| (Some(vm.name.clone()), d)));
            let all = system.chain(of_qubes);
            found.extend(all.map(|(qube, diagnosis)| {
                by_conversion(None, qube, Kind::BadValue, diagnosis.text.clone(), convert)
            }));
        }
    }
    found
}

/// Describes why the file cannot be read as a store.
fn form_damage(error: &FormatError) -> Damage {
    let back = "go back to a copy: qubes-db restore COPY";
    let (line, text, what) = match error {
        FormatError::NotWellFormed {
            line,
            column,
            reason,
        } => {
            let text = format!("not well-formed XML at column {column}: {reason}");
            (Some(*line), text, format!("fix it in an editor, or {back}"))
        }
        other => (None, other.to_string(), back.to_owned()),
    };
    let remedy = Remedy::Manual(what);
    Damage {
        line,
        qube: None,
        kind: FindingKind::Form,
        harm: Harm::Refused,
        text,
        remedy,
        target: Target::Text,
    }
}

/// Describes a damaged text: what can be salvaged, what is lost, and what is wrong in the rest.
fn text_damage(bytes: &Bytes, error: &FormatError, facts: &dyn Facts) -> Vec<Damage> {
    let mut form = form_damage(error);
    let Some(salvage) = salvage(bytes) else {
        return vec![form];
    };
    let SalvagedStore {
        steps,
        lost,
        domains,
        ..
    } = &salvage;
    let whole = match lost.iter().filter(|lost| lost.name.is_some()).count() {
        0 if lost.is_empty() => format!("nothing is lost: the store has {domains} domains"),
        0 => format!("{domains} domains can be read"),
        named => format!("{domains} domains can be read, {named} cannot"),
    };
    if let Some(step) = steps.first().filter(|_| lost.is_empty()) {
        form.remedy = Remedy::Salvage(format!("{}; {whole}", step.action));
    } else {
        form.remedy = Remedy::Salvage(format!(
            "keep what can be read, or use a copy: qubes-db repair asks which; {whole}"
        ));
    }
    let at = form.line;
    let mut found = vec![form];
    let more = |line, name: &Option<String>, text: &String, what: String| Damage {
        line,
        qube: name.as_ref().and_then(|name| VmName::from_store(name).ok()),
        kind: FindingKind::Form,
        harm: Harm::Refused,
        text: text.clone(),
        remedy: Remedy::Salvage(what),
        target: Target::Text,
    };
    found.extend(
        steps
            .iter()
            .map(|step| more(step.line, &None, &step.problem, step.action.clone())),
    );
    found.extend(lost.iter().map(|lost| {
        let what = if lost.name.is_some() {
            "restore the qube from a copy, or give it up"
        } else {
            "restore it from a copy"
        };
        more(
            Some(lost.line).or(at),
            &lost.name,
            &lost.text,
            what.to_owned(),
        )
    }));
    let gone: HashSet<&str> = lost
        .iter()
        .filter_map(|lost| lost.name.as_deref())
        .collect();
    let inside = content_damage(&Bytes::from(salvage.bytes.clone()), facts).into_iter();
    // A missing reference is a consequence of the lost part.
    let inside = inside.filter(|d| {
        gone.is_empty() && lost.is_empty()
            || !matches!(
                d.kind,
                FindingKind::Dangling
                    | FindingKind::VolumeSource
                    | FindingKind::NoDom0
                    | FindingKind::DeviceBackend
            )
    });
    found.extend(inside.map(|damage| Damage {
        line: damage.line.map(|line| salvage.original_line(line)),
        ..damage
    }));
    found
}

/// Finds labels without a number, or with the name or number of another label.
fn check_labels(lines: &SourceLines, found: &mut Vec<Damage>) {
    let trees: Vec<Tree> = lines.sections(Section::Labels).collect();
    let all = || {
        trees.iter().flat_map(|tree| {
            tree.children_named(Tree::ROOT, b"label")
                .map(move |id| (tree, id))
        })
    };
    let mut numbers: HashSet<u32> = all()
        .filter_map(|(tree, id)| label_number(tree, id))
        .collect();
    let mut seen: HashMap<u32, Cow<str>> = HashMap::new();
    let mut names: HashSet<Cow<str>> = HashSet::new();
    for (tree, id) in all() {
        let name = tree.text(id);
        let mut add = |kind, harm, text, remedy| {
            let range = tree.range(id);
            let line = Some(lines.line_at(range.start));
            found.push(Damage {
                line,
                qube: None,
                kind,
                harm,
                text,
                remedy,
                target: Target::Element(range),
            });
        };
        let number = label_number(tree, id);
        let first = number.and_then(|number| seen.get(&number));
        if number.is_some() && first.is_none() && !names.contains(&name) {
            seen.extend(number.map(|number| (number, name.clone())));
            names.insert(name);
            continue;
        }
        let new = || {
            let built_in = Label::BUILT_IN
                .iter()
                .find(|(number, _, built_in)| *built_in == name && !numbers.contains(number));
            built_in
                .map(|(number, _, _)| *number)
                .or_else(|| (9..).find(|n| !numbers.contains(n)))
        };
        match number {
            _ if names.contains(&name) => {
                let text = format!("label '{name}' occurs twice");
                add(
                    FindingKind::LabelTwice,
                    Harm::Misread,
                    text,
                    Remedy::Remove {
                        what: "the second".into(),
                    },
                );
            }
            number => {
                let new = new().unwrap_or_default();
                let remedy = Remedy::SetAttribute {
                    name: "id",
                    value: format!("label-{new}"),
                };
                match number {
                    None => {
                        let text = format!("label '{name}' has no number: its id is not label-N");
                        add(FindingKind::LabelNumber, Harm::Refused, text, remedy);
                    }
                    Some(number) => {
                        let text = format!(
                            "label '{name}' has the number of '{}', {number}",
                            first.map_or("", |f| f)
                        );
                        add(FindingKind::LabelTwice, Harm::Misread, text, remedy);
                    }
                }
                numbers.insert(new);
                names.insert(name);
            }
        }
    }
}

/// Finds pools without a name.
fn check_pools(lines: &SourceLines, found: &mut Vec<Damage>) {
    for tree in lines.sections(Section::Pools) {
        let nameless = |id: &ElementId| tree.attribute(*id, "name").is_none_or(|n| n.is_empty());
        for id in tree.children_named(Tree::ROOT, b"pool").filter(nameless) {
            let range = tree.range(id);
            found.push(Damage {
                line: Some(lines.line_at(range.start)),
                qube: None,
                kind: FindingKind::PoolName,
                harm: Harm::Refused,
                text: "a storage pool has no name".into(),
                remedy: Remedy::Remove {
                    what: "the pool".into(),
                },
                target: Target::Element(range),
            });
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
    let mut given: HashSet<String> = HashSet::new();
    let mut free = |wish: &str| {
        let candidates =
            std::iter::once(wish.to_owned()).chain((2..).map(|n| format!("{wish}-{n}")));
        let new = candidates
            .into_iter()
            .find(|new| !names.contains(new.as_str()) && !given.contains(new));
        given.extend(new.clone());
        new.unwrap_or_default()
    };
    let mut first: HashMap<&VmName, &DomainEntry> = HashMap::new();
    for entry in entries {
        let range = entry.span.range();
        let (kind, qube, text, remedy) = match usable_name(entry) {
            Err(reason) => {
                let text = format!("this domain cannot be used: {reason}");
                (
                    FindingKind::QubeName,
                    None,
                    text,
                    Remedy::NewName(free(&guess_name(bytes, entry))),
                )
            }
            Ok(name) => match first.get(name) {
                None => {
                    first.insert(name, entry);
                    continue;
                }
                Some(same) => {
                    let is_same = bytes[range.clone()] == bytes[same.span.range()];
                    let remedy = match is_same || entry.class == Class::AdminVM {
                        true if is_same => Remedy::Remove {
                            what: "the second, which is the same".into(),
                        },
                        true => Remedy::Remove {
                            what: "the second".into(),
                        },
                        false => {
                            Remedy::NewName(free(&format!("{}-2", truncate(name.as_str(), 28))))
                        }
                    };
                    let text = "a second qube has this name; the first is used".to_owned();
                    (FindingKind::QubeNameTwice, Some(name.clone()), text, remedy)
                }
            },
        };
        let line = Some(lines.line_at(range.start));
        found.push(Damage {
            line,
            qube,
            kind,
            harm: Harm::Refused,
            text,
            remedy,
            target: Target::Element(range),
        });
    }
}

/// Guesses the name of a qube from the paths of its volumes, else from its number.
fn guess_name(bytes: &[u8], entry: &DomainEntry) -> String {
    let tree = Tree::parse_element(bytes, entry.span.range()).ok();
    let from_volumes = tree.as_ref().and_then(|tree| {
        let vids =
            super::reader::volumes(tree, Tree::ROOT).filter_map(|id| tree.attribute(id, "vid"));
        let mut names =
            vids.filter_map(|vid| match vid.split('/').collect::<Vec<_>>().as_slice() {
                ["appvms" | "vm-templates", name, _] => VmName::for_new(name).ok(),
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
        let range = tree.range(id);
        let line = Some(lines.line_at(range.start));
        let qube = Some(vm.name.clone());
        found.push(Damage {
            line,
            qube,
            kind,
            harm: Harm::Refused,
            text,
            remedy,
            target: Target::Element(range),
        });
    };
    if let Class::Unknown(class) = &vm.class {
        let text = match class.is_empty() {
            true => "the domain has no class".to_owned(),
            false => format!("'{class}' is not a class of qubes"),
        };
        let meant = Class::ALL
            .iter()
            .find(|c| c.as_str().eq_ignore_ascii_case(class));
        let remedy = match meant.filter(|c| **c != Class::AdminVM) {
            Some(class) => Remedy::SetAttribute {
                name: "class",
                value: class.to_string(),
            },
            None => Remedy::Manual(format!(
                "write its class in an editor, or qvm-remove {}",
                vm.name
            )),
        };
        add(Tree::ROOT, FindingKind::UnknownClass, text, remedy);
    }
    let properties = tree.children_named(Tree::ROOT, b"properties");
    let properties: Vec<_> = properties
        .flat_map(|s| items(&tree, s, "property").collect::<Vec<_>>())
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
            add(
                occurrence.id,
                Kind::PropertyTwice,
                text,
                Remedy::Remove {
                    what: "the first".into(),
                },
            );
        }
    }
    for (section, item) in [
        ("properties", "property"),
        ("features", "feature"),
        ("tags", "tag"),
    ] {
        for section in tree.children_named(Tree::ROOT, section.as_bytes()) {
            let nameless = |id: &ElementId| tree.attribute(*id, "name").is_none();
            for id in tree
                .children_named(section, item.as_bytes())
                .filter(nameless)
            {
                add(
                    id,
                    FindingKind::Nameless,
                    format!("a {item} has no name"),
                    Remedy::Remove {
                        what: format!("the {item}"),
                    },
                );
            }
        }
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
