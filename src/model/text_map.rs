//! An ordered map from names to texts, for properties, features, and options of devices and
//! volumes.

use std::fmt;

/// An ordered map from names to texts.
///
/// A map is so small that a linear search beats hashing. A store of a thousand qubes has a hundred
/// thousand entries, so a map keeps all its names and texts in one string.
#[derive(Clone, Default)]
pub struct TextMap {
    entries: Vec<Entry>,
    texts: String,
}

/// The ranges of a name and its text: start and end in bytes.
#[derive(Clone, Copy)]
struct Entry {
    name: (u32, u32),
    text: (u32, u32),
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
            texts: String::with_capacity(bytes),
        }
    }

    /// Returns the text of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.position(name).map(|at| self.at(self.entries[at].text))
    }

    /// Returns whether the map has the name.
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
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
        let (name, text) = (self.keep(name), self.keep(text));
        self.entries.push(Entry { name, text });
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
        self.entries.iter().position(|entry| {
            let (start, end) = entry.name;
            (end - start) as usize == name.len() && self.at(entry.name) == name
        })
    }

    fn at(&self, (start, end): (u32, u32)) -> &str {
        self.texts
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    fn keep(&mut self, text: &str) -> (u32, u32) {
        let start = self.texts.len();
        self.texts.push_str(text);
        (start as u32, self.texts.len() as u32)
    }

    /// Drops replaced texts once they exceed those in use.
    fn compact(&mut self) {
        let used: usize = self
            .iter()
            .map(|(name, text)| name.len() + text.len())
            .sum();
        if self.texts.len() > 2 * used + 1024 {
            *self = self.iter().collect();
        }
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
    fn replacing_a_text_repeatedly_does_not_grow_the_map() {
        let mut map = TextMap::new();
        for n in 0..10_000 {
            map.set("name", &n.to_string());
        }
        assert_eq!(map.get("name"), Some("9999"));
        assert!(map.texts.len() < 2048, "{} bytes", map.texts.len());
    }
}
