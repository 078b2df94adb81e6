//! The indentation of elements.

/// The blanks before an element: a line feed and spaces, or less in a file without lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Indent(String);

impl Indent {
    /// Takes the indentation from the blanks before a sibling: only the last of several lines.
    pub fn from_blanks(blanks: &[u8]) -> Indent {
        let blanks = String::from_utf8_lossy(blanks);
        Indent(
            blanks
                .rfind('\n')
                .map_or(&*blanks, |n| &blanks[n..])
                .to_string(),
        )
    }

    /// Returns an empty indentation.
    pub fn none() -> Indent {
        Indent(String::new())
    }

    /// Returns upstream's indentation of a level.
    pub fn level(level: usize) -> Indent {
        Indent(format!("\n{}", "  ".repeat(level)))
    }

    /// Returns the indentation of the children of an element with this indentation. A file on one
    /// line stays on one line.
    pub fn deeper(&self) -> Indent {
        if self.has_lines() {
            Indent(format!("{}  ", self.0))
        } else {
            self.clone()
        }
    }

    /// Whether the element begins a line.
    pub fn has_lines(&self) -> bool {
        self.0.contains('\n')
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}
