//! Lists every `<domain>` of a file, wherever it is and whether or not it can be used, with its
//! volumes. [`crate::model::Qubes`] has only the usable domains; this list is for code that deletes
//! or overwrites images and must not overlook one.

use std::collections::HashSet;
use std::ops::Range;

use super::parse::{last_property, read_attributes};
use super::parse_store;
use super::schema::DOMAINS;
use crate::format::error::FormatError;
use crate::format::xml::lines::LineStarts;
use crate::format::xml::tree::{ElementId, Tree};
use crate::format::xml::tree_builder::MAX_DEPTH;
use crate::model::image_claims::StoredDomain;
use crate::model::{Class, VmName};

/// Lists the domains of `bytes` in the order of the file. `<volume>` elements outside any domain
/// that name an image are listed as a domain without a name.
///
/// # Errors
/// The bytes are not a well-formed store of R4.
pub fn list_all_domains(bytes: &[u8]) -> Result<Vec<StoredDomain>, FormatError> {
    let tree = parse_store(bytes, MAX_DEPTH)?;
    let lines = LineStarts::new(bytes);
    let usable = usable_domains(&tree);
    let mut found = Vec::new();
    let mut inside_domains = 0;
    for id in 0..tree.len() {
        let is_domain = tree.name(id) == b"domain";
        // The volumes of a nested domain belong to both domains: it is unknown whose they are.
        let is_stray = tree.name(id) == b"volume" && id >= inside_domains && names_image(&tree, id);
        if !is_domain && !is_stray {
            continue;
        }
        let within = if is_domain {
            tree.subtree(id)
        } else {
            id..id + 1
        };
        inside_domains = inside_domains.max(within.end);
        let class = tree
            .attribute(id, "class")
            .filter(|_| is_domain)
            .unwrap_or_default();
        let class = Class::from_store(&class);
        let names = if is_domain {
            names_of(&tree, within.clone(), &class)
        } else {
            Vec::new()
        };
        let volumes = within.filter(|at| tree.name(*at) == b"volume");
        found.push(StoredDomain {
            line: lines.line(tree.range(id).start),
            qube: usable
                .iter()
                .find(|(at, _)| *at == id)
                .map(|(_, name)| name.clone()),
            volumes: volumes.map(|at| read_attributes(&tree, at)).collect(),
            names,
            class,
            is_domain,
        });
    }
    Ok(found)
}

/// Returns the domains that the collection has: the first of each usable name.
fn usable_domains(tree: &Tree) -> Vec<(ElementId, VmName)> {
    let mut seen = HashSet::new();
    let sections = tree.children_named(Tree::ROOT, DOMAINS.name);
    let domains = sections.flat_map(|section| tree.children_named(section, DOMAINS.item));
    let named = domains.filter_map(|id| {
        let class = Class::from_store(&tree.attribute(id, "class").unwrap_or_default());
        let name = match class {
            Class::AdminVM => VmName::dom0(),
            _ => VmName::from_store(&last_property(tree, id, "name")?).ok()?,
        };
        (!name.is_dom0() || class == Class::AdminVM).then_some((id, name))
    });
    named
        .filter(|(_, name)| seen.insert(name.clone()))
        .collect()
}

/// Whether a `<volume>` names its image.
fn names_image(tree: &Tree, id: ElementId) -> bool {
    tree.attribute(id, "vid").is_some_and(|vid| !vid.is_empty())
}

/// Returns every name of a domain; for a usable domain the last one counts.
fn names_of(tree: &Tree, within: Range<ElementId>, class: &Class) -> Vec<String> {
    if *class == Class::AdminVM {
        return vec![VmName::DOM0.to_owned()];
    }
    let is_name = |id: &ElementId| {
        tree.name(*id) == b"property" && tree.attribute(*id, "name").as_deref() == Some("name")
    };
    let text = |id: ElementId| {
        let reference = tree.attribute(id, "ref").filter(|text| !text.is_empty());
        reference.unwrap_or_else(|| tree.text(id)).into_owned()
    };
    let mut names: Vec<String> = within.filter(is_name).map(text).collect();
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_domain_is_listed() {
        let store = br#"<qubes><domains>
<domain id="domain-1" class="AppVM"><properties><property name="name">work</property></properties>
 <volume-config><volume name="private" pool="p" vid="appvms/work/private"/></volume-config></domain>
<domain id="domain-2" class="AppVM"><properties><property name="name">work</property
></properties></domain>
<domain id="domain-3" class="AppVM"><properties><property name="name"></property></properties>
 <old><volume-config><volume name="private" vid="b"/></volume-config></old></domain>
<group><domain class="AppVM"><properties><property name="name">x</property>
 <property name="name">y</property></properties></domain></group>
</domains><volume-config><volume vid="stray" pool="p"/></volume-config>
<!-- <domain class="AppVM"/> --></qubes>"#;
        let found = list_all_domains(store).unwrap();
        let listed = found
            .iter()
            .map(|d| format!("{} {:?} {:?} {}", d.line, d.qube, d.names, d.volumes.len()));
        let expected = [
            r#"2 Some("work") ["work"] 1"#,
            r#"4 None ["work"] 0"#,
            r#"6 None [] 1"#,
            r#"8 None ["x", "y"] 0"#,
            r#"10 None [] 1"#,
        ];
        assert_eq!(listed.collect::<Vec<_>>(), expected);
        assert!(list_all_domains(b"<qubes><domains>").is_err());
    }
}
