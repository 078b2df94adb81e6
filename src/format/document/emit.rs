//! Writes model values as XML, for what is not in the file yet. The form is upstream's
//! (`docs/spec/r4-xml.md` §0, §1).

use smol_str::SmolStr;

use crate::format::error::FormatError;
use crate::format::xml::text::{ValueKind, escape, is_name};
use crate::model::device::{DeviceAssignment, DeviceClass};
use crate::model::{Class, Label, Pool, Property, Qubes, TextMap, Vm};

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

type EmitResult = Result<(), FormatError>;

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

    fn attributes(&mut self, attributes: &TextMap) -> EmitResult {
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

    pub fn label(&mut self, label: &Label) -> EmitResult {
        self.raw("<label");
        self.attribute("id", &format!("label-{}", label.index))?;
        self.attribute("color", &label.color)?;
        self.raw(">");
        self.text(&label.name, "label")?;
        self.raw("</label>");
        Ok(())
    }

    pub fn pool(&mut self, pool: &Pool) -> EmitResult {
        self.empty("pool", &pool.attributes)
    }

    /// Writes the rest of `<name` with `children` in it, or `/>` without any. The start of the tag,
    /// with its attributes, is already written.
    pub fn section<T>(
        &mut self,
        name: &str,
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
            self.out.extend([indent.as_str(), "</", name, ">"]);
        } else {
            self.raw("/>");
        }
        Ok(())
    }

    /// Writes a section of named items in the given order.
    pub fn items<'a>(
        &mut self,
        section: &str,
        item: &str,
        indent: &Indent,
        items: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> EmitResult {
        self.out.extend(["<", section]);
        self.section(section, indent, items, |e, (name, text), _| {
            e.item(item, name, text)
        })
    }

    pub fn tags(&mut self, indent: &Indent, tags: &[SmolStr]) -> EmitResult {
        let mut sorted: Vec<&str> = tags.iter().map(|t| &**t).collect();
        sorted.sort_unstable();
        sorted.dedup();
        self.raw("<tags");
        self.section("tags", indent, sorted, |e, tag, _| e.tag(tag))
    }

    pub fn device_class(&mut self, indent: &Indent, devices: &DeviceClass) -> EmitResult {
        self.raw("<devices");
        self.attribute("class", &devices.class)?;
        self.section("devices", indent, &devices.assignments, |e, a, inner| {
            e.device(inner, a)
        })
    }

    pub fn device(&mut self, indent: &Indent, device: &DeviceAssignment) -> EmitResult {
        self.raw("<device");
        self.attributes(&device.attributes)?;
        self.section(
            "device",
            indent,
            device.options.iter(),
            |e, (name, text), _| e.item("option", name, text),
        )
    }

    pub fn volume_config<'a>(
        &mut self,
        indent: &Indent,
        volumes: impl IntoIterator<Item = &'a crate::model::VolumeConfig>,
    ) -> EmitResult {
        self.raw("<volume-config");
        self.section("volume-config", indent, volumes, |e, v, _| {
            e.empty("volume", &v.attributes)
        })
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
        let mut properties: Vec<_> = vm.properties.iter().collect();
        properties.sort_by_key(|(name, _)| property_order(name));
        self.raw(inner.as_str());
        self.items("properties", "property", &inner, properties)?;
        self.raw(inner.as_str());
        self.items("features", "feature", &inner, vm.features.iter())?;
        self.raw(inner.as_str());
        self.tags(&inner, &vm.tags)?;
        for devices in &vm.devices {
            self.raw(inner.as_str());
            self.device_class(&inner, devices)?;
        }
        if vm.class.is_local_guest() || !vm.volumes.is_empty() {
            self.raw(inner.as_str());
            self.volume_config(&inner, &vm.volumes)?;
        }
        self.out.extend([indent.as_str(), "</domain>"]);
        Ok(())
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

/// Returns the sort key of a domain's property.
pub(crate) fn property_order(name: &str) -> (bool, &str) {
    (Property::rows(name).any(Property::is_loaded_late), name)
}

/// Returns the text of a whole new store.
pub(crate) fn emit_store(qubes: &Qubes) -> Result<String, FormatError> {
    let mut e = Emitter::new("the store");
    let section = Indent::level(1);
    e.raw("<qubes>\n  <labels");
    e.section("labels", &section, qubes.labels.iter(), |e, label, _| {
        e.label(label)
    })?;
    e.raw("\n  <pools");
    e.section("pools", &section, qubes.pools.iter(), |e, pool, _| {
        e.pool(pool)
    })?;
    e.raw(section.as_str());
    let mut globals: Vec<_> = qubes.globals.iter().collect();
    globals.sort_unstable();
    e.items("properties", "property", &section, globals)?;
    e.raw("\n  <domains");
    e.section("domains", &section, qubes.iter(), |e, vm, indent| {
        e.domain(indent, vm)
    })?;
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
