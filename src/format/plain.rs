//! A domain in upstream's own form, read in one pass and without a tree: what nearly every domain of every store is,
//! and what makes listing a thousand qubes cheap.
//!
//! Whatever is not exactly of that form (other quotes, a comment, an unknown element, a name that comes twice) is left
//! to the tree, which knows all of XML. Where this reader answers, both answer the same; the tests below hold it to that
//! on every sample and on damaged ones.

use std::borrow::Cow;
use std::ops::Range;

use super::text::{Place, decode, ordinary};
use super::tree::{is_control, unholdable};
use crate::model::device::{Assignment, DeviceClass};
use crate::model::{Class, SharedText, TextMap, Vm, VmName, VolumeConfig};

/// More items of one kind than this are the tree's business, so that looking for doubles stays cheap.
const MOST: usize = 128;

/// The qube that the whole domain element at `range` of `file`, a piece of the store, describes; `None` where only a tree can tell.
pub(super) fn vm(file: &SharedText, range: Range<usize>, name: &VmName, class: &Class) -> Option<Vm> {
    if matches!(class, Class::Unknown(_)) {
        return None;
    }
    let base = range.start;
    let source = file.get(range)?;
    if unholdable(source.as_bytes()).is_some() {
        return None;
    }
    let mut vm = Vm::of_file(name.clone(), class.clone());
    let mut at = Cursor { file, base, source, position: 0 };
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
        } else if at.take(b"</domain>") && at.position == source.len() {
            return Some(vm);
        } else {
            return None;
        }
    }
}

struct Cursor<'a> {
    file: &'a SharedText,
    /// Where `source`, the domain, begins in the file.
    base: usize,
    source: &'a str,
    position: usize,
}

/// A name or a value: where it stands in the file, and what it means where that is not what stands there.
struct Piece<'a> {
    range: Range<u32>,
    text: Cow<'a, str>,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.source.as_bytes().get(self.position..).unwrap_or_default()
    }

    /// The next `length` bytes, which are passed. `odd` says that they do not stand for themselves in this place.
    #[inline]
    fn piece(&mut self, length: usize, odd: Option<Place>) -> Option<Piece<'a>> {
        let text = self.source.get(self.position..self.position + length)?;
        let start = (self.base + self.position) as u32;
        self.position += length;
        let text = match odd {
            None => Cow::Borrowed(text),
            // All other bytes of a plain domain are looked at one by one.
            Some(_) if text.bytes().any(is_control) => return None,
            Some(place) => decode(text, place)?,
        };
        Some(Piece { range: start..start + length as u32, text })
    }

    /// Goes past `expected` if it stands here.
    #[inline]
    fn take<const N: usize>(&mut self, expected: &[u8; N]) -> bool {
        let found = self.rest().first_chunk() == Some(expected);
        if found {
            self.position += N;
        }
        found
    }

    #[inline]
    fn blanks(&mut self) {
        if self.rest().first() == Some(&b'\n') {
            self.position += 1;
        }
        while self.take(b"    ") {}
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
    fn attribute(&mut self) -> Option<(Piece<'a>, Piece<'a>)> {
        self.take(b" ").then_some(())?;
        let length = self.rest().iter().take_while(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'-')).count();
        let begins = self.rest().first()?.is_ascii_lowercase();
        let name = self.piece(length, None)?;
        (begins && self.take(b"=\"")).then_some(())?;
        Some((name, self.quoted()?))
    }

    /// The value up to the closing quote, which is passed.
    #[inline]
    fn quoted(&mut self) -> Option<Piece<'a>> {
        let mut length = ordinary(self.rest(), b'"', b'<');
        let mut odd = None;
        if self.rest().get(length) != Some(&b'"') {
            odd = Some(Place::Attribute);
            length += self.rest()[length..].iter().take_while(|b| !matches!(b, b'"' | b'<')).count();
        }
        let value = self.piece(length, odd)?;
        self.take(b"\"").then_some(value)
    }

    /// The text up to the next tag. A `]` could be part of what must not stand in a text.
    #[inline]
    fn text(&mut self) -> Option<Piece<'a>> {
        let mut length = ordinary(self.rest(), b'<', b']');
        let mut odd = None;
        if self.rest().get(length) != Some(&b'<') {
            odd = Some(Place::Text);
            length += self.rest()[length..].iter().take_while(|b| !matches!(b, b'<' | b']')).count();
        }
        let text = self.piece(length, odd)?;
        (self.rest().first() != Some(&b']')).then_some(text)
    }

    /// `OPEN name">text CLOSE` or `OPEN name"/>`, up to `end`.
    fn items<const A: usize, const B: usize, const C: usize>(
        &mut self,
        open: &[u8; A],
        close: &[u8; B],
        end: &[u8; C],
    ) -> Option<TextMap> {
        let mut map = self.map(12);
        loop {
            self.blanks();
            if self.take(open) {
                let name = self.quoted()?;
                let text = if self.take(b">") {
                    let text = self.text()?;
                    self.take(close).then_some(text)?
                } else {
                    self.take(b"/>").then_some(())?;
                    self.piece(0, None)?
                };
                map.add(&name, &text)?;
            } else {
                return self.take(end).then_some(map.map);
            }
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
            tags.push(self.quoted()?.text.into());
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
        let class = self.quoted()?.text.into();
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
        let mut map = self.map(9);
        self.known_attributes(&mut map)?;
        loop {
            if self.rest().first() == Some(&b' ') {
                let (name, value) = self.attribute()?;
                map.add(&name, &value)?;
            } else if self.take(b"/>") {
                return Some((map.map, true));
            } else {
                return self.take(b">").then_some((map.map, false));
            }
        }
    }

    /// The attributes of a volume as long as they come in the order in which upstream writes them: then no name need be
    /// read letter by letter, nor compared with those before it.
    fn known_attributes(&mut self, map: &mut Unique) -> Option<()> {
        self.known_attribute(b" name=\"", map)?;
        self.known_attribute(b" pool=\"", map)?;
        self.known_attribute(b" vid=\"", map)?;
        self.known_attribute(b" revisions_to_keep=\"", map)?;
        self.known_attribute(b" rw=\"", map)?;
        self.known_attribute(b" save_on_stop=\"", map)?;
        self.known_attribute(b" snap_on_start=\"", map)?;
        self.known_attribute(b" size=\"", map)?;
        self.known_attribute(b" source=\"", map)?;
        self.known_attribute(b" ephemeral=\"", map)
    }

    #[inline]
    fn known_attribute<const N: usize>(&mut self, opening: &[u8; N], map: &mut Unique) -> Option<()> {
        if self.rest().first_chunk() == Some(opening) {
            self.position += 1;
            let name = self.piece(N - 3, None)?;
            self.position += 2;
            map.append(&name, &self.quoted()?);
            map.seen = u64::MAX;
        }
        Some(())
    }

    fn map(&self, entries: usize) -> Unique {
        Unique { map: TextMap::over(self.file.clone(), entries), seen: 0 }
    }
}

/// A map that takes each name once; one that comes twice is the tree's business.
struct Unique {
    map: TextMap,
    /// A bit for each name that was added, by length and ends: only where it is set already is the name searched for.
    seen: u64,
}

impl Unique {
    fn bit(name: &[u8]) -> Option<u64> {
        let ends = usize::from(*name.first()?) * 5 + usize::from(*name.last()?) * 3 + name.len();
        Some(1 << (ends % 64))
    }

    #[inline]
    fn add(&mut self, name: &Piece, text: &Piece) -> Option<()> {
        let bit = Unique::bit(name.text.as_bytes())?;
        let double = self.seen & bit != 0 && self.map.contains(&name.text);
        self.seen |= bit;
        (!double && self.map.len() < MOST).then_some(())?;
        self.append(name, text);
        Some(())
    }

    #[inline]
    fn append(&mut self, name: &Piece, text: &Piece) {
        match (&name.text, &text.text) {
            (Cow::Borrowed(_), Cow::Borrowed(_)) => self.map.append_piece(name.range.clone(), text.range.clone()),
            _ => self.map.append(&name.text, &text.text),
        }
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

    fn read(domain: &[u8], name: &VmName, class: &Class) -> Option<Vm> {
        let text = SharedText::from(std::str::from_utf8(domain).ok()?);
        vm(&text, 0..text.len(), name, class)
    }

    #[test]
    fn nearly_every_domain_of_the_samples_is_plain_and_reads_the_same() {
        let (mut plain, mut all) = (0, 0);
        for bytes in samples() {
            for entry in index(&bytes).unwrap().domains {
                let (domain, name) = (&bytes[entry.span.range()], entry.name.unwrap());
                all += 1;
                if let Some(vm) = read(domain, &name, &entry.class) {
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
                if let Some(vm) = read(&domain, &name, &entry.class) {
                    let tree = by_tree(&domain, &name, &entry.class);
                    assert_eq!(Some(vm), tree, "{}", String::from_utf8_lossy(&domain));
                }
            }
        }
    }
}
