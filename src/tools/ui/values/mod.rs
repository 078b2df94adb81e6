//! The values that tools show for qubes: properties, power states, volumes, clients. They come from
//! one reading of the store; the hypervisor is contacted when a live value is first needed, once
//! for all qubes.

mod volumes;

use std::borrow::Cow;
use std::cell::{OnceCell, Ref, RefCell};
use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::json;
use smol_str::{SmolStr, ToSmolStr};

use crate::hypervisor::HypervisorError;
use crate::lifecycle::Context;
use crate::lifecycle::facts::MAX_SINGLE_QUERIES;
use crate::model::{
    Class, Label, PowerState, Property, PropertyError, Qubes, Scope, Value, Vm, VmName, property,
};
pub use volumes::VolumeUsage;
use volumes::Volumes;

/// The texts that a template's properties give to qubes that inherit them.
type InheritedTexts = Vec<(&'static Property, SmolStr)>;

/// Appends a number to a cell.
pub fn push_number(cell: &mut String, number: impl itoa::Integer) {
    cell.push_str(itoa::Buffer::new().format(number));
}

/// Appends an IPv4 address to a cell.
fn push_dotted(cell: &mut String, ip: Ipv4Addr) {
    for (at, byte) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            cell.push('.');
        }
        push_number(cell, byte);
    }
}

/// The values of all qubes of one reading of the store.
pub struct Values<'a> {
    qubes: &'a Qubes,
    context: &'a Context,
    clients: OnceCell<HashMap<VmName, Vec<&'a str>>>,
    /// The gateway that each netvm provides.
    gateways: RefCell<Vec<(&'a Vm, SmolStr)>>,
    /// The template of the qube that was looked up last.
    template: RefCell<Option<(VmName, Option<&'a Vm>)>>,
    /// The inherited texts of each template.
    inherited: RefCell<Vec<(&'a Vm, InheritedTexts)>>,
    volumes: Volumes<'a>,
}

impl<'a> Values<'a> {
    /// Makes the values of `qubes`; none is computed before it is requested.
    pub fn new(qubes: &'a Qubes, context: &'a Context) -> Values<'a> {
        Values {
            qubes,
            context,
            clients: OnceCell::new(),
            gateways: RefCell::default(),
            template: RefCell::default(),
            inherited: RefCell::default(),
            volumes: Volumes::new(qubes, context),
        }
    }

    /// Reads a qube without keeping it; see [`Qubes::inspect`].
    pub fn inspect<T>(&self, name: &str, look: impl FnOnce(&Vm) -> T) -> Option<T> {
        self.qubes.inspect(name, look)
    }

    /// Returns a qube, which stays in memory.
    pub fn get(&self, name: &str) -> Option<&'a Vm> {
        self.qubes.get(name)
    }

    /// Whether qubes of this class have a property.
    pub fn has(&self, vm: &Vm, name: &str) -> bool {
        Property::find(Scope::Class(&vm.class), name).is_some()
    }

    /// Returns the value of a property in effect.
    pub fn value(&self, vm: &Vm, name: &str) -> Result<Value, PropertyError> {
        property::value_by_name(self.qubes, vm, name, self.context.facts())
    }

    /// Returns the text of a property; `None` if it does not exist, cannot be read, or has no
    /// value.
    pub fn text<'v>(&self, vm: &'v Vm, name: &str) -> Option<Cow<'v, str>> {
        if name == "name" {
            return Some(vm.name.as_str().into());
        }
        match self.value(vm, name) {
            Ok(Value::None | Value::Qube(None)) | Err(_) => None,
            Ok(Value::Text(text) | Value::Label(text) | Value::Pool(text)) => {
                Some(text.to_string().into())
            }
            Ok(value) => Some(value.to_string().into()),
        }
    }

    /// Appends [`Values::text`] of a property that qubes of this class have. For listings: a value
    /// that is stored as it is printed is not parsed, and what qubes inherit from a template is
    /// computed once.
    pub fn push(&self, cell: &mut String, vm: &Vm, property: &'static Property) {
        if property.name == "name" {
            return cell.push_str(vm.name.as_str());
        }
        let value = match property.explicit_value(vm) {
            Some(text) if property.is_printed_verbatim(self.qubes, text) => {
                return cell.push_str(text);
            }
            Some(_) => property::value(self.qubes, vm, property, self.context.facts()),
            None => {
                if property::is_inherited(self.qubes, vm, property, self.context.facts())
                    && let Some(template) = self.template(vm)
                {
                    return self.push_inherited(cell, template, property);
                }
                property::default_value(self.qubes, vm, property, self.context.facts())
            }
        };
        match value {
            Ok(Value::Text(text) | Value::Label(text) | Value::Pool(text)) => cell.push_str(&text),
            Ok(Value::Qube(Some(name))) => cell.push_str(name.as_str()),
            Ok(Value::Int(n)) => push_number(cell, n),
            Ok(Value::Ip4(ip)) => push_dotted(cell, ip),
            Ok(Value::None | Value::Qube(None)) | Err(_) => {}
            Ok(value) => cell.push_str(&value.to_smolstr()),
        }
    }

    /// Returns the text of [`Values::push`] for a property by name; empty if it does not exist.
    fn cell(&self, vm: &Vm, name: &str) -> SmolStr {
        let mut cell = String::new();
        if let Some(property) = Property::find(Scope::Class(&vm.class), name) {
            self.push(&mut cell, vm, property);
        }
        cell.into()
    }

    /// Returns the template of a qube, if it has a valid one.
    fn template(&self, vm: &Vm) -> Option<&'a Vm> {
        if let Some((_, template)) = self
            .template
            .borrow()
            .as_ref()
            .filter(|(of, _)| *of == vm.name)
        {
            return *template;
        }
        let template = property::template(self.qubes, vm).ok().flatten();
        self.template.replace(Some((vm.name.clone(), template)));
        template
    }

    /// Appends the text that qubes inherit from a template for a property.
    fn push_inherited(&self, cell: &mut String, template: &'a Vm, property: &'static Property) {
        let inherited = self.inherited.borrow();
        let place = inherited
            .iter()
            .position(|(of, _)| std::ptr::eq(*of, template));
        let known = place.and_then(|at| {
            inherited[at]
                .1
                .iter()
                .find(|(of, _)| std::ptr::eq(*of, property))
        });
        if let Some((_, text)) = known {
            return cell.push_str(text);
        }
        drop(inherited);
        // The template may be of another class, with another property of this name.
        let text = self.cell(template, property.name);
        cell.push_str(&text);
        let mut inherited = self.inherited.borrow_mut();
        // Computing the text may have added texts of other templates, never of this one: chains of
        // templates have no loops.
        match place.and_then(|at| inherited.get_mut(at)) {
            Some((_, texts)) => texts.push((property, text)),
            None => inherited.push((template, vec![(property, text)])),
        }
    }

    /// Returns the label of a qube, if the store has it.
    pub fn label(&self, vm: &Vm) -> Option<&'a Label> {
        property::label(self.qubes, vm).ok()
    }

    /// Appends the gateway that the netvm of a qube provides.
    pub fn push_gateway(&self, cell: &mut String, vm: &Vm) {
        let Some(netvm) = property::netvm(self.qubes, vm, self.context.facts())
            .ok()
            .flatten()
        else {
            return;
        };
        if let Some((_, gateway)) = self
            .gateways
            .borrow()
            .iter()
            .find(|(of, _)| std::ptr::eq(*of, netvm))
        {
            return cell.push_str(gateway);
        }
        let gateway = self.cell(netvm, "gateway");
        cell.push_str(&gateway);
        self.gateways.borrow_mut().push((netvm, gateway));
    }

    /// Returns a property's text as upstream's client compares it: `None` if there is no such
    /// property, or it refers to no qube or has no number; empty for another missing text.
    pub fn python_text(&self, vm: &Vm, name: &str) -> String {
        const NONE: &str = "None";
        let Some(property) = Property::find(Scope::Class(&vm.class), name) else {
            return NONE.to_string();
        };
        match property::value(self.qubes, vm, property, self.context.facts()) {
            Ok(Value::None) if property.value_type.api_name() == "str" => String::new(),
            Ok(Value::None | Value::Qube(None)) | Err(_) => NONE.to_string(),
            Ok(value) => value.to_string(),
        }
    }

    /// Whether a property is true.
    pub fn is_true(&self, vm: &Vm, name: &str) -> bool {
        Property::find(Scope::Class(&vm.class), name)
            .is_some_and(|property| self.is_true_of(vm, property))
    }

    /// Whether a property that qubes of this class have is true.
    pub fn is_true_of(&self, vm: &Vm, property: &Property) -> bool {
        property::is_true(self.qubes, vm, property, self.context.facts())
    }

    /// Returns a property as JSON of its type; null if it has no value or does not exist.
    pub fn json(&self, vm: &Vm, name: &str) -> serde_json::Value {
        self.value(vm, name)
            .map(|value| value_json(&value))
            .unwrap_or_default()
    }

    /// Returns the power state of a qube. The first call reads the states of all qubes.
    pub fn state(&self, vm: &Vm) -> PowerState {
        self.context.facts().displayed_state(vm)
    }

    /// Returns why the power states of these qubes are not available, if they are not. Contacts the
    /// hypervisor.
    pub fn state_error(&self, names: &[&str]) -> Option<HypervisorError> {
        if self.context.system.is_offline() {
            return None;
        }
        if names.len() > MAX_SINGLE_QUERIES {
            return self.context.facts().states().err();
        }
        let why = |vm: &Vm| {
            self.context
                .facts()
                .live(vm)
                .err()
                .filter(|_| vm.class.is_local_guest())
        };
        names
            .iter()
            .find_map(|name| self.inspect(name, why).flatten())
    }

    /// Returns the present memory of a qube in MiB; `None` if it does not run.
    pub fn memory_mib(&self, vm: &Vm) -> Option<u64> {
        match vm.class {
            Class::AdminVM => self.value(vm, "maxmem").ok()?.as_int()?.try_into().ok(),
            Class::RemoteVM => Some(0),
            _ if self.context.system.is_offline() => None,
            _ => {
                let live = self
                    .context
                    .facts()
                    .live(vm)
                    .ok()
                    .flatten()
                    .filter(|l| l.state.is_active())?;
                Some(live.memory_kib / 1024)
            }
        }
    }

    /// Returns the qubes whose netvm is this one.
    pub fn clients(&self, vm: &Vm) -> Vec<&'a str> {
        let clients = self.clients.get_or_init(|| {
            let mut clients: HashMap<VmName, Vec<&'a str>> = HashMap::new();
            for name in self.qubes.names() {
                let netvm = self.inspect(name.as_str(), |client| self.value(client, "netvm"));
                if let Some(Ok(Value::Qube(Some(netvm)))) = netvm {
                    clients.entry(netvm).or_default().push(name.as_str());
                }
            }
            clients
        });
        clients.get(&vm.name).cloned().unwrap_or_default()
    }

    /// Returns the volumes of a qube on this machine without its kernel. Reads the disk, without
    /// locks.
    pub fn volumes(&self, vm: &Vm) -> Ref<'_, [VolumeUsage<'a>]> {
        self.volumes.for_qube(vm)
    }

    /// Returns one of these volumes.
    pub fn volume(&self, vm: &Vm, name: &str) -> Option<Ref<'_, VolumeUsage<'a>>> {
        let find = |volumes: &[VolumeUsage<'a>]| volumes.iter().position(|v| v.name == name);
        let volumes = self.volumes(vm);
        let at = find(&volumes)?;
        Some(Ref::map(volumes, |volumes| &volumes[at]))
    }

    /// Returns a warning for each pool that is nearly full. A pool whose size takes long to read
    /// (LVM) is included only if `asks_pools` says that its volumes are read anyway.
    pub fn pool_warnings(&self, asks_pools: bool) -> Vec<String> {
        self.volumes.pool_warnings(asks_pools)
    }
}

/// Returns a value as JSON of its type.
pub fn value_json(value: &Value) -> serde_json::Value {
    match value {
        Value::None | Value::Qube(None) => serde_json::Value::Null,
        Value::Bool(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Words(words) => json!(words),
        other => json!(other.to_string()),
    }
}
