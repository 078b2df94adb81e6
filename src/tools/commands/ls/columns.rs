//! The columns of qvm-ls and the formats made of them (`docs/spec/r4-tools.md`, qvm-ls). A new
//! column is one row of [`COLUMNS`].

use serde_json::{Value as Json, json};

use super::flags;
use crate::model::{PowerState, Vm};
use crate::tools::schemas::types::{or_null, text_set, typed};
use crate::tools::ui::values::{Values, VolumeUsage, push_number};

const MIB: u64 = 1024 * 1024;

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

/// The columns that are not properties, in the order of the JSON schema.
pub static COLUMNS: [ColumnSpec; 16] = [
    ColumnSpec::new(
        "CLASS",
        Content::Text(|_, vm, cell| cell.push_str(vm.class.as_str())),
    )
    .help("the qube's class")
    .json("its class", |help| typed("string", help)),
    ColumnSpec::new(
        "STATE",
        Content::Text(|values, vm, cell| cell.push_str(values.state(vm).as_str())),
    )
    .needs(Source::Hypervisor)
    .help("what it is doing")
    .json(
        "what it is doing; NA where that cannot be told",
        |help| json!({"enum": PowerState::ALL.map(PowerState::as_str), "description": help}),
    ),
    ColumnSpec::new("FLAGS", Content::Text(flags::push))
        .needs(Source::Hypervisor)
        .help(
            "type, state, Updateable, provides Network, installed by Rpm, internal, Debug, \
             Autostart: a letter each",
        )
        .json(
            "the letters of column FLAGS",
            |help| json!({"type": "string", "pattern": flags::PATTERN, "description": help}),
        ),
    ColumnSpec::new(
        "GATEWAY",
        Content::Text(|values, vm, cell| values.push_gateway(cell, vm)),
    )
    .help("the gateway that its netvm offers")
    .json("the gateway that its netvm offers", TEXT),
    ColumnSpec::new(
        "MEMORY",
        Content::Bytes(|values, vm| values.memory_mib(vm).map(|mib| mib * MIB)),
    )
    .needs(Source::Hypervisor)
    .help("MiB it has now; only while it runs")
    .json(
        "what it has now, null while it does not run; not the property; bytes",
        INTEGER,
    ),
    ColumnSpec::new(
        "DISK",
        Content::Bytes(|values, vm| Some(values.volumes(vm).iter().map(|v| v.usage).sum())),
    )
    .needs(Source::Pools)
    .help("MiB that all its volumes take on disk")
    .json("what all its volumes take on disk; bytes", |help| {
        typed("integer", help)
    }),
    ColumnSpec::volume("PRIV-CURR", "private", VolumeFact::Usage)
        .help("MiB that its private volume takes on disk")
        .json("what its private volume takes on disk; bytes", INTEGER),
    ColumnSpec::volume("PRIV-MAX", "private", VolumeFact::Size)
        .help("MiB that its private volume may hold")
        .json("what its private volume may hold; bytes", INTEGER),
    ColumnSpec::volume("PRIV-USED", "private", VolumeFact::Percent)
        .help("how much of its private volume is in use")
        .json("how much of its private volume is in use; percent", INTEGER),
    ColumnSpec::volume("PRIV-POOL", "private", VolumeFact::Pool)
        .help("the pool of its private volume")
        .json("the pool of its private volume", TEXT),
    ColumnSpec::volume("ROOT-CURR", "root", VolumeFact::Usage)
        .help("MiB that its root volume takes on disk")
        .json("what its root volume takes on disk; bytes", INTEGER),
    ColumnSpec::volume("ROOT-MAX", "root", VolumeFact::Size)
        .help("MiB that its root volume may hold")
        .json("what its root volume may hold; bytes", INTEGER),
    ColumnSpec::volume("ROOT-USED", "root", VolumeFact::Percent)
        .help("how much of its root volume is in use")
        .json("how much of its root volume is in use; percent", INTEGER),
    ColumnSpec::volume("ROOT-POOL", "root", VolumeFact::Pool)
        .help("the pool of its root volume")
        .json("the pool of its root volume", TEXT),
    ColumnSpec::new(
        "TAGS",
        Content::Names(|_, vm| vm.tags.iter().map(|tag| &**tag).collect()),
    )
    .json("its tags, sorted", text_set),
    ColumnSpec::new(
        "CONNECTED_VMS",
        Content::Names(|values, vm| values.clients(vm)),
    )
    .json("the qubes that get their network from it, sorted", text_set),
];

const TEXT: fn(&str) -> Json = |help| or_null("string", help);
const INTEGER: fn(&str) -> Json = |help| or_null("integer", help);

/// One row of the table: all that is known of a column.
pub struct ColumnSpec {
    /// Its name for `--fields`; headings have `-` for `_`.
    pub name: &'static str,
    /// Its explanation in `--help-columns` and the manual page, if it is listed there.
    pub help: Option<&'static str>,
    /// What its cells and JSON values are made from.
    pub content: Content,
    /// Where they come from beside the store.
    pub source: Source,
    /// Its explanation in the JSON schema.
    json_help: &'static str,
    /// Makes the schema of its values in JSON from the explanation.
    json_type: fn(&str) -> Json,
}

/// What the cells and JSON values of a column are made from.
pub enum Content {
    /// Appends a text; an empty one is null in JSON.
    Text(fn(&Values, &Vm, &mut String)),
    /// Names, sorted.
    Names(for<'v> fn(&'v Values, &'v Vm) -> Vec<&'v str>),
    /// Bytes, which cells show as MiB.
    Bytes(fn(&Values, &Vm) -> Option<u64>),
    /// A fact about the volume of this name.
    Volume(&'static str, VolumeFact),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum VolumeFact {
    Usage,
    Size,
    Percent,
    Pool,
}

/// Where a column comes from beside the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Store,
    Hypervisor,
    Pools,
}

impl ColumnSpec {
    const fn new(name: &'static str, content: Content) -> ColumnSpec {
        ColumnSpec {
            name,
            help: None,
            content,
            source: Source::Store,
            json_help: "",
            json_type: TEXT,
        }
    }

    const fn volume(name: &'static str, volume: &'static str, fact: VolumeFact) -> ColumnSpec {
        let source = match fact {
            VolumeFact::Usage | VolumeFact::Percent => Source::Pools,
            VolumeFact::Size | VolumeFact::Pool => Source::Store,
        };
        ColumnSpec::new(name, Content::Volume(volume, fact)).needs(source)
    }

    const fn help(self, help: &'static str) -> ColumnSpec {
        ColumnSpec {
            help: Some(help),
            ..self
        }
    }

    const fn needs(self, source: Source) -> ColumnSpec {
        ColumnSpec { source, ..self }
    }

    const fn json(self, json_help: &'static str, json_type: fn(&str) -> Json) -> ColumnSpec {
        ColumnSpec {
            json_help,
            json_type,
            ..self
        }
    }

    /// Returns the names and explanations of the listed columns, sorted by name.
    pub fn listed() -> Vec<(&'static str, &'static str)> {
        let mut listed: Vec<_> = COLUMNS
            .iter()
            .filter_map(|spec| Some((spec.name, spec.help?)))
            .collect();
        listed.sort_unstable();
        listed
    }

    /// Returns the field of its values in the JSON schema.
    pub fn schema(&self) -> (String, Json) {
        (json_name(self.name), (self.json_type)(self.json_help))
    }

    /// Whether its cells are numbers of MiB.
    pub fn is_mib(&self) -> bool {
        match self.content {
            Content::Bytes(_) => true,
            Content::Volume(_, fact) => matches!(fact, VolumeFact::Usage | VolumeFact::Size),
            Content::Text(_) | Content::Names(_) => false,
        }
    }

    /// Appends the cell of a qube; nothing if there is no value.
    pub fn push_cell(&self, cell: &mut String, values: &Values, vm: &Vm) {
        match self.content {
            Content::Text(push) => push(values, vm, cell),
            Content::Names(names) => push_sorted(cell, names(values, vm)),
            Content::Bytes(bytes) => {
                if let Some(bytes) = bytes(values, vm) {
                    push_number(cell, bytes / MIB);
                }
            }
            Content::Volume(name, fact) => {
                push_volume(cell, values.volume(vm, name).as_deref(), fact);
            }
        }
    }

    /// Returns the value for JSON: sizes in bytes, null if there is no value.
    pub fn json_value(&self, values: &Values, vm: &Vm) -> Json {
        match self.content {
            Content::Text(push) => {
                let mut text = String::new();
                push(values, vm, &mut text);
                json!(Some(text).filter(|text| !text.is_empty()))
            }
            Content::Names(names) => {
                let mut names = names(values, vm);
                names.sort_unstable();
                json!(names)
            }
            Content::Bytes(bytes) => json!(bytes(values, vm)),
            Content::Volume(name, fact) => match (values.volume(vm, name), fact) {
                (None, _) => Json::Null,
                (Some(volume), VolumeFact::Usage) => json!(volume.usage),
                (Some(volume), VolumeFact::Size) => json!(volume.size),
                (Some(volume), VolumeFact::Percent) => json!(percent_used(&volume)),
                (Some(volume), VolumeFact::Pool) => json!(volume.pool),
            },
        }
    }
}

/// Returns the name of a column's field in JSON: in lower case with `_`.
pub fn json_name(heading: &str) -> String {
    heading.to_lowercase().replace('-', "_")
}

fn push_sorted(cell: &mut String, mut words: Vec<&str>) {
    words.sort_unstable();
    cell.push_str(&words.join(","));
}

fn percent_used(volume: &VolumeUsage) -> Option<u64> {
    volume.usage.checked_mul(100)?.checked_div(volume.size)
}

/// Appends a fact about a volume. Qubes without it show 0 for sizes and nothing for a pool.
fn push_volume(cell: &mut String, volume: Option<&VolumeUsage>, fact: VolumeFact) {
    match (fact, volume) {
        (VolumeFact::Pool, volume) => cell.push_str(volume.map_or("", |v| v.pool)),
        (VolumeFact::Usage, volume) => push_number(cell, volume.map_or(0, |v| v.usage / MIB)),
        (VolumeFact::Size, volume) => push_number(cell, volume.map_or(0, |v| v.size / MIB)),
        (VolumeFact::Percent, volume) => match volume.and_then(percent_used) {
            Some(percent) => {
                push_number(cell, percent);
                cell.push('%');
            }
            None => cell.push('0'),
        },
    }
}
