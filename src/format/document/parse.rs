//! Reads elements into the model. Bad content becomes a diagnosis; unknown content is ignored here,
//! and kept by the writer.

use std::borrow::Cow;

use smol_str::SmolStr;

use super::schema::{
    Container, DEVICE, DEVICES, FEATURES, LABELS, POOLS, PROPERTIES, TAGS, VOLUMES,
    WRITE_ONCE_PROPERTIES,
};
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::device::{DeviceAssignment, DeviceClass};
use crate::model::{Class, Diagnosis, Label, Pool, TextMap, Vm, VmName, VolumeConfig};

/// Largest number of entries of one kind per qube, so that a hostile file costs neither time nor
/// memory. Further entries are kept in the file and ignored.
pub(super) const MAX_ITEMS: usize = 4096;

/// An element `<item name="…">text</item>` of a section.
pub(crate) struct NamedText<'a> {
    pub id: ElementId,
    pub name: Cow<'a, str>,
    pub text: Cow<'a, str>,
}

/// Returns the elements of one kind of container in `parent`.
pub(crate) fn sections<'t>(
    tree: &'t Tree,
    parent: ElementId,
    container: Container,
) -> impl Iterator<Item = ElementId> + 't {
    tree.children_named(parent, container.name)
}

/// Reads an item; `None` if it has no name.
fn named_text<'a>(tree: &Tree<'a>, id: ElementId, container: Container) -> Option<NamedText<'a>> {
    let name = tree.attribute(id, "name")?;
    // `ref` has not been written since 2015, but it is still read, for any property.
    let reference = if container == PROPERTIES {
        tree.attribute(id, "ref").filter(|r| !r.is_empty())
    } else {
        None
    };
    Some(NamedText {
        id,
        name,
        text: reference.unwrap_or_else(|| tree.text(id)),
    })
}

/// Reads the named items of one section.
pub(crate) fn items<'t, 'a>(
    tree: &'t Tree<'a>,
    section: ElementId,
    container: Container,
) -> impl Iterator<Item = NamedText<'a>> + 't {
    tree.children_named(section, container.item)
        .filter_map(move |id| named_text(tree, id, container))
}

/// Reads the named items of all sections of one kind in `parent`: at most [`MAX_ITEMS`].
pub(crate) fn all_items<'t, 'a>(
    tree: &'t Tree<'a>,
    parent: ElementId,
    container: Container,
) -> impl Iterator<Item = NamedText<'a>> + 't {
    sections(tree, parent, container)
        .flat_map(move |section| items(tree, section, container))
        .take(MAX_ITEMS)
}

/// Returns the value of a property; the last occurrence wins.
pub(crate) fn last_property<'a>(
    tree: &Tree<'a>,
    parent: ElementId,
    name: &str,
) -> Option<Cow<'a, str>> {
    all_items(tree, parent, PROPERTIES)
        .filter(|p| p.name == name)
        .last()
        .map(|p| p.text)
}

/// Calls `add` with each named item of a section, and returns how many items have no name.
fn for_each_item<'a>(
    tree: &Tree<'a>,
    section: ElementId,
    container: Container,
    mut add: impl FnMut(NamedText<'a>),
) -> usize {
    let mut nameless = 0;
    for id in tree.children_named(section, container.item) {
        match named_text(tree, id, container) {
            Some(item) => add(item),
            None => nameless += 1,
        }
    }
    nameless
}

/// Adds the items of a section to `map`, and returns how many have no name. `count` counts the
/// named ones over all sections.
pub(crate) fn collect(
    map: &mut TextMap,
    tree: &Tree,
    section: ElementId,
    container: Container,
    count: &mut usize,
) -> usize {
    if map.is_empty() {
        // In upstream's form names and texts are about a third of the bytes of a section, and a
        // line has about 60 bytes.
        let bytes = tree.range(section).len();
        *map = TextMap::with_capacity(bytes / 60 + 1, bytes / 3);
    }
    for_each_item(tree, section, container, |item| {
        if *count < MAX_ITEMS {
            *count += 1;
            map.set(&item.name, &item.text);
        }
    })
}

/// Reads the labels of a `<labels>` section; one without a valid number is a diagnosis.
pub(crate) fn read_labels(
    tree: &Tree,
    section: ElementId,
    diagnoses: &mut Vec<Diagnosis>,
) -> Vec<(ElementId, Label)> {
    let mut labels = Vec::new();
    for id in tree.children_named(section, LABELS.item).take(MAX_ITEMS) {
        match label_number(tree, id) {
            Some(index) => {
                let color = tree.attribute(id, "color").unwrap_or_default().into();
                let name = tree.text(id).into();
                labels.push((id, Label { index, color, name }));
            }
            None => diagnoses.push(diagnosis(format!(
                "label '{}' has no number: id=\"{}\"",
                tree.text(id),
                tree.attribute(id, "id").unwrap_or_default()
            ))),
        }
    }
    labels
}

/// Returns N of `label-N`.
pub(crate) fn label_number(tree: &Tree, id: ElementId) -> Option<u32> {
    tree.attribute(id, "id")?.split_once('-')?.1.parse().ok()
}

/// Reads the pools of a `<pools>` section; one without a name is a diagnosis.
pub(crate) fn read_pools(
    tree: &Tree,
    section: ElementId,
    diagnoses: &mut Vec<Diagnosis>,
) -> Vec<(ElementId, Pool)> {
    let mut pools = Vec::new();
    for id in tree.children_named(section, POOLS.item).take(MAX_ITEMS) {
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
    let mut nameless = Vec::new();
    let (mut properties, mut features) = (0, 0);
    for section in sections(tree, Tree::ROOT, PROPERTIES) {
        let map = &mut vm.properties;
        let count = collect(map, tree, section, PROPERTIES, &mut properties);
        nameless.push((PROPERTIES, count));
    }
    for section in sections(tree, Tree::ROOT, FEATURES) {
        let count = collect(&mut vm.features, tree, section, FEATURES, &mut features);
        nameless.push((FEATURES, count));
    }
    for section in sections(tree, Tree::ROOT, TAGS) {
        let count = for_each_item(tree, section, TAGS, |tag| {
            if vm.tags.len() < MAX_ITEMS {
                vm.tags.push(SmolStr::from(tag.name));
            }
        });
        nameless.push((TAGS, count));
    }
    vm.devices = device_classes(tree)
        .map(|(id, class)| DeviceClass {
            class: class.into(),
            assignments: read_assignments(tree, id).map(|(_, a)| a).collect(),
        })
        .collect();
    vm.volumes = read_volumes(tree).map(|(_, volume)| volume).collect();
    diagnose(tree, &mut vm, properties, &nameless);
    vm
}

/// Returns the `<devices class="…">` elements of the domain with their classes.
pub(crate) fn device_classes<'t, 'a>(
    tree: &'t Tree<'a>,
) -> impl Iterator<Item = (ElementId, Cow<'a, str>)> + 't {
    sections(tree, Tree::ROOT, DEVICES)
        .filter_map(|id| Some((id, tree.attribute(id, "class")?)))
        .take(MAX_ITEMS)
}

/// Reads the `<device>` elements of one class.
pub(crate) fn read_assignments<'t>(
    tree: &'t Tree,
    class: ElementId,
) -> impl Iterator<Item = (ElementId, DeviceAssignment)> + 't {
    let devices = tree.children_named(class, DEVICES.item).take(MAX_ITEMS);
    devices.map(|id| {
        let mut options = TextMap::new();
        collect(&mut options, tree, id, DEVICE, &mut 0);
        let attributes = read_attributes(tree, id);
        (
            id,
            DeviceAssignment {
                attributes,
                options,
            },
        )
    })
}

/// Reads the `<volume>` elements of the domain that have a name.
pub(crate) fn read_volumes<'t>(
    tree: &'t Tree,
) -> impl Iterator<Item = (ElementId, VolumeConfig)> + 't {
    let named = |id: &ElementId| tree.attribute(*id, "name").is_some_and(|n| !n.is_empty());
    sections(tree, Tree::ROOT, VOLUMES)
        .flat_map(|section| tree.children_named(section, VOLUMES.item))
        .filter(named)
        .take(MAX_ITEMS)
        .map(|id| {
            let attributes = read_attributes(tree, id);
            (id, VolumeConfig { attributes })
        })
}

/// Creates a diagnosis.
pub(crate) fn diagnosis(text: String) -> Diagnosis {
    Diagnosis { text }
}

/// Describes a class that is missing or unknown.
pub(crate) fn describe_unknown_class(class: &str) -> String {
    match class.is_empty() {
        true => "the domain has no class".to_string(),
        false => format!("'{class}' is not a class of qubes"),
    }
}

/// Adds diagnoses of what upstream refuses in the form of the element; values are checked by the
/// property table. `properties` is the number of property elements that were read, `nameless` the
/// number of items without a name in each section.
fn diagnose(tree: &Tree, vm: &mut Vm, properties: usize, nameless: &[(Container, usize)]) {
    if let Class::Unknown(class) = &vm.class {
        vm.diagnoses.push(diagnosis(describe_unknown_class(class)));
    }
    if properties > vm.properties.len() {
        let names: Vec<Cow<str>> = all_items(tree, Tree::ROOT, PROPERTIES)
            .map(|p| p.name)
            .collect();
        let is_twice = |name: &&&str| names.iter().filter(|n| n == *name).count() > 1;
        vm.diagnoses
            .extend(WRITE_ONCE_PROPERTIES.iter().filter(is_twice).map(|name| {
                diagnosis(format!(
                    "property '{name}' occurs twice; upstream refuses that, the last one counts \
                     here"
                ))
            }));
    }
    let nameless = nameless.iter().filter(|(_, count)| *count > 0);
    vm.diagnoses.extend(nameless.map(|(container, count)| {
        diagnosis(format!(
            "{count} {} element(s) without a name are ignored",
            container.item
        ))
    }));
}
