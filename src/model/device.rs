//! Device assignments as the store has them (`docs/spec/r4-xml.md` §1.7).

use super::boolean::BooleanDialect;
use super::release::Release;
use super::text_map::TextMap;

/// The assignments of one device class of one qube: one `<devices class="…">` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceClass {
    /// `pci`, `block`, `usb`, `mic`, or an unknown class.
    pub class: Box<str>,
    /// The assignments in the order of the file.
    pub assignments: Vec<DeviceAssignment>,
}

/// One `<device>` element: its attributes verbatim, its options in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceAssignment {
    /// `backend-domain`, `id`, `mode`, `identity`, `required`, and unknown ones.
    pub attributes: TextMap,
    /// The options in the order of the file.
    pub options: TextMap,
}

/// When a device is attached to its frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentMode {
    /// Attached at the start of the frontend, which fails without the device.
    Required,
    /// Attached without a question, after the start or when it is plugged in.
    AutoAttach,
    /// Attached after the user agrees, after the start or when it is plugged in.
    AskToAttach,
}

impl AssignmentMode {
    /// Returns the mode as the store has it.
    pub fn as_str(self) -> &'static str {
        match self {
            AssignmentMode::Required => "required",
            AssignmentMode::AutoAttach => "auto-attach",
            AssignmentMode::AskToAttach => "ask-to-attach",
        }
    }
}

impl DeviceAssignment {
    /// Returns the qube that provides the device; `None` means any (the attribute is missing,
    /// empty, or the `*` that upstream writes).
    pub fn backend(&self) -> Option<&str> {
        self.attributes
            .get("backend-domain")
            .filter(|b| !b.is_empty() && *b != "*")
    }

    /// Returns the port, `*` for any.
    pub fn port(&self) -> &str {
        self.attributes.get("id").unwrap_or("*")
    }

    /// Returns the identity that the device must have, `*` for any. An `identity` option takes
    /// precedence, as in early 4.3.
    pub fn identity(&self) -> &str {
        self.options
            .get("identity")
            .or_else(|| self.attributes.get("identity"))
            .unwrap_or("*")
    }

    /// Returns the mode. Before 4.3 every assignment was required.
    ///
    /// # Errors
    /// The text is not a mode; it is returned.
    pub fn mode(&self) -> Result<AssignmentMode, &str> {
        if let Some(required) = self.attributes.get("required") {
            return match BooleanDialect::Literal.parse(required) {
                Some(true) => Ok(AssignmentMode::Required),
                Some(false) => Ok(AssignmentMode::AutoAttach),
                None => Err(required),
            };
        }
        match self.attributes.get("mode") {
            None | Some("required") => Ok(AssignmentMode::Required),
            Some("auto-attach") => Ok(AssignmentMode::AutoAttach),
            Some("ask-to-attach") => Ok(AssignmentMode::AskToAttach),
            Some(other) => Err(other),
        }
    }
}

impl DeviceClass {
    /// Returns the assignments in the form that the release reads. Assignments that it would
    /// misread are left out.
    pub fn for_release(&self, release: Release) -> DeviceClass {
        let assignments = self
            .assignments
            .iter()
            .filter_map(|a| a.for_release(release))
            .collect();
        DeviceClass {
            class: self.class.clone(),
            assignments,
        }
    }
}

impl DeviceAssignment {
    /// Returns the assignment in the attributes that the release reads (`docs/spec/r4-xml.md`
    /// §1.7): before 4.3 only backend and port, and every assignment is required; since then also
    /// mode and identity. `None` if the release cannot express the assignment.
    pub fn for_release(&self, release: Release) -> Option<DeviceAssignment> {
        let mode = self.mode().ok()?;
        let mut attributes = TextMap::new();
        // Upstream's reader does not accept the `*` that it writes for "any"; a missing attribute
        // works.
        match self.backend() {
            Some(backend) => attributes.set("backend-domain", backend),
            None if release.has_device_modes() => {}
            None => return None,
        }
        attributes.set("id", self.port());
        let mut options = self.options.clone();
        if release.has_device_modes() {
            attributes.set("mode", mode.as_str());
            attributes.set("identity", self.identity());
            options.remove("identity");
        } else if mode != AssignmentMode::Required || self.identity() != "*" {
            return None;
        }
        let known = ["backend-domain", "id", "mode", "identity", "required"];
        for (name, value) in self
            .attributes
            .iter()
            .filter(|(name, _)| !known.contains(name))
        {
            attributes.set(name, value);
        }
        Some(DeviceAssignment {
            attributes,
            options,
        })
    }
}
