//! Device assignments as the store keeps them (`docs/spec/r4-xml.md` §1.7).

use super::release::Release;
use super::text_map::TextMap;

/// The assignments of one device class of one qube: one `<devices class="…">` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceClass {
    /// `pci`, `block`, `usb`, `mic`, or one we do not know and keep.
    pub class: Box<str>,
    pub assignments: Vec<DeviceAssignment>,
}

/// One `<device>` element: its attributes verbatim, its options in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceAssignment {
    /// `backend-domain`, `id`, `mode`, `identity`, `required` and whatever else stands there.
    pub attributes: TextMap,
    pub options: TextMap,
}

/// When a device is given to its frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssignmentMode {
    Required,
    AutoAttach,
    AskToAttach,
}

impl AssignmentMode {
    pub fn as_str(self) -> &'static str {
        match self {
            AssignmentMode::Required => "required",
            AssignmentMode::AutoAttach => "auto-attach",
            AssignmentMode::AskToAttach => "ask-to-attach",
        }
    }
}

impl DeviceAssignment {
    /// The qube that provides the device; `None` means any (absent, empty, or the `*` that upstream
    /// writes).
    pub fn backend(&self) -> Option<&str> {
        self.attributes
            .get("backend-domain")
            .filter(|b| !b.is_empty() && *b != "*")
    }

    /// The port, `*` when any.
    pub fn port(&self) -> &str {
        self.attributes.get("id").unwrap_or("*")
    }

    /// What the device must be, `*` when anything; an `identity` option wins, as in early 4.3.
    pub fn identity(&self) -> &str {
        self.options
            .get("identity")
            .or_else(|| self.attributes.get("identity"))
            .unwrap_or("*")
    }

    /// The mode, or the text that is none. Before 4.3 every assignment was required.
    pub fn mode(&self) -> Result<AssignmentMode, &str> {
        if let Some(required) = self.attributes.get("required") {
            return match required.to_ascii_lowercase().as_str() {
                "1" | "yes" | "true" | "on" => Ok(AssignmentMode::Required),
                "0" | "no" | "false" | "off" => Ok(AssignmentMode::AutoAttach),
                _ => Err(required),
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
    /// The assignments as they can be written for a release: those that it would take for something
    /// else are left out.
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
    /// The assignment in the attributes that the release reads (`docs/spec/r4-xml.md` §1.7): before
    /// 4.3 backend and port alone, and everything is required; from then on with mode and identity.
    /// `None` where the release cannot be told.
    pub fn for_release(&self, release: Release) -> Option<DeviceAssignment> {
        let mode = self.mode().ok()?;
        let mut attributes = TextMap::new();
        // Of the `*` that upstream writes for "any", its reader makes nothing; absence it
        // understands.
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
