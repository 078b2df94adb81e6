//! Storage pools as the store keeps them (`docs/spec/r4-xml.md` §1.2, `docs/spec/r4-storage.md`
//! §4).

use super::text_map::TextMap;

/// One `<pool>` element: every attribute verbatim, `name` and `driver` among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    pub attributes: TextMap,
}

impl Pool {
    pub fn name(&self) -> &str {
        self.attributes.get("name").unwrap_or_default()
    }

    /// `file-reflink`, `file`, `lvm_thin`, `linux-kernel`, …; empty when the element has none.
    pub fn driver(&self) -> &str {
        self.attributes.get("driver").unwrap_or_default()
    }

    /// A driver's own attribute.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.attributes.get(name)
    }

    /// How many revisions its volumes keep unless they say otherwise: 1 when unsaid, −1 for no
    /// snapshots at all.
    pub fn revisions_to_keep(&self) -> i64 {
        self.option("revisions_to_keep")
            .and_then(|n| n.trim().parse().ok())
            .unwrap_or(1)
    }
}

/// The pools of a system in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pools(pub Vec<Pool>);

impl Pools {
    pub fn get(&self, name: &str) -> Option<&Pool> {
        self.0.iter().find(|p| p.name() == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.0.iter()
    }
}
