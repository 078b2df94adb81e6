//! The settings that a package gives its template.

use crate::lifecycle::{Context, LifecycleError};
use crate::model::{Change, Draft, VmName, features, property};

/// Settings besides those of the creation.
pub(super) struct PackageSettings<'a> {
    pub installed_by_rpm: bool,
    pub features: &'a [(&'static str, String)],
    pub properties: &'a [(&'static str, String)],
}

impl PackageSettings<'_> {
    /// Applies the settings. A setting that a rule forbids becomes one of `notes`: it is no reason
    /// to fail the installation.
    pub fn apply(
        &self,
        draft: &mut Draft,
        name: &VmName,
        context: &Context,
        notes: &mut Vec<String>,
    ) -> Result<Change, LifecycleError> {
        let (name, facts) = (name.as_str(), context.facts());
        let mut all = Change::default();
        if self.installed_by_rpm {
            all.merge(property::set(
                draft,
                name,
                "installed_by_rpm",
                "True",
                facts,
            )?);
        }
        for (property, text) in self.properties {
            match property::set(draft, name, property, text, facts) {
                Ok(change) => all.merge(change),
                Err(error) => notes.push(format!("{property} is not set: {error}")),
            }
        }
        for (feature, text) in self.features {
            match features::set(draft, name, feature, text, facts) {
                Ok(change) => all.merge(change),
                Err(error) => notes.push(error.to_string()),
            }
        }
        Ok(all)
    }
}
