//! An ordered map from names to texts: explicit properties, features, options of a device or a volume.

/// Names with their texts in the order of the file. Small enough that searching it beats hashing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextMap(Vec<(Box<str>, Box<str>)>);

impl TextMap {
    pub fn new() -> TextMap {
        TextMap::default()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Stores `text` under `name`: in its old place where the name was known, else at the end.
    pub fn set(&mut self, name: &str, text: &str) {
        match self.0.iter_mut().find(|(n, _)| &**n == name) {
            Some((_, v)) => *v = text.into(),
            None => self.0.push((name.into(), text.into())),
        }
    }

    /// Takes `name` out and returns what it held.
    pub fn remove(&mut self, name: &str) -> Option<Box<str>> {
        let at = self.0.iter().position(|(n, _)| &**n == name)?;
        Some(self.0.remove(at).1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(n, v)| (&**n, &**v))
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(n, _)| &**n)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<Box<str>>, V: Into<Box<str>>> FromIterator<(N, V)> for TextMap {
    /// Later entries win over earlier ones of the same name.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(entries: I) -> TextMap {
        let mut map = TextMap::new();
        for (name, text) in entries {
            let (name, text) = (name.into(), text.into());
            match map.0.iter_mut().find(|(n, _)| *n == name) {
                Some((_, v)) => *v = text,
                None => map.0.push((name, text)),
            }
        }
        map
    }
}
