//! Finds damage of elements that are not in the collection, or only in part: labels without a
//! number, pools and domains without a name, properties that occur twice.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::damage::Damage;
use super::source_lines::SourceLines;
use crate::format::document::index::DomainEntry;
use crate::format::document::parse::{
    describe_unknown_class, items, label_number, read_volumes, sections,
};
use crate::format::document::schema::{LABELS, NAMED, POOLS, PROPERTIES, WRITE_ONCE_PROPERTIES};
use crate::format::document::usable_name;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::check::{FindingKind, Harm};
use crate::model::class::DIRECTORIES;
use crate::model::{Class, Label, Remedy, Vm, VmName};

/// Finds labels without a number, or with the name or number of another label.
pub(super) fn check_labels(lines: &SourceLines, found: &mut Vec<Damage>) {
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
pub(super) fn check_pools(lines: &SourceLines, found: &mut Vec<Damage>) {
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
pub(super) fn check_domain_names(bytes: &[u8], lines: &SourceLines, found: &mut Vec<Damage>) {
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
                [above, name, _] if DIRECTORIES.contains(above) => VmName::new(name).ok(),
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
pub(super) fn check_domain_form(vm: &Vm, lines: &SourceLines, found: &mut Vec<Damage>) {
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
        let items = sections(&tree, Tree::ROOT, container)
            .flat_map(|section| tree.children_named(section, item));
        for id in items.filter(|id| tree.attribute(*id, "name").is_none()) {
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
    let similar = Class::all().find(|c| c.as_str().eq_ignore_ascii_case(class));
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
