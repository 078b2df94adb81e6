//! One qube as the store describes it.

use smol_str::SmolStr;

use super::class::Class;
use super::device::DeviceClass;
use super::name::VmName;
use super::text_map::TextMap;

/// The number of a qube, 0 to 10000; dom0 has 0 (`docs/spec/r4-properties.md` §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qid(u16);

impl Qid {
    pub const MAX: u16 = 10_000;
    pub const DOM0: Qid = Qid(0);

    pub fn new(number: u16) -> Option<Qid> {
        (number <= Qid::MAX).then_some(Qid(number))
    }

    pub fn number(self) -> u16 {
        self.0
    }
}

/// Something in the store that this program, or upstream, cannot accept. The rest of the store
/// stays usable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// One line for a person, without the qube's name.
    pub text: String,
}

/// One `<volume>` of `<volume-config>`: its attributes verbatim; absence means "the class's
/// default".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VolumeConfig {
    pub attributes: TextMap,
}

impl VolumeConfig {
    /// `root`, `private`, `volatile`, `kernel`, or a name of the user's own.
    pub fn name(&self) -> &str {
        self.attributes.get_with_hint(0, "name").unwrap_or_default()
    }
}

/// A qube: its class and everything that is explicitly set. Values are the texts of the file; the
/// property table gives them their types when somebody asks, so one bad value spoils nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vm {
    pub name: VmName,
    pub class: Class,
    /// Explicit properties, `name` and `qid` among them.
    pub properties: TextMap,
    pub features: TextMap,
    /// Tags in the order of the file.
    pub tags: Vec<SmolStr>,
    pub devices: Vec<DeviceClass>,
    pub volumes: Vec<VolumeConfig>,
    /// What is wrong with this qube's part of the file.
    pub diagnoses: Vec<Diagnosis>,
}

impl Vm {
    /// A qube without anything but its name and class.
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

    /// A qube whose properties the caller adds, its name among them.
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

    /// The number, unless it is missing or no number a qube can have.
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

    /// The libvirt identity; all zero for dom0.
    pub fn uuid(&self) -> Option<uuid::Uuid> {
        if self.class == Class::AdminVM {
            return Some(uuid::Uuid::nil());
        }
        uuid::Uuid::try_parse(self.properties.get("uuid")?.trim()).ok()
    }

    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| &**t == tag)
    }

    pub fn volume(&self, name: &str) -> Option<&VolumeConfig> {
        self.volumes.iter().find(|v| v.name() == name)
    }

    /// The assignments of one device class.
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
