//! A domain in upstream's own form, read in one pass and without a tree: what nearly every domain of every store is,
//! and what makes listing a thousand qubes cheap.
//!
//! Whatever is not exactly of that form (other quotes, a comment, an unknown element, a name that comes twice) is left
//! to the tree, which knows all of XML. Where this reader answers, both answer the same; the tests below hold it to that
//! on every sample and on damaged ones.

use std::borrow::Cow;

use super::text::{Place, decode};
use super::tree::check_characters;
use crate::model::device::{Assignment, DeviceClass};
use crate::model::{Class, TextMap, Vm, VmName, VolumeConfig};

/// More items of one kind than this are the tree's business, so that looking for doubles stays cheap.
const MOST: usize = 128;

/// The qube that `domain` describes, the bytes of one whole domain element; `None` where only a tree can tell.
pub(super) fn vm(domain: &[u8], name: &VmName, class: &Class) -> Option<Vm> {
    if matches!(class, Class::Unknown(_)) {
        return None;
    }
    let mut vm = Vm::new(name.clone(), class.clone());
    vm.properties = TextMap::new();
    let source = check_characters(domain, 0..domain.len()).ok()?;
    let mut at = Cursor { source, position: 0 };
    at.start_of_domain()?;
    let mut seen = [false; 4];
    let mut first = |section: usize| !std::mem::replace(&mut seen[section], true);
    loop {
        at.blanks();
        if at.take(b"<properties>") && first(0) {
            vm.properties = at.items(b"<property name=\"", b"</property>", b"</properties>")?;
        } else if at.take(b"<features>") && first(1) {
            vm.features = at.items(b"<feature name=\"", b"</feature>", b"</features>")?;
        } else if at.take(b"<tags>") && first(2) {
            vm.tags = at.tags()?;
        } else if at.take(b"<volume-config>") && first(3) {
            vm.volumes = at.volumes()?;
        } else if at.take(b"<devices class=\"") {
            vm.devices.push(at.device_class()?);
        } else if at.take(b"<features/>") || at.take(b"<tags/>") {
        } else if at.take(b"</domain>") && at.position == domain.len() {
            return Some(vm);
        } else {
            return None;
        }
    }
}

struct Cursor<'a> {
    source: &'a str,
    position: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        self.source.as_bytes().get(self.position..).unwrap_or_default()
    }

    /// The next `length` bytes, which are passed.
    fn piece(&mut self, length: usize) -> Option<&'a str> {
        let piece = self.source.get(self.position..self.position + length)?;
        self.position += length;
        Some(piece)
    }

    /// Goes past `expected` if it stands here.
    fn take(&mut self, expected: &[u8]) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.position += expected.len();
        }
        found
    }

    fn blanks(&mut self) {
        let blanks = self.rest().iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\t')).count();
        self.position += blanks;
    }

    /// Past `<domain …>`, whose attributes the index has read.
    fn start_of_domain(&mut self) -> Option<()> {
        self.take(b"<domain").then_some(())?;
        while !self.take(b">") {
            self.attribute()?;
        }
        Some(())
    }

    /// Past ` name="value"`.
    fn attribute(&mut self) -> Option<(&'a str, Cow<'a, str>)> {
        self.take(b" ").then_some(())?;
        let length = self.rest().iter().take_while(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-')).count();
        let name = self.piece(length)?;
        (name.as_bytes().first()?.is_ascii_lowercase() && self.take(b"=\"")).then_some(())?;
        Some((name, self.quoted()?))
    }

    /// The value up to the closing quote, which is passed.
    fn quoted(&mut self) -> Option<Cow<'a, str>> {
        let (mut length, mut odd) = (0, false);
        for byte in self.rest() {
            match byte {
                b'"' => break,
                b'<' => return None,
                b'&' | b'\r' | b'\n' | b'\t' => odd = true,
                _ => {}
            }
            length += 1;
        }
        let value = self.piece(length)?;
        self.take(b"\"").then_some(())?;
        if odd { decode(value, Place::Attribute) } else { Some(Cow::Borrowed(value)) }
    }

    /// The text up to the next tag. A `]` could be part of what must not stand in a text.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        let (mut length, mut odd) = (0, false);
        for byte in self.rest() {
            match byte {
                b'<' => break,
                b']' => return None,
                b'&' | b'\r' => odd = true,
                _ => {}
            }
            length += 1;
        }
        let text = self.piece(length)?;
        if odd { decode(text, Place::Text) } else { Some(Cow::Borrowed(text)) }
    }

    /// `OPEN name">text CLOSE` or `OPEN name"/>`, up to `end`.
    fn items(&mut self, open: &[u8], close: &[u8], end: &[u8]) -> Option<TextMap> {
        let mut map = Unique::with_capacity(12, 384);
        loop {
            self.blanks();
            if self.take(end) {
                return Some(map.map);
            }
            self.take(open).then_some(())?;
            let name = self.quoted()?;
            let text = if self.take(b"/>") {
                Cow::Borrowed("")
            } else {
                self.take(b">").then_some(())?;
                let text = self.text()?;
                self.take(close).then_some(())?;
                text
            };
            map.add(&name, &text)?;
        }
    }

    fn tags(&mut self) -> Option<Vec<Box<str>>> {
        let mut tags = Vec::with_capacity(4);
        loop {
            self.blanks();
            if self.take(b"</tags>") {
                return Some(tags);
            }
            self.take(b"<tag name=\"").then_some(())?;
            tags.push(self.quoted()?.into());
            self.take(b"/>").then_some(())?;
            (tags.len() <= MOST).then_some(())?;
        }
    }

    fn volumes(&mut self) -> Option<Vec<VolumeConfig>> {
        let mut volumes = Vec::with_capacity(4);
        loop {
            self.blanks();
            if self.take(b"</volume-config>") {
                return Some(volumes);
            }
            self.take(b"<volume").then_some(())?;
            let (attributes, is_empty) = self.attributes()?;
            let volume = VolumeConfig { attributes };
            (is_empty && !volume.name().is_empty() && volumes.len() < MOST).then_some(())?;
            volumes.push(volume);
        }
    }

    /// Behind `<devices class="`.
    fn device_class(&mut self) -> Option<DeviceClass> {
        let class = self.quoted()?.into();
        let mut assignments = Vec::new();
        if self.take(b"/>") {
            return Some(DeviceClass { class, assignments });
        }
        self.take(b">").then_some(())?;
        loop {
            self.blanks();
            if self.take(b"</devices>") {
                return Some(DeviceClass { class, assignments });
            }
            self.take(b"<device").then_some(())?;
            let (attributes, is_empty) = self.attributes()?;
            let options = match is_empty {
                true => TextMap::new(),
                false => self.items(b"<option name=\"", b"</option>", b"</device>")?,
            };
            assignments.push(Assignment { attributes, options });
            (assignments.len() <= MOST).then_some(())?;
        }
    }

    /// The attributes up to the end of the tag, and whether the tag ends the element.
    fn attributes(&mut self) -> Option<(TextMap, bool)> {
        let mut map = Unique::with_capacity(9, 240);
        loop {
            if self.take(b"/>") {
                return Some((map.map, true));
            }
            if self.take(b">") {
                return Some((map.map, false));
            }
            let (name, value) = self.attribute()?;
            map.add(name, &value)?;
        }
    }
}

/// A map that takes each name once; one that comes twice is the tree's business.
struct Unique {
    map: TextMap,
    /// A bit for each name that was added, by length and ends: only where it is set already is the name searched for.
    seen: u64,
}

impl Unique {
    fn with_capacity(entries: usize, bytes: usize) -> Unique {
        Unique { map: TextMap::with_capacity(entries, bytes), seen: 0 }
    }

    fn add(&mut self, name: &str, text: &str) -> Option<()> {
        let bytes = name.as_bytes();
        let ends = usize::from(*bytes.first()?) * 5 + usize::from(*bytes.last()?) * 3 + bytes.len();
        let bit = 1u64 << (ends % 64);
        let double = self.seen & bit != 0 && self.map.contains(name);
        self.seen |= bit;
        (!double && self.map.len() < MOST).then(|| self.map.append(name, text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::index::index;
    use super::super::reader;
    use super::super::tree::Tree;
    use super::*;

    fn samples() -> Vec<Vec<u8>> {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/r4");
        let files = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().path());
        files.filter(|f| f.extension().is_some_and(|e| e == "xml")).map(|f| std::fs::read(f).unwrap()).collect()
    }

    fn by_tree(domain: &[u8], name: &VmName, class: &Class) -> Option<Vm> {
        let tree = Tree::of_element(domain, 0..domain.len()).ok()?;
        Some(reader::vm(&tree, name.clone(), class.clone()))
    }

    #[test]
    fn nearly_every_domain_of_the_samples_is_plain_and_reads_the_same() {
        let (mut plain, mut all) = (0, 0);
        for bytes in samples() {
            for entry in index(&bytes).unwrap().domains {
                let (domain, name) = (&bytes[entry.span.range()], entry.name.unwrap());
                all += 1;
                if let Some(vm) = vm(domain, &name, &entry.class) {
                    plain += 1;
                    assert_eq!(Some(vm), by_tree(domain, &name, &entry.class));
                }
            }
        }
        assert!(plain * 20 > all * 19, "{plain} of {all}");
    }

    #[test]
    fn a_damaged_domain_is_read_as_the_tree_reads_it_or_left_to_the_tree() {
        let mut random = fastrand::Rng::with_seed(20261121);
        let odd = b"<>\"'&/=! ?-]x\n\r\t\0\xc3\xa9";
        for bytes in samples() {
            let domains = index(&bytes).unwrap().domains;
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
                if let Some(vm) = vm(&domain, &name, &entry.class) {
                    let tree = by_tree(&domain, &name, &entry.class);
                    assert_eq!(Some(vm), tree, "{}", String::from_utf8_lossy(&domain));
                }
            }
        }
    }
}
