//! The qubes that a command line selects.

use crate::lifecycle::Context;
use crate::model::{Property, Qubes, Vm};

/// The selected qubes, each with its selected properties.
pub struct SelectedQubes<'a> {
    pub qubes: &'a Qubes,
    pub context: &'a Context,
    pub vms: Vec<(&'a Vm, Vec<&'static Property>)>,
}
