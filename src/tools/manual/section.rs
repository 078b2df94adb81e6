//! A section of a manual page.

use super::roff::Roff;

/// A section of a manual page.
pub struct Section {
    heading: String,
    body: Body,
}

enum Body {
    Paragraphs(String),
    Definitions(Vec<(String, String)>),
}

impl Section {
    /// A section of paragraphs with empty lines between them.
    pub fn paragraphs(heading: &str, text: impl Into<String>) -> Section {
        Section {
            heading: heading.to_owned(),
            body: Body::Paragraphs(text.into()),
        }
    }

    /// A section of terms with their explanations.
    pub fn definitions<T: Into<String>, U: Into<String>>(
        heading: &str,
        entries: impl Iterator<Item = (T, U)>,
    ) -> Section {
        let entries = entries.map(|(tag, text)| (tag.into(), text.into()));
        Section {
            heading: heading.to_owned(),
            body: Body::Definitions(entries.collect()),
        }
    }

    pub(super) fn write(&self, roff: &mut Roff) {
        match &self.body {
            Body::Paragraphs(text) => {
                roff.heading(&self.heading);
                roff.paragraphs(text);
            }
            Body::Definitions(entries) => roff.definitions(&self.heading, entries),
        }
    }
}
