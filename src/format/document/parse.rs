//! Reads elements into the model. Bad content becomes a diagnosis; unknown content is ignored here,
//! and kept by the writer.

use std::borrow::Cow;

use smol_str::SmolStr;

use crate::format::xml::tree::{ElementId, Tree};
use crate::model::device::{DeviceAssignment, DeviceClass};
use crate::model::{Class, Diagnosis, Label, Pool, TextMap, Vm, VmName, VolumeConfig};

/// Largest number of entries of one kind per qube, so that a hostile file costs neither time nor
/// memory. Further entries are kept in the file and ignored.
pub(super) const MAX_ITEMS: usize = 4096;

/// Properties whose second occurrence makes upstream refuse the store (`docs/spec/r4-xml.md` §1.3).
pub(crate) const WRITE_ONCE_PROPERTIES: [&str; 4] = ["name", "qid", "uuid", "dispid"];

/// An element `<item name="…">text</item>` of a section.
pub(crate) struct NamedText<'a> {
    pub id: ElementId,
    pub name: Cow<'a, str>,
    pub text: Cow<'a, str>,
}

/// Reads the named items of one section.
pub(crate) fn items<'t, 'a>(
    tree: &'t Tree<'a>,
    section: ElementId,
    item: &'static str,
) -> impl Iterator<Item = NamedText<'a>> + 't {
    tree.children_named(section, item.as_bytes())
        .filter_map(move |id| {
            let name = tree.attribute(id, "name")?;
            // `ref` has not been written since 2015, but it is still read, for any property.
            let reference = if item == "property" {
                tree.attribute(id, "ref").filter(|r| !r.is_empty())
            } else {
                None
            };
            Some(NamedText {
                id,
                name,
                text: reference.unwrap_or_else(|| tree.text(id)),
            })
        })
}

/// Reads the named items of several sections of one kind, section by section; together at most
/// [`MAX_ITEMS`].
pub(crate) fn items_in_sections<'a>(
    tree: &Tree<'a>,
    sections: &[ElementId],
    item: &'static str,
) -> Vec<Vec<NamedText<'a>>> {
    let mut left = MAX_ITEMS;
    let mut found = Vec::with_capacity(sections.len());
    for section in sections {
        let here: Vec<_> = items(tree, *section, item).take(left).collect();
        left -= here.len();
        found.push(here);
    }
    found
}

/// Returns the value of a property; the last occurrence wins.
pub(crate) fn last_property<'a>(
    tree: &Tree<'a>,
    parent: ElementId,
    name: &str,
) -> Option<Cow<'a, str>> {
    let sections = tree.children_named(parent, b"properties");
    sections
        .flat_map(|s| items(tree, s, "property"))
        .take(MAX_ITEMS)
        .filter(|p| p.name == name)
        .last()
        .map(|p| p.text)
}

/// Adds the items of a section to `map`. `count` counts them over all sections.
fn collect(
    map: &mut TextMap,
    tree: &Tree,
    section: ElementId,
    item: &'static str,
    count: &mut usize,
) {
    if map.is_empty() {
        // In upstream's form names and texts are about a third of the bytes of a section, and a
        // line has about 60 bytes.
        let bytes = tree.range(section).len();
        *map = TextMap::with_capacity(bytes / 60 + 1, bytes / 3);
    }
    for item in items(tree, section, item).take(MAX_ITEMS - *count) {
        *count += 1;
        map.set(&item.name, &item.text);
    }
}

/// Adds the global properties of a `<properties>` section to `map`.
pub(crate) fn read_global_properties(
    tree: &Tree,
    section: ElementId,
    map: &mut TextMap,
    count: &mut usize,
) {
    collect(map, tree, section, "property", count);
}

/// Reads the labels of a `<labels>` section; one without a valid number is a diagnosis.
pub(crate) fn read_labels(
    tree: &Tree,
    section: ElementId,
    diagnoses: &mut Vec<Diagnosis>,
) -> Vec<(ElementId, Label)> {
    let mut labels = Vec::new();
    for id in tree.children_named(section, b"label").take(MAX_ITEMS) {
        let stored = tree.attribute(id, "id").unwrap_or_default();
        match stored.split_once('-').and_then(|(_, n)| n.parse().ok()) {
            Some(index) => {
                let color = tree.attribute(id, "color").unwrap_or_default().into();
                labels.push((
                    id,
                    Label {
                        index,
                        color,
                        name: tree.text(id).into(),
                    },
                ));
            }
            None => diagnoses.push(diagnosis(format!(
                "label '{}' has no number: id=\"{stored}\"",
                tree.text(id)
            ))),
        }
    }
    labels
}

/// Reads the pools of a `<pools>` section; one without a name is a diagnosis.
pub(crate) fn read_pools(
    tree: &Tree,
    section: ElementId,
    diagnoses: &mut Vec<Diagnosis>,
) -> Vec<(ElementId, Pool)> {
    let mut pools = Vec::new();
    for id in tree.children_named(section, b"pool").take(MAX_ITEMS) {
        let pool = Pool {
            attributes: read_attributes(tree, id),
        };
        if pool.name().is_empty() {
            diagnoses.push(diagnosis("a storage pool has no name".to_string()));
        } else {
            pools.push((id, pool));
        }
    }
    pools
}

/// Reads all attributes of an element, in order.
pub(crate) fn read_attributes(tree: &Tree, id: ElementId) -> TextMap {
    let stored = tree.attributes(id);
    let stored = &stored[..stored.len().min(MAX_ITEMS)];
    let bytes = stored.iter().map(|a| a.name.len() + a.value.len()).sum();
    let mut map = TextMap::with_capacity(stored.len(), bytes);
    // A tag never has two attributes of one name.
    stored
        .iter()
        .for_each(|a| map.append(tree.attribute_name(a), &tree.value(a)));
    map
}

/// Reads the qube from the domain element at the root of `tree`.
pub(crate) fn read_vm(tree: &Tree, name: VmName, class: Class) -> Vm {
    let mut vm = Vm::empty(name, class);
    let (mut properties, mut features) = (0, 0);
    for section in tree.children(Tree::ROOT) {
        match tree.name(section) {
            b"properties" => collect(
                &mut vm.properties,
                tree,
                section,
                "property",
                &mut properties,
            ),
            b"features" => collect(&mut vm.features, tree, section, "feature", &mut features),
            b"tags" => {
                let left = MAX_ITEMS - vm.tags.len();
                vm.tags.extend(
                    items(tree, section, "tag")
                        .take(left)
                        .map(|t| SmolStr::from(t.name)),
                );
            }
            b"devices" if vm.devices.len() < MAX_ITEMS => {
                vm.devices.extend(
                    tree.attribute(section, "class")
                        .map(|class| read_device_class(tree, section, &class)),
                );
            }
            b"volume-config" => {
                let left = MAX_ITEMS - vm.volumes.len();
                let volumes = named_volumes(tree, section).take(left);
                vm.volumes.extend(volumes.map(|id| VolumeConfig {
                    attributes: read_attributes(tree, id),
                }));
            }
            _ => {}
        }
    }
    diagnose(tree, &mut vm, properties);
    vm
}

/// Returns the `<devices class="…">` elements with their classes.
pub(crate) fn device_classes<'t, 'a>(
    tree: &'t Tree<'a>,
    parent: ElementId,
) -> impl Iterator<Item = (ElementId, Cow<'a, str>)> + 't {
    tree.children_named(parent, b"devices")
        .take(MAX_ITEMS)
        .filter_map(|id| Some((id, tree.attribute(id, "class")?)))
}

fn read_device_class(tree: &Tree, id: ElementId, class: &str) -> DeviceClass {
    let assignments = devices(tree, id)
        .map(|d| read_assignment(tree, d))
        .collect();
    DeviceClass {
        class: class.into(),
        assignments,
    }
}

/// Returns the `<device>` elements of one class.
pub(crate) fn devices<'t>(
    tree: &'t Tree,
    class: ElementId,
) -> impl Iterator<Item = ElementId> + 't {
    tree.children_named(class, b"device").take(MAX_ITEMS)
}

/// Reads one `<device>` element.
pub(crate) fn read_assignment(tree: &Tree, id: ElementId) -> DeviceAssignment {
    let mut options = TextMap::new();
    collect(&mut options, tree, id, "option", &mut 0);
    DeviceAssignment {
        attributes: read_attributes(tree, id),
        options,
    }
}

/// Returns the `<volume>` elements that have a name.
pub(crate) fn volumes<'t>(
    tree: &'t Tree,
    parent: ElementId,
) -> impl Iterator<Item = ElementId> + 't {
    tree.children_named(parent, b"volume-config")
        .flat_map(|s| named_volumes(tree, s))
        .take(MAX_ITEMS)
}

fn named_volumes<'t>(tree: &'t Tree, section: ElementId) -> impl Iterator<Item = ElementId> + 't {
    let has_name = |id: &ElementId| tree.attribute(*id, "name").is_some_and(|n| !n.is_empty());
    tree.children_named(section, b"volume").filter(has_name)
}

/// Creates a diagnosis.
pub(crate) fn diagnosis(text: String) -> Diagnosis {
    Diagnosis { text }
}

/// Adds diagnoses of what upstream refuses in the form of the element; values are checked by the
/// property table. `properties` is the number of property elements that were read.
fn diagnose(tree: &Tree, vm: &mut Vm, properties: usize) {
    if let Class::Unknown(class) = &vm.class {
        vm.diagnoses.push(match class.is_empty() {
            true => diagnosis("the domain has no class".to_string()),
            false => diagnosis(format!("'{class}' is not a class of qubes")),
        });
    }
    if properties > vm.properties.len() {
        let sections = tree.children_named(Tree::ROOT, b"properties");
        let names: Vec<Cow<str>> = sections
            .flat_map(|s| items(tree, s, "property"))
            .take(MAX_ITEMS)
            .map(|p| p.name)
            .collect();
        for name in WRITE_ONCE_PROPERTIES
            .iter()
            .filter(|name| names.iter().filter(|n| n == *name).count() > 1)
        {
            let text = format!(
                "property '{name}' occurs twice; upstream refuses that, the last one counts here"
            );
            vm.diagnoses.push(diagnosis(text));
        }
    }
    for (section, item) in [
        ("properties", "property"),
        ("features", "feature"),
        ("tags", "tag"),
    ] {
        for section in tree.children_named(Tree::ROOT, section.as_bytes()) {
            let nameless = |id: &ElementId| tree.attribute(*id, "name").is_none();
            let count = tree
                .children_named(section, item.as_bytes())
                .filter(nameless)
                .count();
            if count > 0 {
                vm.diagnoses.push(diagnosis(format!(
                    "{count} {item} element(s) without a name are ignored"
                )));
            }
        }
    }
}
