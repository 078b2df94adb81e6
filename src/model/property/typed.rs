//! Properties that the program itself asks for, with their types.

use std::collections::HashSet;

use super::network::default_netvm;
use super::value_type::Owner;
use super::{NETVM, PROVIDES_NETWORK, Property, PropertyError, Scope};
use crate::model::class::Class;
use crate::model::facts::Facts;
use crate::model::label::Label;
use crate::model::name::VmName;
use crate::model::qubes::Qubes;
use crate::model::vm::Vm;

/// How a qube is virtualised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VirtMode {
    Hvm,
    Pv,
    Pvh,
}

impl VirtMode {
    pub fn as_str(self) -> &'static str {
        match self {
            VirtMode::Hvm => "hvm",
            VirtMode::Pv => "pv",
            VirtMode::Pvh => "pvh",
        }
    }
}

impl Qubes {
    /// The label.
    pub fn label(&self, vm: &Vm) -> Result<&Label, PropertyError> {
        let text = vm
            .properties
            .get("label")
            .ok_or_else(|| Owner::Qube(&vm.name).unset_error("label"))?;
        self.labels
            .find(text)
            .ok_or_else(|| stored(vm, "label", text, "that is no label of this system"))
    }

    /// The template; none for classes that have none.
    ///
    /// # Errors
    /// It is missing, does not exist, or is of a class that cannot be one: so following templates
    /// always ends.
    pub fn template(&self, vm: &Vm) -> Result<Option<&Vm>, PropertyError> {
        if !vm.class.has_template() {
            return Ok(None);
        }
        // The last in the order in which properties are written.
        let text = vm
            .properties
            .get_from_end("template")
            .ok_or_else(|| Owner::Qube(&vm.name).unset_error("template"))?;
        let template = self
            .get(text)
            .ok_or_else(|| stored(vm, "template", text, "there is no such qube"))?;
        let fits = match vm.class {
            Class::AppVM => template.class == Class::TemplateVM,
            _ => matches!(template.class, Class::AppVM | Class::StandaloneVM),
        };
        match fits {
            true => Ok(Some(template)),
            false => Err(stored(
                vm,
                "template",
                text,
                &format!("a {} cannot be the template", template.class),
            )),
        }
    }

    /// The qube, its template, its template's template; ends where one is missing.
    pub fn template_chain<'a>(&'a self, vm: &'a Vm) -> impl Iterator<Item = &'a Vm> {
        std::iter::successors(Some(vm), |v| self.template(v).ok().flatten())
    }

    /// The qube that connects this one to the network.
    pub fn netvm(&self, vm: &Vm, facts: &dyn Facts) -> Result<Option<&Vm>, PropertyError> {
        if !NETVM.is_in_scope(Scope::Class(&vm.class)) {
            return Ok(None);
        }
        let text = match NETVM.explicit_value(vm) {
            Some(text) => Some(text),
            None => default_netvm(vm).and_then(|property| self.globals.get(property.name)),
        };
        // Nearly always it says it plainly.
        match text
            .filter(|text| NETVM.is_printed_verbatim(self, text))
            .and_then(|text| self.get(text))
        {
            Some(netvm) => Ok(Some(netvm)),
            None => self.referenced_qube(vm, NETVM, facts),
        }
    }

    /// The qube, its netvm, its netvm's netvm, each once; ends where one is missing or comes again.
    pub fn netvm_chain<'a>(
        &'a self,
        vm: &'a Vm,
        facts: &'a dyn Facts,
    ) -> impl Iterator<Item = &'a Vm> {
        let mut seen: HashSet<&VmName> = HashSet::new();
        std::iter::successors(Some(vm), move |v| {
            seen.insert(&v.name);
            self.netvm(v, facts)
                .ok()
                .flatten()
                .filter(|next| !seen.contains(&next.name))
        })
    }

    /// The qube that shows this one's windows.
    pub fn guivm(&self, vm: &Vm, facts: &dyn Facts) -> Result<Option<&Vm>, PropertyError> {
        self.reference(vm, "guivm", facts)
    }

    /// The qube that plays this one's sound.
    pub fn audiovm(&self, vm: &Vm, facts: &dyn Facts) -> Result<Option<&Vm>, PropertyError> {
        self.reference(vm, "audiovm", facts)
    }

    /// Memory at start, MiB.
    pub fn memory(&self, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
        self.number(vm, "memory", facts)
    }

    /// Up to how much memory the qube may get, MiB; 0 without balancing.
    pub fn maxmem(&self, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
        self.number(vm, "maxmem", facts)
    }

    /// Virtual processors.
    pub fn vcpus(&self, vm: &Vm, facts: &dyn Facts) -> Result<u32, PropertyError> {
        let number = self.number(vm, "vcpus", facts)?;
        u32::try_from(number)
            .map_err(|_| stored(vm, "vcpus", &number.to_string(), "that is too many"))
    }

    /// Seconds that the qube's agent is waited for at start.
    pub fn qrexec_timeout(&self, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
        self.number(vm, "qrexec_timeout", facts)
    }

    /// Seconds that the qube is waited for at shutdown.
    pub fn shutdown_timeout(&self, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
        self.number(vm, "shutdown_timeout", facts)
    }

    /// How the qube is virtualised.
    pub fn virt_mode(&self, vm: &Vm, facts: &dyn Facts) -> Result<VirtMode, PropertyError> {
        let mode = self.text(vm, "virt_mode", facts)?;
        match mode.to_ascii_lowercase().as_str() {
            "hvm" => Ok(VirtMode::Hvm),
            "pv" => Ok(VirtMode::Pv),
            "pvh" => Ok(VirtMode::Pvh),
            _ => Err(stored(
                vm,
                "virt_mode",
                &mode,
                "that is none of hvm, pv, pvh",
            )),
        }
    }

    /// Which of dom0's kernels; empty: the one in the qube's own image.
    pub fn kernel(&self, vm: &Vm, facts: &dyn Facts) -> Result<String, PropertyError> {
        self.text(vm, "kernel", facts)
    }

    /// The kernel's command line, without the common part.
    pub fn kernelopts(&self, vm: &Vm, facts: &dyn Facts) -> Result<String, PropertyError> {
        self.text(vm, "kernelopts", facts)
    }

    /// Hardware address of the network interface.
    pub fn mac(&self, vm: &Vm, facts: &dyn Facts) -> Result<String, PropertyError> {
        self.text(vm, "mac", facts)
    }

    /// As which user programs run.
    pub fn default_user(&self, vm: &Vm, facts: &dyn Facts) -> Result<String, PropertyError> {
        self.text(vm, "default_user", facts)
    }

    /// A property that is on or off; off where qubes of this class have none or it cannot be read.
    pub fn is_on(&self, vm: &Vm, name: &str, facts: &dyn Facts) -> bool {
        Property::find(Scope::Class(&vm.class), name)
            .is_some_and(|property| self.is_true(vm, property, facts))
    }

    /// Whether the qube provides network to others.
    pub fn provides_network(&self, vm: &Vm, facts: &dyn Facts) -> bool {
        PROVIDES_NETWORK.is_in_scope(Scope::Class(&vm.class))
            && self.is_true(vm, PROVIDES_NETWORK, facts)
    }

    /// Whether disposables may be made from the qube.
    pub fn is_template_for_dispvms(&self, vm: &Vm, facts: &dyn Facts) -> bool {
        self.is_on(vm, "template_for_dispvms", facts)
    }

    /// Whether the disposable was started in advance: its template lists it.
    pub fn is_preloaded(&self, vm: &Vm) -> bool {
        vm.class == Class::DispVM
            && self.template(vm).ok().flatten().is_some_and(|template| {
                let listed = template.features.get("preload-dispvm").unwrap_or_default();
                listed.split_whitespace().any(|name| vm.name == name)
            })
    }

    /// Bytes that a start needs, with what Xen keeps for itself and an emulator's domain
    /// (`docs/spec/r4-properties.md` §5.7).
    pub fn memory_for_start(&self, vm: &Vm, facts: &dyn Facts) -> Result<u64, PropertyError> {
        const MIB: u64 = 1 << 20;
        let (memory, mode) = (self.memory(vm, facts)?, self.virt_mode(vm, facts)?);
        let emulator = match mode {
            VirtMode::Hvm => {
                let explicit = self
                    .value_by_name(vm, "stubdom_mem", facts)?
                    .as_int()
                    .and_then(|n| u64::try_from(n).ok());
                let is_linux = self
                    .feature_with_template(vm, "linux-stubdom")
                    .is_none_or(|text| !text.is_empty());
                explicit
                    .unwrap_or(if is_linux { 128 } else { 28 })
                    .saturating_add(16)
            }
            VirtMode::Pvh | VirtMode::Pv => 0,
        };
        let most = Some(self.maxmem(vm, facts)?)
            .filter(|maxmem| *maxmem != 0)
            .unwrap_or(memory);
        let tables = if mode == VirtMode::Pv {
            0
        } else {
            most.saturating_mul(8192)
        };
        let given = memory
            .saturating_add(emulator)
            .saturating_add(4)
            .saturating_mul(MIB);
        let for_processors = u64::from(self.vcpus(vm, facts)?) * MIB * 3 / 2;
        Ok(given.saturating_add(for_processors).saturating_add(tables))
    }

    /// A text property by name.
    pub fn text(&self, vm: &Vm, name: &str, facts: &dyn Facts) -> Result<String, PropertyError> {
        Ok(self.value_by_name(vm, name, facts)?.to_string())
    }

    /// The qube that a property refers to; none for classes without the property.
    pub fn reference(
        &self,
        vm: &Vm,
        name: &str,
        facts: &dyn Facts,
    ) -> Result<Option<&Vm>, PropertyError> {
        let Some(property) = Property::find(Scope::Class(&vm.class), name) else {
            return Ok(None);
        };
        self.referenced_qube(vm, property, facts)
    }

    fn referenced_qube(
        &self,
        vm: &Vm,
        property: &Property,
        facts: &dyn Facts,
    ) -> Result<Option<&Vm>, PropertyError> {
        Ok(self
            .value(vm, property, facts)?
            .as_qube()
            .and_then(|q| self.get(q.as_str())))
    }

    fn number(&self, vm: &Vm, name: &str, facts: &dyn Facts) -> Result<u64, PropertyError> {
        let no_such = || PropertyError::NoSuchProperty(name.to_owned());
        let number = self
            .value_by_name(vm, name, facts)?
            .as_int()
            .ok_or_else(no_such)?;
        u64::try_from(number).map_err(|_negative| {
            match Property::find(Scope::Class(&vm.class), name) {
                Some(p) => stored(vm, p.name, &number.to_string(), "it must not be negative"),
                None => no_such(),
            }
        })
    }
}

fn stored(vm: &Vm, property: &'static str, text: &str, reason: &str) -> PropertyError {
    PropertyError::InvalidStoredValue {
        owner: format!("qube '{}'", vm.name),
        property,
        text: text.to_owned(),
        reason: reason.to_owned(),
    }
}
