//! An ordered map from names to texts, for properties, features, and options of devices and
//! volumes.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A piece of the store with shared ownership. A clone shares the same text.
pub type SharedText = Arc<str>;

/// An ordered map from names to texts.
///
/// A map is so small that a linear search beats hashing. A store of a thousand qubes has a hundred
/// thousand entries, so an entry whose text needs no decoding is a span of the store; the others
/// are kept in one string.
#[derive(Clone, Default)]
pub struct TextMap {
    entries: Vec<Entry>,
    file: Option<SharedText>,
    /// Texts that are not in `file`. Spans count its bytes from the end of `file`.
    store: String,
    /// A Bloom filter with one bit for the fingerprint of each name that was ever added. Most
    /// lookups are for names that were not.
    name_bits: u64,
}

/// The spans of a name and its text: start and end in bytes.
#[derive(Clone, Copy)]
struct Entry {
    name: (u32, u32),
    text: (u32, u32),
    fingerprint: NameFingerprint,
}

/// A fingerprint of a name: its length, first byte and last byte. Different names nearly always
/// have different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameFingerprint(u32);

impl NameFingerprint {
    /// Returns the fingerprint of a name.
    #[inline]
    pub const fn new(name: &[u8]) -> NameFingerprint {
        match name {
            [first, .., last] => {
                NameFingerprint((name.len() as u32) << 16 | (*first as u32) << 8 | *last as u32)
            }
            [one] => NameFingerprint(1 << 16 | (*one as u32) << 8 | *one as u32),
            [] => NameFingerprint(0),
        }
    }

    /// Returns one of 64 bits, the same for equal fingerprints.
    #[inline]
    const fn bit(self) -> u64 {
        // Found by experiment: with this factor few names of properties share a bit, and no names
        // of volume attributes do.
        1 << (self.0.wrapping_mul(0xAEDE_2125) >> 26)
    }
}

impl TextMap {
    /// Creates an empty map.
    pub fn new() -> TextMap {
        TextMap::default()
    }

    /// Creates an empty map with capacity for `entries` whose names and texts have `bytes` in
    /// total.
    pub fn with_capacity(entries: usize, bytes: usize) -> TextMap {
        TextMap {
            entries: Vec::with_capacity(entries),
            store: String::with_capacity(bytes),
            ..TextMap::new()
        }
    }

    /// Creates an empty map with capacity for `entries` whose spans are in `file`, a piece of the
    /// store ([`TextMap::append_span`]).
    pub fn with_source(file: SharedText, entries: usize) -> TextMap {
        TextMap {
            entries: Vec::with_capacity(entries),
            file: Some(file),
            ..TextMap::new()
        }
    }

    /// Empties the map for spans of `file`, keeping its memory, with capacity for `entries`.
    pub fn reset(&mut self, file: &SharedText, entries: usize) {
        self.entries.clear();
        self.entries.reserve(entries);
        self.store.clear();
        self.name_bits = 0;
        if !self.file.as_ref().is_some_and(|old| Arc::ptr_eq(old, file)) {
            self.file = Some(file.clone());
        }
    }

    /// Appends the entry at two spans of `file`. The caller knows the name to be new and its
    /// fingerprint.
    #[inline]
    pub fn append_span(
        &mut self,
        name: Range<u32>,
        fingerprint: NameFingerprint,
        text: Range<u32>,
    ) {
        self.name_bits |= fingerprint.bit();
        self.entries.push(Entry {
            name: (name.start, name.end),
            text: (text.start, text.end),
            fingerprint,
        });
    }

    /// Returns the text of a name.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&str> {
        let fingerprint = NameFingerprint::new(name.as_bytes());
        if self.may_contain(fingerprint) {
            self.find(fingerprint, name)
        } else {
            None
        }
    }

    /// Returns whether a name with this fingerprint may be in the map. Cheaper than
    /// [`TextMap::get`].
    #[inline]
    pub fn may_contain(&self, fingerprint: NameFingerprint) -> bool {
        self.name_bits & fingerprint.bit() != 0
    }

    fn find(&self, fingerprint: NameFingerprint, name: &str) -> Option<&str> {
        let entry = self
            .entries
            .iter()
            .find(|entry| self.is_called(entry, fingerprint, name))?;
        Some(self.texts().at(entry.text))
    }

    #[inline(always)]
    fn is_called(&self, entry: &Entry, fingerprint: NameFingerprint, name: &str) -> bool {
        entry.fingerprint == fingerprint
            && is_equal(self.texts().bytes_at(entry.name), name.as_bytes())
    }

    /// Returns whether the map has the name.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Sets the text of `name`: in its place if the name is known, else at the end.
    pub fn set(&mut self, name: &str, text: &str) {
        match self.position(name) {
            Some(known) => {
                self.entries[known].text = self.keep(text);
                self.compact();
            }
            None => self.append(name, text),
        }
    }

    /// Appends `text` under a `name` that the caller knows to be new: [`TextMap::set`] without the
    /// search.
    pub fn append(&mut self, name: &str, text: &str) {
        debug_assert!(!self.contains(name), "{name} is there already");
        let fingerprint = NameFingerprint::new(name.as_bytes());
        let name = self.keep(name);
        let text = self.keep(text);
        self.name_bits |= fingerprint.bit();
        self.entries.push(Entry {
            name,
            text,
            fingerprint,
        });
    }

    /// Removes `name` and returns its text.
    pub fn remove(&mut self, name: &str) -> Option<Box<str>> {
        let at = self.position(name)?;
        let entry = self.entries.remove(at);
        Some(self.at(entry.text).into())
    }

    /// Iterates over names and texts in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|e| (self.at(e.name), self.at(e.text)))
    }

    /// Returns the text of a name that is probably the entry at `place`, counted from 0. The result
    /// is that of [`TextMap::get`].
    #[inline(always)]
    pub fn get_with_hint(&self, place: usize, name: &str) -> Option<&str> {
        match self.entries.get(place) {
            Some(entry) if self.is_called(entry, NameFingerprint::new(name.as_bytes()), name) => {
                Some(self.at(entry.text))
            }
            _ => self.get(name),
        }
    }

    /// Returns the text of a name that is probably the last entry. The result is that of
    /// [`TextMap::get`].
    #[inline]
    pub fn get_from_end(&self, name: &str) -> Option<&str> {
        self.get_with_hint(self.entries.len().wrapping_sub(1), name)
    }

    /// Returns the text of a name that is probably at `place`, where it was found in the last,
    /// similar map, and updates `place`. The result is that of [`TextMap::get`].
    #[inline]
    pub fn get_with_cached_hint(
        &self,
        place: &Cell<usize>,
        fingerprint: NameFingerprint,
        name: &str,
    ) -> Option<&str> {
        if !self.may_contain(fingerprint) {
            return None;
        }
        let is_it = |entry: &&Entry| self.is_called(entry, fingerprint, name);
        let entry = self.entries.get(place.get()).filter(is_it).or_else(|| {
            let at = self.position(name)?;
            place.set(at);
            self.entries.get(at)
        });
        entry.map(|entry| self.at(entry.text))
    }

    /// Returns whether the map has a name that is probably the entry at `place`. The result is that
    /// of [`TextMap::contains`].
    #[inline(always)]
    pub fn contains_with_hint(&self, place: usize, name: &str) -> bool {
        self.entries
            .get(place)
            .is_some_and(|entry| self.is_called(entry, NameFingerprint::new(name.as_bytes()), name))
            || self.contains(name)
    }

    /// Iterates over the names in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| self.at(e.name))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        let fingerprint = NameFingerprint::new(name.as_bytes());
        self.entries
            .iter()
            .position(|entry| self.is_called(entry, fingerprint, name))
    }

    fn file(&self) -> &str {
        self.file.as_deref().unwrap_or_default()
    }

    #[inline(always)]
    fn texts(&self) -> Texts<'_> {
        Texts {
            file: self.file(),
            store: &self.store,
        }
    }

    fn at(&self, place: (u32, u32)) -> &str {
        self.texts().at(place)
    }

    fn keep(&mut self, text: &str) -> (u32, u32) {
        let start = self.file().len() + self.store.len();
        self.store.push_str(text);
        (start as u32, (start + text.len()) as u32)
    }

    /// Drops replaced texts once they exceed those in use.
    fn compact(&mut self) {
        let used: usize = self
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum();
        if self.store.len() > 2 * used + 1024 {
            *self = self.iter().collect();
        }
    }
}

/// The two texts that the spans of a map refer to.
#[derive(Clone, Copy)]
struct Texts<'m> {
    file: &'m str,
    store: &'m str,
}

impl<'m> Texts<'m> {
    #[inline]
    fn bytes_at(self, (start, end): (u32, u32)) -> &'m [u8] {
        let (file, start, end) = (self.file.as_bytes(), start as usize, end as usize);
        match start < file.len() {
            true => file.get(start..end).unwrap_or_default(),
            false => self
                .store
                .as_bytes()
                .get(start - file.len()..end - file.len())
                .unwrap_or_default(),
        }
    }

    #[inline]
    fn at(self, (start, end): (u32, u32)) -> &'m str {
        let (file, start, end) = (self.file, start as usize, end as usize);
        match start < file.len() {
            true => file.get(start..end).unwrap_or_default(),
            false => self
                .store
                .get(start - file.len()..end - file.len())
                .unwrap_or_default(),
        }
    }
}

/// Returns whether two names are equal. Most have 4 to 16 bytes: comparing two words inline is
/// faster than a call.
#[inline(always)]
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
    }
    a.len() == b.len()
        && match a.len() {
            4..8 => ends::<4>(a, b),
            8..=16 => ends::<8>(a, b),
            _ => a == b,
        }
}

impl PartialEq for TextMap {
    fn eq(&self, other: &TextMap) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for TextMap {}

impl fmt::Debug for TextMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for TextMap {
    /// Later entries replace earlier ones of the same name.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> TextMap {
        let mut map = TextMap::new();
        for (name, text) in entries {
            map.set(name.as_ref(), text.as_ref());
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_in_place_and_remove_forgets() {
        let mut map: TextMap = [("b", "1"), ("a", ""), ("b", "2")].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("b", "2"), ("a", "")]);
        map.set("c", "3");
        map.set("a", "\u{17C}");
        assert_eq!(
            (map.get("a"), map.get("x"), map.len()),
            (Some("\u{17C}"), None, 3)
        );
        assert_eq!(map.remove("b").as_deref(), Some("2"));
        assert_eq!(map, [("a", "\u{17C}"), ("c", "3")].into_iter().collect());
    }

    #[test]
    fn a_map_of_spans_accepts_other_texts() {
        let mut map = TextMap::with_source(SharedText::from("a=1 b=\u{17C}"), 2);
        map.append_span(0..1, NameFingerprint::new(b"a"), 2..3);
        map.append_span(4..5, NameFingerprint::new(b"b"), 6..8);
        let before = map.clone();
        assert_eq!(
            (map.get("a"), map.get("b"), map.get("c")),
            (Some("1"), Some("\u{17C}"), None)
        );
        map.set("a", "");
        map.append("c", "3");
        assert_eq!(
            map.iter().collect::<Vec<_>>(),
            [("a", ""), ("b", "\u{17C}"), ("c", "3")]
        );
        for n in 0..10_000 {
            map.set("b", &n.to_string());
        }
        assert_eq!(
            map.iter().collect::<Vec<_>>(),
            [("a", ""), ("b", "9999"), ("c", "3")]
        );
        assert_eq!(before, [("a", "1"), ("b", "\u{17C}")].into_iter().collect());
    }

    #[test]
    fn a_wrong_hint_does_not_change_the_result() {
        let names = [
            "qid",
            "rw",
            "ip",
            "name",
            "label",
            "revisions_to_keep",
            "a-name-of-more-than-sixteen",
            "qod",
        ];
        let map: TextMap = names
            .iter()
            .enumerate()
            .map(|(at, name)| (*name, at.to_string()))
            .collect();
        for (at, name) in names.into_iter().enumerate() {
            let text = at.to_string();
            for guess in 0..names.len() + 2 {
                let last = Cell::new(guess);
                assert_eq!(
                    map.get_with_hint(guess, name),
                    Some(text.as_str()),
                    "{name} near {guess}"
                );
                assert_eq!(
                    map.get_with_cached_hint(&last, NameFingerprint::new(name.as_bytes()), name),
                    Some(text.as_str()),
                    "{name}"
                );
                assert_eq!(last.get(), at, "{name} from {guess}");
                assert!(
                    map.contains_with_hint(guess, name) && !map.contains_with_hint(guess, "qad"),
                    "{name} near {guess}"
                );
            }
            assert_eq!(map.get_from_end(name), Some(text.as_str()), "{name}");
        }
        let other = NameFingerprint::new(b"qad");
        assert_eq!(
            (
                map.get_with_hint(0, "qad"),
                map.get_with_cached_hint(&Cell::new(0), other, "qad")
            ),
            (None, None)
        );
        assert_eq!(TextMap::new().get_from_end("qid"), None);
    }

    #[test]
    fn replacing_a_text_repeatedly_does_not_grow_the_map() {
        let mut map = TextMap::new();
        for n in 0..10_000 {
            map.set("name", &n.to_string());
        }
        assert_eq!(map.get("name"), Some("9999"));
        assert!(map.store.len() < 2048, "{} bytes", map.store.len());
    }
}
