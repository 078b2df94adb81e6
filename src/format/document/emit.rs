//! Writes model values as XML, for what is not in the file yet. The form is upstream's
//! (`docs/spec/r4-xml.md` §0, §1).

use smol_str::SmolStr;

use super::listed_item::ListedItem;
use super::schema::{
    Container, DEVICES, DOMAIN, DOMAINS, FEATURES, LABELS, POOLS, PROPERTIES, STORE, SortKey, TAGS,
    VOLUMES, alphabetical, property_order,
};
use crate::format::error::FormatError;
use crate::format::xml::characters::is_name;
use crate::format::xml::text::{ValueKind, escape};
use crate::model::device::DeviceClass;
use crate::model::{Class, Qubes, TextMap, Vm};

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
    fn level(level: usize) -> Indent {
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

/// The text written so far, and what it describes, for messages.
pub(crate) struct Emitter {
    out: String,
    place: String,
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
    fn container<T>(
        &mut self,
        container: Container,
        indent: &Indent,
        children: impl IntoIterator<Item = T>,
        child: impl FnMut(&mut Emitter, T, &Indent) -> EmitResult,
    ) -> EmitResult {
        self.out.extend(["<", container.name]);
        self.children(container, indent, children, child)
    }

    /// Writes a container of listed items.
    pub fn list<'i, T: ListedItem + 'i>(
        &mut self,
        indent: &Indent,
        items: impl IntoIterator<Item = &'i T>,
    ) -> EmitResult {
        self.container(T::CONTAINER, indent, items, |e, item, indent| {
            item.emit(e, indent)
        })
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

    pub fn tags(&mut self, indent: &Indent, tags: &[SmolStr]) -> EmitResult {
        let mut sorted: Vec<&str> = tags.iter().map(|t| &**t).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.container(TAGS, indent, sorted, |e, tag, _| e.tag(tag))
    }

    pub fn device_class(&mut self, indent: &Indent, devices: &DeviceClass) -> EmitResult {
        self.raw("<devices");
        self.attribute("class", &devices.class)?;
        self.children(DEVICES, indent, &devices.assignments, |e, a, inner| {
            a.emit(e, inner)
        })
    }

    pub fn domains<'i>(
        &mut self,
        indent: &Indent,
        vms: impl IntoIterator<Item = &'i Vm>,
    ) -> EmitResult {
        self.container(DOMAINS, indent, vms, |e, vm, indent| e.domain(indent, vm))
    }

    /// Writes a whole domain element.
    pub fn domain(&mut self, indent: &Indent, vm: &Vm) -> EmitResult {
        self.place = describe_qube(vm);
        self.raw("<domain");
        let qid = vm.qid().map_or(0, |q| q.number());
        self.attribute("id", &format!("domain-{qid}"))?;
        self.attribute("class", vm.class.as_str())?;
        self.raw(">");
        let inner = indent.deeper();
        for container in DOMAIN {
            self.part(container, &inner, vm)?;
        }
        self.out.extend([indent.as_str(), "</domain>"]);
        Ok(())
    }

    /// Writes the containers of one kind of a domain.
    fn part(&mut self, container: Container, indent: &Indent, vm: &Vm) -> EmitResult {
        match container {
            DEVICES => {
                for devices in &vm.devices {
                    self.raw(indent.as_str());
                    self.device_class(indent, devices)?;
                }
                return Ok(());
            }
            VOLUMES if !vm.class.is_local_guest() && vm.volumes.is_empty() => return Ok(()),
            _ => self.raw(indent.as_str()),
        }
        match container {
            PROPERTIES => self.texts(container, indent, &vm.properties, Some(property_order)),
            FEATURES => self.texts(container, indent, &vm.features, None),
            TAGS => self.tags(indent, &vm.tags),
            _ => self.list(indent, &vm.volumes),
        }
    }

    fn unwritable(&self, what: &str, character: char) -> FormatError {
        let place = format!("{}, {what}", self.place);
        FormatError::Unwritable {
            place,
            character: character.into(),
        }
    }
}

/// Names a qube in messages.
pub(crate) fn describe_qube(vm: &Vm) -> String {
    format!("qube '{}'", vm.name)
}

/// Returns the text of a whole new store.
pub(crate) fn emit_store(qubes: &Qubes) -> Result<String, FormatError> {
    let mut e = Emitter::new("the store");
    let section = Indent::level(1);
    e.raw("<qubes>");
    for container in STORE {
        e.raw(section.as_str());
        match container {
            LABELS => e.list(&section, qubes.labels.iter())?,
            POOLS => e.list(&section, qubes.pools.iter())?,
            PROPERTIES => e.texts(container, &section, &qubes.globals, Some(alphabetical))?,
            _ => e.domains(&section, qubes.iter())?,
        }
    }
    e.raw("\n</qubes>\n");
    Ok(e.into_text())
}

/// Whether a qube has no content: the dom0 that is added to a store without one.
pub(crate) fn is_bare(vm: &Vm) -> bool {
    vm.class == Class::AdminVM
        && vm.properties.is_empty()
        && vm.features.is_empty()
        && vm.tags.is_empty()
        && vm.devices.is_empty()
        && vm.volumes.is_empty()
}
