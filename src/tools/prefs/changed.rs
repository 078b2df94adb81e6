//! `--changed`: what is set to something else than what it would be by itself.

use serde_json::{Map, Value as Json};

use super::listing;
use super::several::View;
use crate::lifecycle::Session;
use crate::model::property::DefaultValue;
use crate::model::{Property, PropertyError, Qubes, Value, Vm, global_properties};
use crate::tools::db::one_line;
use crate::tools::failure::Failure;
use crate::tools::invocation::Invocation;
use crate::tools::table;
use crate::tools::values::json_of;

/// One property that differs from its default.
struct Change {
    property: &'static Property,
    value: Result<Value, PropertyError>,
    /// The text in the store: shown where it is no value.
    text: String,
    default: Result<Value, PropertyError>,
}

impl Change {
    /// `None` when the property is not set, is set to the default, or can have none: then nothing
    /// differs.
    fn of_qube(
        qubes: &Qubes,
        session: &Session,
        vm: &Vm,
        property: &'static Property,
    ) -> Option<Change> {
        let text = property.explicit_value(vm)?.to_owned();
        let value = qubes.value(vm, property, session);
        Change {
            property,
            value,
            text,
            default: qubes.default_value(vm, property, session),
        }
        .that_differs()
    }

    fn of_system(qubes: &Qubes, session: &Session, property: &'static Property) -> Option<Change> {
        let text = qubes
            .globals
            .get(property.name)
            .filter(|_| !property.computed)?
            .to_owned();
        let value = qubes.global_value(property, session);
        Change {
            property,
            value,
            text,
            default: qubes.global_default(property, session),
        }
        .that_differs()
    }

    fn that_differs(self) -> Option<Change> {
        let has_default = !matches!(self.property.default, DefaultValue::Required);
        let differs = !matches!((&self.value, &self.default), (Ok(value), Ok(default)) if shown(value) == shown(default));
        (has_default && differs).then_some(self)
    }

    /// `400 -> 800`.
    fn words(&self) -> String {
        let default = self
            .default
            .as_ref()
            .map_or_else(|_cannot_be_told| "?".to_string(), shown);
        let value = self
            .value
            .as_ref()
            .map_or_else(|_is_no_value| one_line(&self.text), shown);
        format!("{default} -> {value}")
    }

    fn json(self) -> (String, Json) {
        let mut entry = listing::entry(self.value, false);
        entry.insert(
            "default_value".to_string(),
            self.default.as_ref().map(json_of).unwrap_or_default(),
        );
        (self.property.name.to_string(), entry.into())
    }
}

/// A value in one word or line that is never empty.
fn shown(value: &Value) -> String {
    match value {
        Value::None | Value::Qube(None) => "None".to_string(),
        value => match one_line(&value.to_string()) {
            text if text.is_empty() => "''".to_string(),
            text => text,
        },
    }
}

/// `QUBE PROPERTY DEFAULT -> VALUE`, a line for each property.
pub fn of_qubes(call: &mut Invocation, view: &View) -> Result<u8, Failure> {
    let changes = view.vms.iter().map(|(vm, properties)| {
        let changes = properties
            .iter()
            .filter_map(|p| Change::of_qube(view.qubes, view.session, vm, p));
        (*vm, changes.collect::<Vec<Change>>())
    });
    let changes = changes.filter(|(_, changes)| !changes.is_empty());
    if call.has("json") {
        let object = |(vm, changes): (&Vm, Vec<Change>)| listing::object(vm, map(changes));
        let objects = Json::Array(changes.map(object).collect());
        return call.print_json(&objects).map(|()| 0);
    }
    let row = |vm: &Vm, change: &Change| {
        [
            vm.name.to_string(),
            change.property.name.to_string(),
            change.words(),
        ]
    };
    let mut rows: Vec<[String; 3]> = Vec::new();
    changes.for_each(|(vm, changes)| rows.extend(changes.iter().map(|change| row(vm, change))));
    table::print(&mut call.out, &rows).map(|()| 0)
}

/// `PROPERTY DEFAULT -> VALUE`, for one property or all of the system's.
pub fn of_system(call: &mut Invocation, qubes: &Qubes, session: &Session) -> Result<u8, Failure> {
    if call.value("value").is_some() || call.has("default") {
        return Err(Failure::usage(
            "--changed lists: it goes with neither a value nor --default",
        ));
    }
    let properties: Vec<&'static Property> = match call.value("property") {
        Some(name) => vec![super::find(crate::model::Scope::Global, name)?],
        None => global_properties().collect(),
    };
    let changes: Vec<Change> = properties
        .into_iter()
        .filter_map(|p| Change::of_system(qubes, session, p))
        .collect();
    if call.has("json") {
        return call.print_json(&Json::Object(map(changes))).map(|()| 0);
    }
    let rows: Vec<[String; 2]> = changes
        .iter()
        .map(|c| [c.property.name.to_string(), c.words()])
        .collect();
    table::print(&mut call.out, &rows).map(|()| 0)
}

fn map(changes: Vec<Change>) -> Map<String, Json> {
    changes.into_iter().map(Change::json).collect()
}
