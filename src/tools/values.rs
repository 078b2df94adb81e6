//! What qubes are worth, as tools show it: properties, power states, volumes, clients. Over one reading of the store;
//! the hypervisor is asked when a live fact is first wanted, once for all qubes.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::json;
use smol_str::{SmolStr, ToSmolStr};

use crate::hypervisor::HypervisorError;
use crate::lifecycle::Session;
use crate::model::volume::class_volumes;
use crate::model::{
    Class, Label, Pool, PowerState, Property, PropertyError, Qubes, ResolvedVolume, Scope, Value, Vm, VmName,
    VolumeConfig,
};
use crate::storage::{Driver, Drivers, Volume, fullness};

/// The words that make a feature true for listings.
pub fn is_truthy(feature: &str) -> bool {
    matches!(feature, "1" | "true" | "True")
}

/// What properties of one qube print as, for those that were asked for.
type Texts = Vec<(&'static str, Option<SmolStr>)>;

/// The driver of a pool, where there is one that can look.
type Looked = Option<Arc<dyn Driver>>;

/// A view on all qubes of one reading.
pub struct Values<'a> {
    qubes: &'a Qubes,
    session: &'a Session,
    clients: OnceCell<HashMap<VmName, Vec<&'a str>>>,
    drivers: RefCell<Drivers<'a>>,
    /// What became of each pool that was asked for.
    pools: RefCell<Vec<(SmolStr, Looked)>>,
    /// The directory that was looked for last, by its pool and its path there, and whether it is there.
    directory: RefCell<Option<(SmolStr, String, bool)>>,
    /// The gateway that each netvm offers.
    gateways: RefCell<HashMap<SmolStr, Option<SmolStr>>>,
    /// What each template gives to qubes that inherit: the texts of its properties, by their names.
    inherited: RefCell<HashMap<&'a str, Texts>>,
    /// The volumes of the qube that was asked for last: several columns show them.
    volumes: RefCell<Option<(VmName, Rc<[VolumeShown]>)>>,
}

/// One volume in a listing; bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeShown {
    pub name: SmolStr,
    pub pool: SmolStr,
    pub size: u64,
    /// What it takes on disk; 0 where that cannot be told.
    pub usage: u64,
}

impl<'a> Values<'a> {
    pub fn new(qubes: &'a Qubes, session: &'a Session) -> Values<'a> {
        Values {
            qubes,
            session,
            clients: OnceCell::new(),
            drivers: RefCell::new(Drivers::to_look(&qubes.pools, &session.system)),
            pools: RefCell::default(),
            directory: RefCell::default(),
            gateways: RefCell::default(),
            inherited: RefCell::default(),
            volumes: RefCell::default(),
        }
    }

    /// A qube for one look at it: a listing of a thousand needs none of them twice.
    pub fn glance(&self, name: &str) -> Option<Cow<'a, Vm>> {
        self.qubes.glance(name)
    }

    /// A qube that stays in memory.
    pub fn get(&self, name: &str) -> Option<&'a Vm> {
        self.qubes.get(name)
    }

    /// Whether qubes of this class have the property.
    pub fn has(&self, vm: &Vm, name: &str) -> bool {
        Property::find(Scope::Class(&vm.class), name).is_some()
    }

    /// A property as it is in effect.
    pub fn value(&self, vm: &Vm, name: &str) -> Result<Value, PropertyError> {
        self.qubes.value_of(vm, name, self.session)
    }

    /// A property's text; `None` when there is no such property, it cannot be read, or it has no value.
    pub fn text<'v>(&self, vm: &'v Vm, name: &str) -> Option<Cow<'v, str>> {
        if name == "name" {
            return Some(vm.name.as_str().into());
        }
        match self.value(vm, name) {
            Ok(Value::None | Value::Qube(None)) | Err(_) => None,
            Ok(Value::Text(text) | Value::Label(text) | Value::Pool(text)) => Some(text.into_string().into()),
            Ok(value) => Some(value.to_string().into()),
        }
    }

    /// [`Values::text`] for listings: what stands in the store as it is shown is not read, and what a template gives to
    /// its qubes is computed once.
    pub fn cell(&self, vm: &Vm, name: &str) -> Option<SmolStr> {
        if name == "name" {
            return Some(vm.name.as_str().into());
        }
        let property = Property::find(Scope::Class(&vm.class), name)?;
        match property.explicit(vm) {
            Some(text) if property.prints_as_stored(self.qubes, text) => return Some(text.into()),
            Some(_) => {}
            None => {
                if let Some(template) = self.qubes.inherits_from(vm, property, self.session) {
                    return self.given_by(template, property);
                }
            }
        }
        match self.qubes.value(vm, property, self.session).ok()? {
            Value::None | Value::Qube(None) => None,
            Value::Text(text) | Value::Label(text) | Value::Pool(text) => Some(text.into()),
            Value::Qube(Some(name)) => Some(name.as_str().into()),
            value => Some(value.to_smolstr()),
        }
    }

    /// What a template gives to qubes that inherit a property.
    fn given_by(&self, template: &'a Vm, property: &'static Property) -> Option<SmolStr> {
        let known = |texts: &Vec<(&str, Option<SmolStr>)>| {
            texts.iter().find(|(name, _)| *name == property.name).map(|(_, text)| text.clone())
        };
        if let Some(text) = self.inherited.borrow().get(template.name.as_str()).and_then(known) {
            return text;
        }
        let text = self.cell(template, property.name);
        self.inherited.borrow_mut().entry(template.name.as_str()).or_default().push((property.name, text.clone()));
        text
    }

    /// A qube's label, if it has one of the system's.
    pub fn label(&self, vm: &Vm) -> Option<&'a Label> {
        self.qubes.label(vm).ok()
    }

    /// The gateway that a qube's netvm offers.
    pub fn gateway(&self, vm: &Vm) -> Option<SmolStr> {
        let netvm = self.cell(vm, "netvm")?;
        if let Some(known) = self.gateways.borrow().get(&*netvm) {
            return known.clone();
        }
        let gateway = self.cell(self.qubes.get(&netvm)?, "gateway");
        self.gateways.borrow_mut().insert(netvm, gateway.clone());
        gateway
    }

    /// A property's text as upstream's client compares it: `None` for no value and also where there is no property.
    pub fn python_text(&self, vm: &Vm, name: &str) -> Option<String> {
        match self.value(vm, name) {
            Ok(Value::None | Value::Qube(None)) | Err(_) => Some("None".to_string()),
            Ok(value) => Some(value.to_string()),
        }
    }

    /// Whether a property is true.
    pub fn is_true(&self, vm: &Vm, name: &str) -> bool {
        matches!(self.value(vm, name), Ok(Value::Bool(true)))
    }

    /// A property with its own type; null when it has no value or the qube has no such property.
    pub fn json(&self, vm: &Vm, name: &str) -> serde_json::Value {
        self.value(vm, name).map(|value| json_of(&value)).unwrap_or_default()
    }

    /// What a qube is doing; all qubes' states come with the first question.
    pub fn state(&self, vm: &Vm) -> PowerState {
        self.session.shown_state(vm)
    }

    /// Why power states are not available, if they are not. Asks the hypervisor.
    pub fn why_states_are_unknown(&self) -> Option<HypervisorError> {
        if self.session.system.is_offline() {
            return None;
        }
        self.session.states().err()
    }

    /// MiB that a qube has now; `None` when it does not run.
    pub fn memory_mib(&self, vm: &Vm) -> Option<u64> {
        match vm.class {
            Class::AdminVM => self.value(vm, "maxmem").ok()?.as_int()?.try_into().ok(),
            Class::RemoteVM => Some(0),
            _ if self.session.system.is_offline() => None,
            _ => {
                let live = self.session.live(vm).ok().flatten().filter(|l| l.state.is_active())?;
                Some(live.memory_kib / 1024)
            }
        }
    }

    /// The qubes that get their network from this one.
    pub fn clients(&self, vm: &Vm) -> Vec<&'a str> {
        let clients = self.clients.get_or_init(|| {
            let mut clients: HashMap<VmName, Vec<&'a str>> = HashMap::new();
            for name in self.qubes.names() {
                if let Some(client) = self.glance(name.as_str())
                    && let Ok(Value::Qube(Some(netvm))) = self.value(&client, "netvm")
                {
                    clients.entry(netvm).or_default().push(name.as_str());
                }
            }
            clients
        });
        clients.get(&vm.name).cloned().unwrap_or_default()
    }

    /// The volumes a qube has on this machine, kernels left out. Looks at the disk, without locks.
    pub fn volumes(&self, vm: &Vm) -> Rc<[VolumeShown]> {
        if let Some((name, volumes)) = &*self.volumes.borrow()
            && *name == vm.name
        {
            return volumes.clone();
        }
        let volumes: Rc<[VolumeShown]> = self.volumes_on_disk(vm).into();
        self.volumes.replace(Some((vm.name.clone(), volumes.clone())));
        volumes
    }

    fn volumes_on_disk(&self, vm: &Vm) -> Vec<VolumeShown> {
        if !vm.class.is_local_guest() {
            return Vec::new();
        }
        let of_class = class_volumes(&vm.class);
        let further = vm.volumes.iter().map(VolumeConfig::name).filter(|n| of_class.iter().all(|v| v.name != *n));
        let names = of_class.iter().map(|v| v.name).chain(further).filter(|name| *name != "kernel");
        // A volume whose description is broken is nothing a listing stops at.
        let shown = |name| self.written_down(vm, name).or_else(|| self.resolved(vm, name));
        names.filter_map(shown).collect()
    }

    /// A volume that lies where nobody can look: then what the store says of it is all there is.
    fn written_down(&self, vm: &Vm, name: &str) -> Option<VolumeShown> {
        let own = self.qubes.written_down(vm, vm.volume(name)?)?;
        let is_elsewhere = own.pool.driver() != "linux-kernel" && self.is_elsewhere(own.pool.name(), own.vid?);
        is_elsewhere.then(|| VolumeShown { name: name.into(), pool: own.pool.name().into(), size: own.size, usage: 0 })
    }

    /// Whether nothing can be where a volume lies. The volumes of a qube share a directory, which is looked at once.
    fn is_elsewhere(&self, pool: &str, vid: &str) -> bool {
        let (Some(driver), Some((directory, _))) = (self.pool(pool), vid.rsplit_once('/')) else { return true };
        if let Some((of, known, is_there)) = &*self.directory.borrow()
            && (of.as_str(), known.as_str()) == (pool, directory)
        {
            return !is_there;
        }
        let file = driver.file(&Volume::orphan(pool, vid));
        // What is in no file is not for us to say.
        let is_there = !matches!(file, Ok(Some(file)) if file.parent().is_some_and(|parent| !parent.is_dir()));
        self.directory.replace(Some((pool.into(), directory.to_string(), is_there)));
        !is_there
    }

    fn resolved(&self, vm: &Vm, name: &str) -> Option<VolumeShown> {
        self.qubes.volume(vm, name, self.session).ok().map(|v| self.shown(vm, v))
    }

    fn shown(&self, vm: &Vm, volume: ResolvedVolume) -> VolumeShown {
        let (name, pool, size) = (volume.name.as_str().into(), SmolStr::new(&volume.pool), volume.size);
        // Neither is a pool of a driver we do not have, or a file that is missing.
        let usage = self.pool(&pool).and_then(|d| d.usage(&Volume::resolved(&vm.name, volume).ok()?).ok()).unwrap_or(0);
        VolumeShown { name, pool, size, usage }
    }

    /// What a person should hear before pools are full, each place once. A pool whose room takes long to tell (LVM has to
    /// be asked) has a line only where it was asked for its volumes anyway, and one whose room cannot be told has none.
    pub fn warnings_of_pools(&self, asks_pools: bool) -> Vec<String> {
        let is_asked = |pool: &&Pool| match pool.driver() {
            // Kernels lie where packages put them.
            "linux-kernel" => false,
            "lvm_thin" => asks_pools,
            _ => true,
        };
        let warnings = |pool: &Pool| {
            let told =
                fullness::warnings(pool.name(), &*self.pool(pool.name())?, self.session.system.nearly_full()).ok()?;
            // A pool inside another one's place has that one's room.
            let is_first = !told.is_empty() && self.session.pool_around(self.qubes, pool).is_none();
            is_first.then_some(told)
        };
        self.qubes.pools.iter().filter(is_asked).filter_map(warnings).flatten().collect()
    }

    fn pool(&self, name: &str) -> Looked {
        if let Some((_, known)) = self.pools.borrow().iter().find(|(pool, _)| pool == name) {
            return known.clone();
        }
        let driver = self.drivers.borrow_mut().get(name).ok();
        // LVM that cannot be asked is not asked for each volume.
        let is_on_lvm = self.qubes.pools.get(name).is_some_and(|pool| pool.driver() == "lvm_thin");
        let driver = driver.filter(|driver| !is_on_lvm || (self.session.has_lvm() && driver.capacity().is_ok()));
        self.pools.borrow_mut().push((name.into(), driver.clone()));
        driver
    }
}

/// A value with its own type.
pub fn json_of(value: &Value) -> serde_json::Value {
    match value {
        Value::None | Value::Qube(None) => serde_json::Value::Null,
        Value::Bool(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Words(words) => json!(words),
        other => json!(other.to_string()),
    }
}
