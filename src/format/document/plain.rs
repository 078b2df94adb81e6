//! Reads a domain in upstream's form in one pass and without a tree. Nearly every domain has this
//! form, so listing a thousand qubes is cheap.
//!
//! Any other form (other quotes, a comment, an unknown element, a name that occurs twice) is left
//! to the tree, which knows all of XML. Where this reader answers, both give the same qube; the
//! tests below check this on every sample and on damaged ones.

use std::borrow::Cow;
use std::ops::Range;

use smol_str::SmolStr;

use super::cursor::{Cursor, RawValue};
use crate::format::xml::tree::find_noncharacter;
use crate::model::device::{DeviceAssignment, DeviceClass};
use crate::model::text_map::NameFingerprint;
use crate::model::{Class, SharedText, TextMap, Vm, VolumeConfig};

/// Largest number of items of one kind; more are left to the tree, so that the search for
/// duplicates stays cheap.
const MAX_ITEMS: usize = 128;

/// Reads the domain element at `range` of `file`, a part of the store, into `vm`, whose name and
/// class are known. Returns `None` where only a tree can tell; then `vm` is partly overwritten.
pub(super) fn read(file: &SharedText, range: Range<usize>, vm: &mut Vm) -> Option<()> {
    if matches!(vm.class, Class::Unknown(_)) {
        return None;
    }
    let domain = file.get(range.clone())?.as_bytes();
    if find_noncharacter(domain).is_some() {
        return None;
    }
    let mut at = Cursor {
        file,
        bytes: file.as_bytes().get(..range.end)?,
        position: range.start,
    };
    vm.diagnoses.clear();
    vm.devices.clear();
    let mut seen = Sections::default();
    at.read_start_tag()?;
    loop {
        at.skip_blanks();
        if at.take(b"<properties>") && is_first(&mut seen.properties) {
            at.read_items(
                &mut vm.properties,
                b"<property name=\"",
                b"</property>",
                b"</properties>",
            )?;
        } else if at.take(b"<features>") && is_first(&mut seen.features) {
            at.read_items(
                &mut vm.features,
                b"<feature name=\"",
                b"</feature>",
                b"</features>",
            )?;
        } else if at.take(b"<tags>") && is_first(&mut seen.tags) {
            at.read_tags(&mut vm.tags)?;
        } else if at.take(b"<volume-config>") && is_first(&mut seen.volumes) {
            at.read_volumes(&mut vm.volumes)?;
        } else if at.take(b"<devices class=\"") {
            vm.devices.push(at.read_device_class()?);
        } else if at.take(b"<features/>") || at.take(b"<tags/>") {
        } else if at.take(b"</domain>") && at.position == range.end {
            seen.clear_missing(file, vm);
            return Some(());
        } else {
            return None;
        }
    }
}

/// Which sections a domain has.
#[derive(Default)]
struct Sections {
    properties: bool,
    features: bool,
    tags: bool,
    volumes: bool,
}

impl Sections {
    /// Clears the parts of `vm` that the domain has no section for.
    fn clear_missing(&self, file: &SharedText, vm: &mut Vm) {
        if !self.properties {
            vm.properties.reset(file, 0);
        }
        if !self.features {
            vm.features.reset(file, 0);
        }
        if !self.tags {
            vm.tags.clear();
        }
        if !self.volumes {
            vm.volumes.clear();
        }
    }
}

fn is_first(seen: &mut bool) -> bool {
    !std::mem::replace(seen, true)
}

impl<'a> Cursor<'a> {
    /// Skips `<domain …>`, whose attributes the index has read.
    fn read_start_tag(&mut self) -> Option<()> {
        self.take(b"<domain").then_some(())?;
        while !self.take(b">") {
            let (name, value) = self.read_attribute()?;
            self.decoded(name)?;
            self.decoded(value)?;
        }
        Some(())
    }

    /// Reads items `OPEN name">text CLOSE` or `OPEN name"/>`, up to `end`.
    fn read_items<const A: usize, const B: usize, const C: usize>(
        &mut self,
        map: &mut TextMap,
        open: &[u8; A],
        close: &[u8; B],
        end: &[u8; C],
    ) -> Option<()> {
        map.reset(self.file, 14);
        loop {
            self.skip_blanks();
            if self.take(open) {
                let name = self.read_quoted()?;
                let text = if self.take(b">") {
                    let text = self.read_text()?;
                    self.take(close).then_some(text)?
                } else {
                    self.take(b"/>").then_some(())?;
                    self.advance(0, None)
                };
                self.add(map, name, text)?;
            } else {
                return self.take(end).then_some(());
            }
        }
    }

    fn read_tags(&mut self, tags: &mut Vec<SmolStr>) -> Option<()> {
        tags.clear();
        loop {
            self.skip_blanks();
            if self.take(b"</tags>") {
                return Some(());
            }
            self.take(b"<tag name=\"").then_some(())?;
            let name = self.read_quoted()?;
            tags.push(SmolStr::new(self.decoded(name)?));
            self.take(b"/>").then_some(())?;
            (tags.len() <= MAX_ITEMS).then_some(())?;
        }
    }

    /// Reads volumes into the existing maps, to reuse their memory.
    fn read_volumes(&mut self, volumes: &mut Vec<VolumeConfig>) -> Option<()> {
        let mut count = 0;
        loop {
            self.skip_blanks();
            if self.take(b"</volume-config>") {
                volumes.truncate(count);
                return Some(());
            }
            self.take(b"<volume").then_some(())?;
            if volumes.len() == count {
                volumes.push(VolumeConfig::default());
            }
            let volume = volumes.get_mut(count)?;
            let is_empty = self.read_attributes(&mut volume.attributes)?;
            (is_empty && !volume.name().is_empty() && count < MAX_ITEMS).then_some(())?;
            count += 1;
        }
    }

    /// Reads the rest of `<devices class="`.
    fn read_device_class(&mut self) -> Option<DeviceClass> {
        let class = self.read_quoted()?;
        let class = self.decoded(class)?.into();
        let mut assignments = Vec::new();
        if self.take(b"/>") {
            return Some(DeviceClass { class, assignments });
        }
        self.take(b">").then_some(())?;
        loop {
            self.skip_blanks();
            if self.take(b"</devices>") {
                return Some(DeviceClass { class, assignments });
            }
            self.take(b"<device").then_some(())?;
            let mut assignment = DeviceAssignment {
                attributes: TextMap::new(),
                options: TextMap::new(),
            };
            if !self.read_attributes(&mut assignment.attributes)? {
                self.read_items(
                    &mut assignment.options,
                    b"<option name=\"",
                    b"</option>",
                    b"</device>",
                )?;
            }
            assignments.push(assignment);
            (assignments.len() <= MAX_ITEMS).then_some(())?;
        }
    }

    /// Reads the attributes up to the end of the tag; returns whether the tag ends the element.
    fn read_attributes(&mut self, map: &mut TextMap) -> Option<bool> {
        map.reset(self.file, 9);
        self.read_known_attributes(map)?;
        loop {
            if self.rest().first() == Some(&b' ') {
                let (name, value) = self.read_attribute()?;
                self.add(map, name, value)?;
            } else if self.take(b"/>") {
                return Some(true);
            } else {
                return self.take(b">").then_some(false);
            }
        }
    }

    /// Reads the attributes of a volume as long as they have the order in which upstream writes
    /// them: then the names need not be scanned or compared with each other.
    fn read_known_attributes(&mut self, map: &mut TextMap) -> Option<()> {
        self.read_known_attribute(b" name=\"", map)?;
        self.read_known_attribute(b" pool=\"", map)?;
        self.read_known_attribute(b" vid=\"", map)?;
        self.read_known_attribute(b" revisions_to_keep=\"", map)?;
        self.read_known_attribute(b" rw=\"", map)?;
        self.read_known_attribute(b" save_on_stop=\"", map)?;
        self.read_known_attribute(b" snap_on_start=\"", map)?;
        self.read_known_attribute(b" size=\"", map)?;
        self.read_known_attribute(b" source=\"", map)?;
        self.read_known_attribute(b" ephemeral=\"", map)
    }

    #[inline]
    fn read_known_attribute<const N: usize>(
        &mut self,
        opening: &[u8; N],
        map: &mut TextMap,
    ) -> Option<()> {
        if self.rest().first_chunk() == Some(opening) {
            self.position += 1;
            let name = self.advance(N - 3, None);
            self.position += 2;
            let value = self.read_quoted()?;
            let mark = NameFingerprint::new(opening.get(1..N - 2).unwrap_or_default());
            self.append(map, name, mark, value)?;
        }
        Some(())
    }

    /// Adds an item. A name that occurs twice is left to the tree.
    #[inline(always)]
    fn add(&self, map: &mut TextMap, name: RawValue, text: RawValue) -> Option<()> {
        let raw = self.bytes.get(name.start as usize..name.end as usize)?;
        let mark = NameFingerprint::new(raw);
        if name.escaped.is_some() || map.may_contain(mark) {
            (!map.contains(&self.decoded(name)?)).then_some(())?;
        }
        (!raw.is_empty() && map.len() < MAX_ITEMS).then_some(())?;
        self.append(map, name, mark, text)
    }

    /// Appends an item whose name is new and has this mark.
    #[inline(always)]
    fn append(
        &self,
        map: &mut TextMap,
        name: RawValue,
        mark: NameFingerprint,
        text: RawValue,
    ) -> Option<()> {
        if name.escaped.is_some() || text.escaped.is_some() {
            return self.append_decoded(map, name, mark, text);
        }
        map.append_span(name.start..name.end, mark, text.start..text.end);
        Some(())
    }

    #[inline(never)]
    fn append_decoded(
        &self,
        map: &mut TextMap,
        name: RawValue,
        mark: NameFingerprint,
        text: RawValue,
    ) -> Option<()> {
        match (self.decoded(name)?, self.decoded(text)?) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => {
                map.append_span(name.start..name.end, mark, text.start..text.end);
            }
            (name, text) => map.append(&name, &text),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::index;
    use super::super::parse;
    use super::*;
    use crate::format::xml::tree::Tree;
    use crate::model::VmName;

    fn samples() -> Vec<Vec<u8>> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4");
        let files = std::fs::read_dir(directory)
            .unwrap()
            .map(|e| e.unwrap().path());
        files
            .filter(|f| f.extension().is_some_and(|e| e == "xml"))
            .map(|f| std::fs::read(f).unwrap())
            .collect()
    }

    fn read_by_tree(domain: &[u8], name: &VmName, class: &Class) -> Option<Vm> {
        let tree = Tree::parse_element(domain, 0..domain.len()).ok()?;
        Some(parse::read_vm(&tree, name.clone(), class.clone()))
    }

    /// A qube whose memory is reused: nothing of its old content may remain.
    fn used_vm() -> Vm {
        let mut vm = Vm::new(VmName::from_store("used").unwrap(), Class::AppVM);
        vm.properties.set("label", "red");
        vm.features.set("old", "1");
        vm.tags.push("old".into());
        let attributes: TextMap = [("name", "root"), ("ephemeral", "True")]
            .into_iter()
            .collect();
        vm.volumes = vec![VolumeConfig { attributes }; 5];
        let assignment = DeviceAssignment {
            attributes: TextMap::new(),
            options: TextMap::new(),
        };
        vm.devices.push(DeviceClass {
            class: "usb".into(),
            assignments: vec![assignment],
        });
        vm.diagnoses.push(crate::model::Diagnosis {
            text: "old".to_string(),
        });
        vm
    }

    fn read(domain: &[u8], name: &VmName, class: &Class) -> Option<Vm> {
        let text = SharedText::from(std::str::from_utf8(domain).ok()?);
        let mut vm = used_vm();
        (vm.name, vm.class) = (name.clone(), class.clone());
        super::read(&text, 0..text.len(), &mut vm).map(|()| vm)
    }

    #[test]
    fn most_sample_domains_are_plain_and_read_as_by_the_tree() {
        let (mut plain, mut all) = (0, 0);
        for bytes in samples() {
            for entry in index::build(&bytes).unwrap().domains {
                let (domain, name) = (&bytes[entry.span.range()], entry.name.unwrap());
                all += 1;
                if let Some(vm) = read(domain, &name, &entry.class) {
                    plain += 1;
                    assert_eq!(Some(vm), read_by_tree(domain, &name, &entry.class));
                }
            }
        }
        assert!(plain * 20 > all * 19, "{plain} of {all}");
    }

    #[test]
    fn a_damaged_domain_is_read_as_by_the_tree_or_left_to_it() {
        let mut random = fastrand::Rng::with_seed(20261121);
        let odd = b"<>\"'&/=! ?-]x\n\r\t\0\xc3\xa9";
        for bytes in samples() {
            let domains = index::build(&bytes).unwrap().domains;
            for _ in 0..3000 {
                let entry = &domains[random.usize(..domains.len())];
                let mut domain = bytes[entry.span.range()].to_vec();
                for _ in 0..random.usize(1..4) {
                    let at = random.usize(..domain.len());
                    match random.u8(..3) {
                        0 => domain[at] = odd[random.usize(..odd.len())],
                        1 => domain.insert(at, odd[random.usize(..odd.len())]),
                        _ => drop(domain.remove(at)),
                    }
                }
                let name = entry.name.clone().unwrap();
                if let Some(vm) = read(&domain, &name, &entry.class) {
                    let tree = read_by_tree(&domain, &name, &entry.class);
                    assert_eq!(Some(vm), tree, "{}", String::from_utf8_lossy(&domain));
                }
            }
        }
    }
}
