//! One qube as the store describes it.

use smol_str::SmolStr;

use super::class::Class;
use super::device::DeviceClass;
use super::name::VmName;
use super::qid::Qid;
use super::text_map::TextMap;

/// A problem of the store: something that this program, or upstream, cannot accept. The rest of the
/// store stays usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// One line of text, without the qube's name.
    pub text: String,
}

/// One `<volume>` of `<volume-config>`: its attributes verbatim. A missing attribute means the
/// default of the qube's class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeConfig {
    /// The attributes, `name` among them.
    pub attributes: TextMap,
}

impl VolumeConfig {
    /// Returns the volume's name: `root`, `private`, `volatile`, `kernel`, or a custom one.
    pub fn name(&self) -> &str {
        self.attributes.get("name").unwrap_or_default()
    }
}

/// A qube: its class and all explicit settings.
///
/// Values are the texts of the store. The property table converts them when they are read, so one
/// invalid value does not affect the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    /// The name; unique in a system.
    pub name: VmName,
    /// The class, which decides which properties and volumes the qube has.
    pub class: Class,
    /// Explicit properties, `name` and `qid` among them.
    pub properties: TextMap,
    /// Features of the qube itself, without inherited ones.
    pub features: TextMap,
    /// Tags in the order of the file.
    pub tags: Vec<SmolStr>,
    /// Device assignments by class.
    pub devices: Vec<DeviceClass>,
    /// Volumes in the order of the file.
    pub volumes: Vec<VolumeConfig>,
    /// Problems of this qube's part of the store.
    pub diagnoses: Vec<Diagnosis>,
}

impl Vm {
    /// Creates a qube with only a name and a class.
    pub fn new(name: VmName, class: Class) -> Vm {
        let mut properties = TextMap::new();
        if class != Class::AdminVM {
            properties.set("name", name.as_str());
        }
        Vm {
            properties,
            ..Vm::empty(name, class)
        }
    }

    /// Creates a qube without any properties; the caller adds them, its name among them.
    pub(crate) fn empty(name: VmName, class: Class) -> Vm {
        Vm {
            name,
            class,
            properties: TextMap::new(),
            features: TextMap::new(),
            tags: Vec::new(),
            devices: Vec::new(),
            volumes: Vec::new(),
            diagnoses: Vec::new(),
        }
    }

    /// Returns the number, or `None` if it is missing or invalid.
    pub fn qid(&self) -> Option<Qid> {
        if self.class == Class::AdminVM {
            return Some(Qid::DOM0);
        }
        self.properties
            .get("qid")?
            .trim()
            .parse()
            .ok()
            .and_then(Qid::new)
    }

    /// Returns the UUID, libvirt's identity of the domain; all zero for dom0.
    pub fn uuid(&self) -> Option<uuid::Uuid> {
        if self.class == Class::AdminVM {
            return Some(uuid::Uuid::nil());
        }
        uuid::Uuid::try_parse(self.properties.get("uuid")?.trim()).ok()
    }

    /// Returns whether the qube has the tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| &**t == tag)
    }

    /// Returns the configuration of a volume, if the store has one.
    pub fn volume(&self, name: &str) -> Option<&VolumeConfig> {
        self.volumes.iter().find(|v| v.name() == name)
    }

    /// Iterates over the assignments of one device class.
    pub fn assignments(
        &self,
        class: &str,
    ) -> impl Iterator<Item = &super::device::DeviceAssignment> {
        self.devices
            .iter()
            .filter(move |d| &*d.class == class)
            .flat_map(|d| d.assignments.iter())
    }
}
