//! One column of a listing: a row of the table, or a property.

use serde_json::Value as Json;

use super::columns::{COLUMNS, ColumnSpec, Content, Source, VolumeFact, json_name};
use crate::model::property::PROPERTIES;
use crate::model::{Property, PropertyByClass, Scope, Vm};
use crate::tools::ui::values::Values;

/// One column of a listing.
pub struct Column {
    /// The heading of the column.
    pub heading: String,
    kind: Kind,
}

enum Kind {
    Spec(&'static ColumnSpec),
    Property(PropertyByClass),
}

impl Column {
    /// Returns the column that a word of `--fields` names. Any property is a column.
    pub fn parse(word: &str) -> Column {
        let upper = word.trim().to_uppercase();
        let is_named =
            |spec: &&ColumnSpec| spec.name == upper || spec.name == upper.replace('-', "_");
        let kind = match COLUMNS.iter().find(is_named) {
            Some(spec) => Kind::Spec(spec),
            None => Kind::Property(PropertyByClass::new(
                &upper.to_lowercase().replace('-', "_"),
            )),
        };
        Column {
            heading: upper.replace('_', "-"),
            kind,
        }
    }

    /// Returns the columns of a list of words.
    pub fn parse_all(words: &str) -> Vec<Column> {
        words.split(',').map(Column::parse).collect()
    }

    /// Whether the column exists: for a property, whether qubes of some class have it.
    pub fn is_known(&self) -> bool {
        match &self.kind {
            Kind::Spec(_) => true,
            Kind::Property(of) => Property::rows(of.name()).any(|property| is_of_qubes(&property)),
        }
    }

    /// Returns the names of all columns in lower case.
    pub fn names() -> Vec<String> {
        let listed = ColumnSpec::listed().into_iter().map(|(name, _)| name);
        let unlisted = COLUMNS
            .iter()
            .filter(|spec| spec.help.is_none())
            .map(|spec| spec.name);
        let properties = PROPERTIES
            .iter()
            .filter(is_of_qubes)
            .map(|p| p.name.to_string());
        listed
            .chain(unlisted)
            .map(str::to_lowercase)
            .chain(properties)
            .collect()
    }

    /// Whether it is the property of this name.
    fn is_property(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Property(of) if of.name() == name)
    }

    /// Whether it is the name of the qube.
    pub fn is_name(&self) -> bool {
        self.is_property("name")
    }

    /// Whether it is the label of the qube.
    pub fn is_label(&self) -> bool {
        self.is_property("label")
    }

    /// Whether its cells need the pools of the volumes.
    pub fn reads_disk(&self) -> bool {
        matches!(&self.kind, Kind::Spec(spec) if spec.source == Source::Pools)
    }

    /// Whether it needs the hypervisor.
    pub fn is_live(&self) -> bool {
        match &self.kind {
            Kind::Spec(spec) => spec.source == Source::Hypervisor,
            Kind::Property(of) => of.is_live(),
        }
    }

    /// Whether its cells are numbers of MiB.
    pub fn is_mib(&self) -> bool {
        matches!(&self.kind, Kind::Spec(spec) if spec.is_mib())
    }

    /// Whether it is sorted as a number.
    pub fn is_numeric(&self) -> bool {
        match &self.kind {
            Kind::Spec(spec) => {
                spec.is_mib() || matches!(spec.content, Content::Volume(_, VolumeFact::Percent))
            }
            Kind::Property(of) => of.sorts_as_number(),
        }
    }

    /// Appends the cell of a qube; nothing if there is no value.
    pub fn push_cell(&self, cell: &mut String, values: &Values, vm: &Vm) {
        match &self.kind {
            Kind::Spec(spec) => spec.push_cell(cell, values, vm),
            Kind::Property(of) => {
                if let Some(property) = of.for_class(&vm.class) {
                    values.push(cell, vm, property);
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
        json_name(&self.heading)
    }

    /// Returns the value for JSON: real types, sizes in bytes, null if there is no value.
    pub fn json(&self, values: &Values, vm: &Vm) -> Json {
        match &self.kind {
            Kind::Spec(spec) => spec.json_value(values, vm),
            Kind::Property(of) => values.json(vm, of.name()),
        }
    }
}

fn is_of_qubes(property: &&Property) -> bool {
    !property.is_in_scope(Scope::Global)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_in_any_spelling() {
        let name = |word| match Column::parse(word).kind {
            Kind::Spec(spec) => spec.name.to_owned(),
            Kind::Property(of) => of.name().to_owned(),
        };
        assert_eq!(name("State"), "STATE");
        assert_eq!(Column::parse(" priv-max ").heading, "PRIV-MAX");
        assert_eq!(name("connected-vms"), "CONNECTED_VMS");
        assert_eq!(name("priv_max"), "priv_max", "a property, as in upstream");
        assert_eq!(name("virt-mode"), name("VIRT_MODE"));
        assert!(Column::parse("NAME").is_name() && Column::parse("maxmem").is_numeric());
    }
}
