//! Elements → model. Lenient: what is bad becomes a diagnosis, what is unknown is left to the writer to keep.

use std::borrow::Cow;

use super::tree::{Id, Tree};
use crate::model::device::{Assignment, DeviceClass};
use crate::model::{Class, Diagnosis, Label, Pool, TextMap, Vm, VmName, VolumeConfig};

/// How many entries of one kind a qube can have; a hostile file shall cost neither time nor memory. The rest is kept
/// in the file and not seen.
const MOST: usize = 4096;

/// Properties whose second occurrence makes upstream refuse the store (`spec/r4-xml.md` §1.3).
const WRITE_ONCE: [&str; 4] = ["name", "qid", "uuid", "dispid"];

/// An element `<item name="…">text</item>` of a section.
pub(crate) struct NamedText<'a> {
    pub id: Id,
    pub name: Cow<'a, str>,
    pub text: Cow<'a, str>,
}

/// The items of every `section` below `parent` that have a name.
pub(crate) fn named_texts<'t, 'a>(
    tree: &'t Tree<'a>,
    parent: Id,
    section: &'static str,
    item: &'static str,
) -> impl Iterator<Item = NamedText<'a>> + 't {
    let sections = tree.children_named(parent, section.as_bytes());
    sections.flat_map(move |s| items(tree, s, item)).take(MOST)
}

/// The named items of one section element.
pub(crate) fn items<'t, 'a>(
    tree: &'t Tree<'a>,
    section: Id,
    item: &'static str,
) -> impl Iterator<Item = NamedText<'a>> + 't {
    tree.children_named(section, item.as_bytes()).filter_map(move |id| {
        let name = tree.attribute(id, "name")?;
        // Nothing has been written with `ref` since 2015, but it is still read, for any property.
        let reference = tree.attribute(id, "ref").filter(|r| item == "property" && !r.is_empty());
        Some(NamedText { id, name, text: reference.unwrap_or_else(|| tree.text(id)) })
    })
}

fn text_map<'a>(items: impl Iterator<Item = NamedText<'a>>) -> TextMap {
    items.map(|i| (i.name, i.text)).collect()
}

/// The value of a property; of several the last wins.
pub(crate) fn last_property<'a>(tree: &Tree<'a>, parent: Id, name: &str) -> Option<Cow<'a, str>> {
    named_texts(tree, parent, "properties", "property").filter(|p| p.name == name).last().map(|p| p.text)
}

/// Explicit properties of a domain, or of the system below the root.
pub(crate) fn properties(tree: &Tree, parent: Id) -> TextMap {
    text_map(named_texts(tree, parent, "properties", "property"))
}

/// Global properties, from a `<properties>` section.
pub(crate) fn global_properties(tree: &Tree, section: Id) -> TextMap {
    text_map(items(tree, section, "property").take(MOST))
}

/// The labels of a `<labels>` section; one without a usable number is a diagnosis.
pub(crate) fn labels(tree: &Tree, section: Id, diagnoses: &mut Vec<Diagnosis>) -> Vec<(Id, Label)> {
    let mut labels = Vec::new();
    for id in tree.children_named(section, b"label").take(MOST) {
        let stored = tree.attribute(id, "id").unwrap_or_default();
        match stored.split_once('-').and_then(|(_, n)| n.parse().ok()) {
            Some(index) => {
                let color = tree.attribute(id, "color").unwrap_or_default().into();
                labels.push((id, Label { index, color, name: tree.text(id).into() }));
            }
            None => diagnoses.push(diagnosis(format!("label '{}' has no number: id=\"{stored}\"", tree.text(id)))),
        }
    }
    labels
}

/// The pools of a `<pools>` section; one without a name is a diagnosis.
pub(crate) fn pools(tree: &Tree, section: Id, diagnoses: &mut Vec<Diagnosis>) -> Vec<(Id, Pool)> {
    let mut pools = Vec::new();
    for id in tree.children_named(section, b"pool").take(MOST) {
        let pool = Pool { attributes: attributes(tree, id) };
        if pool.name().is_empty() {
            diagnoses.push(diagnosis("a storage pool has no name".to_string()));
        } else {
            pools.push((id, pool));
        }
    }
    pools
}

/// All attributes of an element, in order.
pub(crate) fn attributes(tree: &Tree, id: Id) -> TextMap {
    let named = |a: &super::scan::Attribute| String::from_utf8_lossy(a.name.of(tree.bytes)).into_owned();
    tree.attributes(id).iter().take(MOST).map(|a| (named(a), tree.value(a))).collect()
}

/// The qube that the domain element at the root of `tree` describes.
pub(crate) fn vm(tree: &Tree, name: VmName, class: Class) -> Vm {
    let root = Tree::ROOT;
    let mut vm = Vm::new(name, class);
    vm.properties = properties(tree, root);
    vm.features = text_map(named_texts(tree, root, "features", "feature"));
    vm.tags = tags(tree, root).map(|(_, tag)| tag.into()).collect();
    vm.devices = device_classes(tree, root).map(|(id, class)| device_class(tree, id, &class)).collect();
    vm.volumes = volumes(tree, root).map(|id| VolumeConfig { attributes: attributes(tree, id) }).collect();
    diagnose(tree, &mut vm);
    vm
}

/// Tags, each with its element.
pub(crate) fn tags<'t, 'a>(tree: &'t Tree<'a>, parent: Id) -> impl Iterator<Item = (Id, Cow<'a, str>)> + 't {
    named_texts(tree, parent, "tags", "tag").map(|t| (t.id, t.name))
}

/// The `<devices class="…">` elements.
pub(crate) fn device_classes<'t, 'a>(tree: &'t Tree<'a>, parent: Id) -> impl Iterator<Item = (Id, Cow<'a, str>)> + 't {
    tree.children_named(parent, b"devices").take(MOST).filter_map(|id| Some((id, tree.attribute(id, "class")?)))
}

fn device_class(tree: &Tree, id: Id, class: &str) -> DeviceClass {
    let assignments = devices(tree, id).map(|d| assignment(tree, d)).collect();
    DeviceClass { class: class.into(), assignments }
}

/// The `<device>` elements of one class.
pub(crate) fn devices<'t>(tree: &'t Tree, class: Id) -> impl Iterator<Item = Id> + 't {
    tree.children_named(class, b"device").take(MOST)
}

/// One `<device>` element.
pub(crate) fn assignment(tree: &Tree, id: Id) -> Assignment {
    let options = text_map(items(tree, id, "option").take(MOST));
    Assignment { attributes: attributes(tree, id), options }
}

/// The `<volume>` elements that have a name.
pub(crate) fn volumes<'t>(tree: &'t Tree, parent: Id) -> impl Iterator<Item = Id> + 't {
    let sections = tree.children_named(parent, b"volume-config");
    sections
        .flat_map(|s| tree.children_named(s, b"volume"))
        .filter(|v| tree.attribute(*v, "name").is_some_and(|n| !n.is_empty()))
        .take(MOST)
}

pub(crate) fn diagnosis(text: String) -> Diagnosis {
    Diagnosis { text }
}

/// What upstream would refuse in the form of the element; values are the property table's business.
fn diagnose(tree: &Tree, vm: &mut Vm) {
    let root = Tree::ROOT;
    if let Class::Unknown(class) = &vm.class {
        vm.diagnoses.push(match class.is_empty() {
            true => diagnosis("the domain has no class".to_string()),
            false => diagnosis(format!("'{class}' is not a class of qubes")),
        });
    }
    for once in WRITE_ONCE {
        let stored = |p: &NamedText| p.name == once;
        if vm.properties.contains(once) && named_texts(tree, root, "properties", "property").filter(stored).count() > 1
        {
            let text = format!("property '{once}' stands there twice; upstream refuses that, here the last one counts");
            vm.diagnoses.push(diagnosis(text));
        }
    }
    for (section, item) in [("properties", "property"), ("features", "feature"), ("tags", "tag")] {
        for section in tree.children_named(root, section.as_bytes()) {
            let nameless = |id: &Id| tree.attribute(*id, "name").is_none();
            let count = tree.children_named(section, item.as_bytes()).filter(nameless).count();
            if count > 0 {
                vm.diagnoses.push(diagnosis(format!("{count} {item} element(s) without a name are ignored")));
            }
        }
    }
}
