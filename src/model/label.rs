//! Labels: the colours of qubes.

use std::fmt;

/// One label: `<label id="label-N" color="0xRRGGBB">name</label>` (`docs/spec/r4-xml.md` §1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// N of `label-N`.
    pub index: u32,
    /// The colour verbatim, normally `0xRRGGBB`.
    pub color: Box<str>,
    /// The name, unique among labels.
    pub name: Box<str>,
}

impl Label {
    /// The labels of a new store: index, colour and name.
    pub const BUILT_IN: [(u32, &'static str, &'static str); 8] = [
        (1, "0xcc0000", "red"),
        (2, "0xf57900", "orange"),
        (3, "0xedd400", "yellow"),
        (4, "0x73d216", "green"),
        (5, "0x555555", "gray"),
        (6, "0x3465a4", "blue"),
        (7, "0x75507b", "purple"),
        (8, "0x000000", "black"),
    ];
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// All labels of a system, sorted by index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(Vec<Label>);

impl Labels {
    /// Creates the collection of these labels.
    pub fn new(mut labels: Vec<Label>) -> Labels {
        labels.sort_by_key(|l| l.index);
        Labels(labels)
    }

    /// Creates the labels of a new store.
    pub fn built_in() -> Labels {
        Labels::new(
            Label::BUILT_IN
                .iter()
                .map(|&(index, color, name)| Label {
                    index,
                    color: color.into(),
                    name: name.into(),
                })
                .collect(),
        )
    }

    /// Iterates over the labels by index.
    pub fn iter(&self) -> impl Iterator<Item = &Label> {
        self.0.iter()
    }

    /// Returns the label of this name. Indices and `label-N` are not accepted.
    pub fn get(&self, name: &str) -> Option<&Label> {
        self.0.iter().find(|label| &*label.name == name)
    }

    /// Finds a label by `label-N`, name or index, in the order upstream tries them.
    pub fn find(&self, text: &str) -> Option<&Label> {
        if let Some(index) = text
            .strip_prefix("label-")
            .and_then(|n| n.parse::<u32>().ok())
        {
            return self.0.iter().find(|l| l.index == index);
        }
        self.0.iter().find(|l| &*l.name == text).or_else(|| {
            text.parse()
                .ok()
                .and_then(|n: u32| self.0.iter().find(|l| l.index == n))
        })
    }
}
