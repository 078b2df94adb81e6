//! The columns of qvm-ls and the formats made of them (`docs/spec/r4-tools.md`, qvm-ls).

use crate::model::property::PROPERTIES;
use crate::model::{Class, PowerState, PropertyByClass, Scope, Vm};
use crate::tools::ui::values::{Values, is_truthy, push_number};

/// Formats by name, with the columns as `--help-formats` shows them.
pub const FORMATS: [(&str, &str); 6] = [
    ("simple", "name,state,class,label,template,netvm"),
    ("network", "name,state,netvm,ip,ipback,gateway"),
    ("kernel", "name,state,class,template,kernel,kernelopts"),
    ("full", "name,state,class,label,qid,xid,uuid"),
    (
        "prefs",
        "name,label,template,netvm,vcpus,initialmem,maxmem,virt_mode",
    ),
    (
        "disk",
        "name,state,disk,priv-curr,priv-max,priv-used,root-curr,root-max,root-used",
    ),
];

/// Columns that are not properties, with their explanation as `--help-columns` shows them.
pub const HEADINGS: [(&str, &str); 14] = [
    ("CLASS", "the qube's class"),
    ("DISK", "MiB that all its volumes take on disk"),
    (
        "FLAGS",
        "type, state, Updateable, provides Network, installed by Rpm, internal, Debug, Autostart: \
         a letter each",
    ),
    ("GATEWAY", "the gateway that its netvm offers"),
    ("MEMORY", "MiB it has now; only while it runs"),
    ("PRIV-CURR", "MiB that its private volume takes on disk"),
    ("PRIV-MAX", "MiB that its private volume may hold"),
    ("PRIV-POOL", "the pool of its private volume"),
    ("PRIV-USED", "how much of its private volume is in use"),
    ("ROOT-CURR", "MiB that its root volume takes on disk"),
    ("ROOT-MAX", "MiB that its root volume may hold"),
    ("ROOT-POOL", "the pool of its root volume"),
    ("ROOT-USED", "how much of its root volume is in use"),
    ("STATE", "what it is doing"),
];

/// The columns that are sorted as numbers.
const NUMERIC: [&str; 8] = [
    "MEMORY",
    "DISK",
    "PRIV-CURR",
    "PRIV-MAX",
    "PRIV-USED",
    "ROOT-CURR",
    "ROOT-MAX",
    "ROOT-USED",
];

/// The content of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Class,
    State,
    Flags(Box<FlagProperties>),
    Gateway,
    Memory,
    Disk,
    Volume {
        name: &'static str,
        fact: VolumeFact,
    },
    Tags,
    Clients,
    Property(PropertyByClass),
}

/// The properties for the letters of FLAGS except type and state.
#[derive(Debug, Clone, PartialEq, Eq)]
struct FlagProperties {
    virt_mode: PropertyByClass,
    updateable: PropertyByClass,
    provides_network: PropertyByClass,
    installed_by_rpm: PropertyByClass,
    debug: PropertyByClass,
    autostart: PropertyByClass,
}

impl FlagProperties {
    fn new() -> FlagProperties {
        FlagProperties {
            virt_mode: PropertyByClass::new("virt_mode"),
            updateable: PropertyByClass::new("updateable"),
            provides_network: PropertyByClass::new("provides_network"),
            installed_by_rpm: PropertyByClass::new("installed_by_rpm"),
            debug: PropertyByClass::new("debug"),
            autostart: PropertyByClass::new("autostart"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum VolumeFact {
    Usage,
    Size,
    Percent,
    Pool,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The heading of the column.
    pub heading: String,
    content: Content,
}

impl Column {
    /// Returns the column that a word of `--fields` names. Any property is a column.
    pub fn parse(word: &str) -> Column {
        let upper = word.trim().to_uppercase();
        let volume = |name, fact| Content::Volume { name, fact };
        let content = match upper.as_str() {
            "CLASS" => Content::Class,
            "STATE" => Content::State,
            "FLAGS" => Content::Flags(Box::new(FlagProperties::new())),
            "GATEWAY" => Content::Gateway,
            "MEMORY" => Content::Memory,
            "DISK" => Content::Disk,
            "PRIV-CURR" => volume("private", VolumeFact::Usage),
            "PRIV-MAX" => volume("private", VolumeFact::Size),
            "PRIV-USED" => volume("private", VolumeFact::Percent),
            "PRIV-POOL" => volume("private", VolumeFact::Pool),
            "ROOT-CURR" => volume("root", VolumeFact::Usage),
            "ROOT-MAX" => volume("root", VolumeFact::Size),
            "ROOT-USED" => volume("root", VolumeFact::Percent),
            "ROOT-POOL" => volume("root", VolumeFact::Pool),
            "TAGS" => Content::Tags,
            "CONNECTED_VMS" | "CONNECTED-VMS" => Content::Clients,
            property => Content::Property(PropertyByClass::new(
                &property.to_lowercase().replace('-', "_"),
            )),
        };
        Column {
            heading: upper.replace('_', "-"),
            content,
        }
    }

    /// Returns the columns of a list of words.
    pub fn parse_all(words: &str) -> Vec<Column> {
        words.split(',').map(Column::parse).collect()
    }

    /// Whether the column exists: for a property, whether qubes of some class have it.
    pub fn is_known(&self) -> bool {
        match &self.content {
            Content::Property(of) => PROPERTIES
                .iter()
                .any(|p| p.name == of.name() && !p.is_in_scope(Scope::Global)),
            _ => true,
        }
    }

    /// Returns the names of all columns in lower case.
    pub fn names() -> Vec<String> {
        let headings = HEADINGS.iter().map(|(heading, _)| heading.to_lowercase());
        let properties = PROPERTIES
            .iter()
            .filter(|p| !p.is_in_scope(Scope::Global))
            .map(|p| p.name.to_string());
        headings
            .chain(["tags".to_string(), "connected_vms".to_string()])
            .chain(properties)
            .collect()
    }

    /// Whether it is the name of the qube.
    pub fn is_name(&self) -> bool {
        matches!(&self.content, Content::Property(p) if p.name() == "name")
    }

    /// Whether it is the label of the qube.
    pub fn is_label(&self) -> bool {
        matches!(&self.content, Content::Property(p) if p.name() == "label")
    }

    /// Whether its cells need the pools of the volumes.
    pub fn reads_disk(&self) -> bool {
        match self.content {
            Content::Disk => true,
            Content::Volume { fact, .. } => matches!(fact, VolumeFact::Usage | VolumeFact::Percent),
            _ => false,
        }
    }

    /// Whether its cells are numbers of MiB.
    pub fn is_mib(&self) -> bool {
        match self.content {
            Content::Memory | Content::Disk => true,
            Content::Volume { fact, .. } => matches!(fact, VolumeFact::Usage | VolumeFact::Size),
            _ => false,
        }
    }

    /// Whether it is sorted as a number.
    pub fn is_numeric(&self) -> bool {
        let is_number = match &self.content {
            Content::Property(property) => property.sorts_as_number(),
            _ => false,
        };
        is_number || NUMERIC.contains(&self.heading.as_str())
    }

    /// Whether it needs the hypervisor.
    pub fn is_live(&self) -> bool {
        match &self.content {
            Content::State | Content::Flags(_) | Content::Memory => true,
            Content::Property(property) => property.is_live(),
            _ => false,
        }
    }

    /// Appends the cell of a qube; nothing if there is no value.
    pub fn push_cell(&self, cell: &mut String, values: &Values, vm: &Vm) {
        match &self.content {
            Content::Class => cell.push_str(vm.class.as_str()),
            Content::State => cell.push_str(values.state(vm).as_str()),
            Content::Flags(of) => push_flags(cell, values, vm, of),
            Content::Gateway => values.push_gateway(cell, vm),
            Content::Memory => {
                if let Some(mib) = values.memory_mib(vm) {
                    push_number(cell, mib);
                }
            }
            Content::Disk => {
                push_number(cell, mib(values.volumes(vm).iter().map(|v| v.usage).sum()))
            }
            Content::Volume { name, fact } => push_volume(cell, values, vm, name, *fact),
            Content::Tags => push_sorted(cell, vm.tags.iter().map(|t| &**t)),
            Content::Clients => push_sorted(cell, values.clients(vm).into_iter()),
            Content::Property(name) => {
                if let Some(property) = name.for_class(&vm.class) {
                    values.push(cell, vm, property, name.position_hint());
                }
            }
        }
    }

    /// Returns the cell of a qube.
    pub fn cell(&self, values: &Values, vm: &Vm) -> String {
        let mut cell = String::new();
        self.push_cell(&mut cell, values, vm);
        cell
    }

    /// Returns the name of its field in JSON: the heading in lower case with `_`.
    pub fn json_name(&self) -> String {
        self.heading.to_lowercase().replace('-', "_")
    }

    /// Returns the value for JSON: real types, sizes in bytes, null if there is no value.
    pub fn json(&self, values: &Values, vm: &Vm) -> serde_json::Value {
        use serde_json::json;
        match &self.content {
            Content::Memory => json!(values.memory_mib(vm).map(|mib| mib * 1024 * 1024)),
            Content::Disk => json!(values.volumes(vm).iter().map(|v| v.usage).sum::<u64>()),
            Content::Volume { name, fact } => {
                let volumes = values.volumes(vm);
                let Some(volume) = volumes.iter().find(|v| v.name == *name) else {
                    return serde_json::Value::Null;
                };
                match fact {
                    VolumeFact::Usage => json!(volume.usage),
                    VolumeFact::Size => json!(volume.size),
                    VolumeFact::Percent => json!(percent(volume.usage, volume.size)),
                    VolumeFact::Pool => json!(volume.pool),
                }
            }
            Content::Tags => {
                let mut tags: Vec<&str> = vm.tags.iter().map(|t| &**t).collect();
                tags.sort_unstable();
                json!(tags)
            }
            Content::Clients => {
                let mut clients = values.clients(vm);
                clients.sort_unstable();
                json!(clients)
            }
            Content::Property(property) => values.json(vm, property.name()),
            Content::Class | Content::State | Content::Flags(_) | Content::Gateway => {
                let cell = self.cell(values, vm);
                if cell.is_empty() {
                    serde_json::Value::Null
                } else {
                    json!(cell)
                }
            }
        }
    }
}

fn push_sorted<'a>(cell: &mut String, words: impl Iterator<Item = &'a str>) {
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    for (at, word) in words.into_iter().enumerate() {
        if at > 0 {
            cell.push(',');
        }
        cell.push_str(word);
    }
}

fn mib(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

fn percent(usage: u64, size: u64) -> Option<u64> {
    usage.checked_mul(100)?.checked_div(size)
}

/// Appends a fact about a volume. Classes without volumes show 0 for sizes and nothing for a pool.
fn push_volume(cell: &mut String, values: &Values, vm: &Vm, name: &str, fact: VolumeFact) {
    let volumes = values.volumes(vm);
    match (fact, volumes.iter().find(|v| v.name == name)) {
        (VolumeFact::Pool, volume) => cell.push_str(volume.map_or("", |v| v.pool)),
        (_, None) => cell.push('0'),
        (VolumeFact::Usage, Some(v)) => push_number(cell, mib(v.usage)),
        (VolumeFact::Size, Some(v)) => push_number(cell, mib(v.size)),
        (VolumeFact::Percent, Some(v)) => match percent(v.usage, v.size) {
            Some(percent) => {
                push_number(cell, percent);
                cell.push('%');
            }
            None => cell.push('0'),
        },
    }
}

/// Appends eight letters: type, state, and six properties.
fn push_flags(cell: &mut String, values: &Values, vm: &Vm, of: &FlagProperties) {
    let kind = match vm.class {
        Class::AdminVM => '0',
        Class::TemplateVM => 't',
        Class::AppVM => 'a',
        Class::StandaloneVM => 's',
        Class::DispVM => 'd',
        Class::RemoteVM | Class::Unknown(_) => '-',
    };
    let start = cell.len();
    if let Some(property) = of.virt_mode.for_class(&vm.class) {
        values.push(cell, vm, property, of.virt_mode.position_hint());
    }
    let is_hvm = &cell[start..] == "hvm";
    cell.truncate(start);
    let state = match values.state(vm) {
        PowerState::Running => 'r',
        PowerState::Transient => 't',
        PowerState::Paused => 'p',
        PowerState::Suspended => 's',
        PowerState::Halting => 'h',
        PowerState::Dying => 'd',
        PowerState::Crashed => 'c',
        PowerState::Unknown => '?',
        PowerState::Halted => '-',
    };
    let set = |letter: char, is_set: bool| if is_set { letter } else { '-' };
    let is_true = |name: &PropertyByClass| {
        name.for_class(&vm.class)
            .is_some_and(|property| values.is_true_of(vm, property))
    };
    let letters = [
        if is_hvm {
            kind.to_ascii_uppercase()
        } else {
            kind
        },
        state,
        set('U', is_true(&of.updateable)),
        set('N', is_true(&of.provides_network)),
        set('R', is_true(&of.installed_by_rpm)),
        set('i', vm.features.get("internal").is_some_and(is_truthy)),
        set('D', is_true(&of.debug)),
        set('A', is_true(&of.autostart)),
    ];
    cell.extend(letters);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_in_any_spelling() {
        assert_eq!(Column::parse("State").content, Content::State);
        assert_eq!(Column::parse(" priv-max ").heading, "PRIV-MAX");
        assert_eq!(
            Column::parse("priv_max").content,
            Content::Property(PropertyByClass::new("priv_max"))
        );
        assert_eq!(Column::parse("virt-mode"), Column::parse("VIRT_MODE"));
        assert!(Column::parse("NAME").is_name() && Column::parse("maxmem").is_numeric());
    }
}
