//! An ordered map from names to texts: explicit properties, features, options of a device or a
//! volume.

use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A piece of the file, shared by those who point into it. A clone is the same text.
pub type SharedText = Arc<str>;

/// Names with their texts in the order of the file. Small enough that searching it beats hashing. A
/// thousand qubes have a hundred thousand of them, so a text that stands in the file as it is meant
/// is not copied; the others lie in one string.
#[derive(Clone, Default)]
pub struct TextMap {
    entries: Vec<Entry>,
    file: Option<SharedText>,
    /// Its first byte counts as the one behind the file's last.
    store: String,
    /// A bit for the mark of each name that was ever there: most names that somebody asks for never
    /// were.
    marks: u64,
}

/// Where a name and its text lie: start and end, bytes.
#[derive(Clone, Copy)]
struct Entry {
    name: (u32, u32),
    text: (u32, u32),
    mark: NameFingerprint,
}

/// What tells names apart without reading them, nearly always: the length, the first byte, the last
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameFingerprint(u32);

impl NameFingerprint {
    /// Of a name.
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

    /// One of 64 bits: the same for the same mark, and seldom for two.
    #[inline]
    const fn bit(self) -> u64 {
        // Found by trying: with this number few names of properties have a bit in common, and no
        // attributes of volumes.
        1 << (self.0.wrapping_mul(0xAEDE_2125) >> 26)
    }
}

impl TextMap {
    pub fn new() -> TextMap {
        TextMap::default()
    }

    /// An empty map with room for `entries` whose names and texts have `bytes` together.
    pub fn with_capacity(entries: usize, bytes: usize) -> TextMap {
        TextMap {
            entries: Vec::with_capacity(entries),
            store: String::with_capacity(bytes),
            ..TextMap::new()
        }
    }

    /// An empty map with room for `entries` whose names and texts lie in `file`, a piece of the
    /// store: see [`TextMap::append_span`].
    pub fn with_source(file: SharedText, entries: usize) -> TextMap {
        TextMap {
            entries: Vec::with_capacity(entries),
            file: Some(file),
            ..TextMap::new()
        }
    }

    /// Makes the map one over `file` without entries, in the memory that it has, with room for
    /// `entries`.
    pub fn reset(&mut self, file: &SharedText, entries: usize) {
        self.entries.clear();
        self.entries.reserve(entries);
        self.store.clear();
        self.marks = 0;
        if !self.file.as_ref().is_some_and(|old| Arc::ptr_eq(old, file)) {
            self.file = Some(file.clone());
        }
    }

    /// Appends what stands at two places of the text that the map lies over, under a name, with its
    /// mark, that the caller knows to be new.
    #[inline]
    pub fn append_span(&mut self, name: Range<u32>, mark: NameFingerprint, text: Range<u32>) {
        self.marks |= mark.bit();
        self.entries.push(Entry {
            name: (name.start, name.end),
            text: (text.start, text.end),
            mark,
        });
    }

    #[inline]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mark = NameFingerprint::new(name.as_bytes());
        if self.may_contain(mark) {
            self.found(mark, name)
        } else {
            None
        }
    }

    /// Whether a name of this mark was ever there: cheaper than [`TextMap::get`].
    #[inline]
    pub fn may_contain(&self, mark: NameFingerprint) -> bool {
        self.marks & mark.bit() != 0
    }

    fn found(&self, mark: NameFingerprint, name: &str) -> Option<&str> {
        let entry = self
            .entries
            .iter()
            .find(|entry| self.is_called(entry, mark, name))?;
        Some(self.texts().at(entry.text))
    }

    #[inline(always)]
    fn is_called(&self, entry: &Entry, mark: NameFingerprint, name: &str) -> bool {
        entry.mark == mark && same(self.texts().bytes_at(entry.name), name.as_bytes())
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Stores `text` under `name`: in its old place where the name was known, else at the end.
    pub fn set(&mut self, name: &str, text: &str) {
        match self.position(name) {
            Some(known) => {
                self.entries[known].text = self.keep(text);
                self.compact();
            }
            None => self.append(name, text),
        }
    }

    /// Stores `text` at the end, under a `name` that the caller knows to be new: [`TextMap::set`]
    /// without the search.
    pub fn append(&mut self, name: &str, text: &str) {
        debug_assert!(!self.contains(name), "{name} is there already");
        let mark = NameFingerprint::new(name.as_bytes());
        let name = self.keep(name);
        let text = self.keep(text);
        self.marks |= mark.bit();
        self.entries.push(Entry { name, text, mark });
    }

    /// Takes `name` out and returns what it held.
    pub fn remove(&mut self, name: &str) -> Option<Box<str>> {
        let at = self.position(name)?;
        let entry = self.entries.remove(at);
        Some(self.at(entry.text).into())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|e| (self.at(e.name), self.at(e.text)))
    }

    /// [`TextMap::get`] of what probably is the entry at `place`, counted from 0.
    #[inline(always)]
    pub fn get_with_hint(&self, place: usize, name: &str) -> Option<&str> {
        match self.entries.get(place) {
            Some(entry) if self.is_called(entry, NameFingerprint::new(name.as_bytes()), name) => {
                Some(self.at(entry.text))
            }
            _ => self.get(name),
        }
    }

    /// [`TextMap::get`] of what probably is the last entry.
    #[inline]
    pub fn get_from_end(&self, name: &str) -> Option<&str> {
        self.get_with_hint(self.entries.len().wrapping_sub(1), name)
    }

    /// [`TextMap::get`] of what probably stands at `place`, where it stood last in a map like this
    /// one; there the place goes where it is now.
    #[inline]
    pub fn get_with_cached_hint(
        &self,
        place: &Cell<usize>,
        mark: NameFingerprint,
        name: &str,
    ) -> Option<&str> {
        if !self.may_contain(mark) {
            return None;
        }
        let is_it = |entry: &&Entry| self.is_called(entry, mark, name);
        let entry = self.entries.get(place.get()).filter(is_it).or_else(|| {
            let at = self.position(name)?;
            place.set(at);
            self.entries.get(at)
        });
        entry.map(|entry| self.at(entry.text))
    }

    /// [`TextMap::contains`] of what probably is the entry at `place`.
    #[inline(always)]
    pub fn contains_with_hint(&self, place: usize, name: &str) -> bool {
        self.entries
            .get(place)
            .is_some_and(|entry| self.is_called(entry, NameFingerprint::new(name.as_bytes()), name))
            || self.contains(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|e| self.at(e.name))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn position(&self, name: &str) -> Option<usize> {
        let mark = NameFingerprint::new(name.as_bytes());
        self.entries
            .iter()
            .position(|entry| self.is_called(entry, mark, name))
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

    /// Drops replaced texts once they are more than what is in use.
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

/// Where the names and texts of a map lie.
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

/// Whether two names are the same. Most have 4 to 16 bytes: two words tell it sooner than a call
/// could.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
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
    /// Later entries win over earlier ones of the same name.
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
    fn texts_are_found_replaced_in_place_and_removed() {
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
    fn a_map_over_a_file_takes_other_texts_as_well() {
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
    fn a_guess_where_an_entry_stands_changes_nothing_of_what_is_found() {
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
    fn a_text_that_is_replaced_for_ever_does_not_grow_the_map() {
        let mut map = TextMap::new();
        for n in 0..10_000 {
            map.set("name", &n.to_string());
        }
        assert_eq!(map.get("name"), Some("9999"));
        assert!(map.store.len() < 2048, "{} bytes", map.store.len());
    }
}
