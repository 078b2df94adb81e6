//! Writes elements as XML text.

use super::indent::Indent;
use super::schema::{Container, SortKey};
use crate::format::error::FormatError;
use crate::format::xml::characters::is_name;
use crate::format::xml::text::{ValueKind, escape};
use crate::model::TextMap;

/// The text written so far, and what it describes, for messages.
pub(crate) struct Emitter {
    out: String,
    pub place: String,
}

/// The result of writing.
pub(crate) type EmitResult = Result<(), FormatError>;

impl Emitter {
    /// Creates an emitter. `place` names in messages what is written: `qube 'work'`.
    pub fn new(place: &str) -> Emitter {
        Emitter {
            out: String::new(),
            place: place.to_string(),
        }
    }

    pub fn into_text(self) -> String {
        self.out
    }

    /// Writes `text` unescaped.
    pub fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Writes `value` as text. `what` names it in messages.
    pub fn text(&mut self, value: &str, what: &str) -> EmitResult {
        let done = escape(&mut self.out, value, ValueKind::Text, '"');
        done.map_err(|c| self.unwritable(what, c))
    }

    /// Writes `value` as an attribute value in the quotation marks `quote`. `what` names it in
    /// messages.
    pub fn value(&mut self, value: &str, quote: char, what: &str) -> EmitResult {
        let done = escape(&mut self.out, value, ValueKind::Attribute, quote);
        done.map_err(|c| self.unwritable(what, c))
    }

    /// Writes ` name="value"`.
    pub fn attribute(&mut self, name: &str, value: &str) -> EmitResult {
        if !is_name(name) {
            return Err(FormatError::InvalidAttribute {
                place: self.place.clone(),
                name: name.to_string(),
            });
        }
        self.out.extend([" ", name, "=\""]);
        self.value(value, '"', name)?;
        self.out.push('"');
        Ok(())
    }

    pub fn attributes(&mut self, attributes: &TextMap) -> EmitResult {
        attributes
            .iter()
            .try_for_each(|(name, value)| self.attribute(name, value))
    }

    /// Writes `<item name="…">text</item>`.
    pub fn item(&mut self, item: &str, name: &str, text: &str) -> EmitResult {
        self.out.extend(["<", item]);
        self.attribute("name", name)?;
        self.out.push('>');
        self.text(text, name)?;
        self.out.extend(["</", item, ">"]);
        Ok(())
    }

    /// Writes `<tag name="…"/>`.
    pub fn tag(&mut self, tag: &str) -> EmitResult {
        self.raw("<tag");
        self.attribute("name", tag)?;
        self.raw("/>");
        Ok(())
    }

    /// Writes `<element …/>`.
    pub fn empty(&mut self, element: &str, attributes: &TextMap) -> EmitResult {
        self.out.extend(["<", element]);
        self.attributes(attributes)?;
        self.raw("/>");
        Ok(())
    }

    /// Writes the rest of a container with `children` in it, or `/>` without any. The start of the
    /// tag, with its attributes, is already written.
    pub fn children<T>(
        &mut self,
        container: Container,
        indent: &Indent,
        children: impl IntoIterator<Item = T>,
        mut child: impl FnMut(&mut Emitter, T, &Indent) -> EmitResult,
    ) -> EmitResult {
        let inner = indent.deeper();
        let mut is_empty = true;
        for item in children {
            self.raw(if is_empty { ">" } else { "" });
            is_empty = false;
            self.raw(inner.as_str());
            child(self, item, &inner)?;
        }
        if !is_empty {
            self.out
                .extend([indent.as_str(), "</", container.name, ">"]);
        } else {
            self.raw("/>");
        }
        Ok(())
    }

    /// Writes a container without attributes.
    pub fn container<T>(
        &mut self,
        container: Container,
        indent: &Indent,
        children: impl IntoIterator<Item = T>,
        child: impl FnMut(&mut Emitter, T, &Indent) -> EmitResult,
    ) -> EmitResult {
        self.out.extend(["<", container.name]);
        self.children(container, indent, children, child)
    }

    /// Writes a container of named texts: sorted, or in the order of the map.
    pub fn texts(
        &mut self,
        container: Container,
        indent: &Indent,
        texts: &TextMap,
        order: Option<SortKey>,
    ) -> EmitResult {
        let mut items: Vec<_> = texts.iter().collect();
        if let Some(key) = order {
            items.sort_by_key(|(name, _)| key(name));
        }
        self.container(container, indent, items, |e, (name, text), _| {
            e.item(container.item, name, text)
        })
    }

    fn unwritable(&self, what: &str, character: char) -> FormatError {
        let place = format!("{}, {what}", self.place);
        FormatError::Unwritable {
            place,
            character: character.into(),
        }
    }
}
