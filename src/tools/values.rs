//! What qubes are worth, as tools show it: properties, power states, volumes, clients. Over one reading of the store;
//! the hypervisor is asked when a live fact is first wanted, once for all qubes.

use std::borrow::Cow;
use std::cell::{OnceCell, Ref, RefCell};
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::json;
use smol_str::{SmolStr, SmolStrBuilder, ToSmolStr};

use crate::hypervisor::HypervisorError;
use crate::lifecycle::Session;
use crate::model::volume::{ClassVolume, class_volumes};
use crate::model::{
    Class, Glance, Label, Pool, PowerState, Property, PropertyError, Qubes, ResolvedVolume, Scope, Value, Vm, VmName,
    VolumeConfig,
};
use crate::storage::{Driver, Drivers, Volume, fullness};

/// The words that make a feature true for listings.
pub fn is_truthy(feature: &str) -> bool {
    matches!(feature, "1" | "true" | "True")
}

/// What properties of one qube print as in others' cells, for those that were asked for.
type Texts = Vec<(&'static Property, Option<SmolStr>)>;

/// The driver of a pool, where there is one that can look.
type Looked = Option<Arc<dyn Driver>>;

/// A number as a cell.
pub fn number(number: impl itoa::Integer) -> SmolStr {
    SmolStr::new(itoa::Buffer::new().format(number))
}

/// An IPv4 address as a cell.
fn dotted(ip: Ipv4Addr) -> SmolStr {
    let mut text = SmolStrBuilder::new();
    for (at, byte) in ip.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(byte));
    }
    text.finish()
}

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
    /// What is not there: pools, with the beginning of the paths in them.
    missing: RefCell<Vec<(SmolStr, String)>>,
    /// The gateway that each netvm offers.
    gateways: RefCell<HashMap<SmolStr, Option<SmolStr>>>,
    /// The template of the qube that was asked for last.
    template: RefCell<Option<(VmName, Option<&'a Vm>)>>,
    /// What each template gives to qubes that inherit.
    inherited: RefCell<Vec<(&'a Vm, Texts)>>,
    /// The volumes of the qube that was asked for last: several columns show them.
    volumes: RefCell<(Option<VmName>, Vec<VolumeShown>)>,
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
            missing: RefCell::default(),
            gateways: RefCell::default(),
            template: RefCell::default(),
            inherited: RefCell::default(),
            volumes: RefCell::default(),
        }
    }

    /// A qube for one look at it: a listing of a thousand needs none of them twice.
    pub fn glance(&self, name: &str) -> Option<Glance<'a>> {
        self.qubes.glance(name)
    }

    /// [`Values::glance`] at many, one after the other.
    pub fn glance_at_each(&self, names: &[&str], look: impl FnMut(&Vm)) {
        self.qubes.glance_at_each(names, look);
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
            Ok(Value::Text(text) | Value::Label(text) | Value::Pool(text)) => Some(text.to_string().into()),
            Ok(value) => Some(value.to_string().into()),
        }
    }

    /// [`Values::text`] for listings: what stands in the store as it is shown is not read, and what a template gives to
    /// its qubes is computed once.
    pub fn cell(&self, vm: &Vm, name: &str) -> Option<SmolStr> {
        self.cell_of(vm, Property::find(Scope::Class(&vm.class), name)?)
    }

    /// [`Values::cell`] of a property that qubes of this class have.
    pub fn cell_of(&self, vm: &Vm, property: &'static Property) -> Option<SmolStr> {
        if property.name == "name" {
            return Some(vm.name.as_str().into());
        }
        let value = match property.explicit(vm) {
            Some(text) if property.prints_as_stored(self.qubes, text) => return Some(text.into()),
            Some(_) => self.qubes.value(vm, property, self.session),
            None => {
                if self.qubes.is_inherited(vm, property, self.session)
                    && let Some(template) = self.template(vm)
                {
                    return self.given_by(template, property);
                }
                self.qubes.default_value(vm, property, self.session)
            }
        };
        match value.ok()? {
            Value::None | Value::Qube(None) => None,
            Value::Text(text) | Value::Label(text) | Value::Pool(text) => Some(text),
            Value::Qube(Some(name)) => Some(name.as_str().into()),
            Value::Int(n) => Some(number(n)),
            Value::Ip4(ip) => Some(dotted(ip)),
            value => Some(value.to_smolstr()),
        }
    }

    /// A qube's template, if it has one that it can have.
    fn template(&self, vm: &Vm) -> Option<&'a Vm> {
        if let Some((_, template)) = self.template.borrow().as_ref().filter(|(of, _)| *of == vm.name) {
            return *template;
        }
        let template = self.qubes.template(vm).ok().flatten();
        self.template.replace(Some((vm.name.clone(), template)));
        template
    }

    /// What a template gives to qubes that inherit a property.
    fn given_by(&self, template: &'a Vm, property: &'static Property) -> Option<SmolStr> {
        let known =
            |texts: &Texts| texts.iter().find(|(of, _)| std::ptr::eq(*of, property)).map(|(_, text)| text.clone());
        let place = self.inherited.borrow().iter().position(|(of, _)| std::ptr::eq(*of, template));
        if let Some(text) = place.and_then(|at| known(&self.inherited.borrow().get(at)?.1)) {
            return text;
        }
        // The template may be of another class, with another property of this name.
        let text = self.cell(template, property.name);
        let mut inherited = self.inherited.borrow_mut();
        // Asking its template may have added others meanwhile, never this one: following templates ends.
        match place.and_then(|at| inherited.get_mut(at)) {
            Some((_, texts)) => texts.push((property, text.clone())),
            None => inherited.push((template, vec![(property, text.clone())])),
        }
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
        Property::find(Scope::Class(&vm.class), name).is_some_and(|property| self.is_true_of(vm, property))
    }

    /// Whether a property that qubes of this class have is true.
    pub fn is_true_of(&self, vm: &Vm, property: &Property) -> bool {
        let value = match property.explicit(vm) {
            Some("True") => return true,
            Some("False") => return false,
            Some(_) => self.qubes.value(vm, property, self.session),
            None => self.qubes.default_value(vm, property, self.session),
        };
        matches!(value, Ok(Value::Bool(true)))
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
    pub fn volumes(&self, vm: &Vm) -> Ref<'_, [VolumeShown]> {
        if self.volumes.borrow().0.as_ref() != Some(&vm.name) {
            let (_, mut volumes) = self.volumes.take();
            volumes.clear();
            self.look_at_volumes(vm, &mut volumes);
            self.volumes.replace((Some(vm.name.clone()), volumes));
        }
        Ref::map(self.volumes.borrow(), |(_, volumes)| volumes.as_slice())
    }

    fn look_at_volumes(&self, vm: &Vm, volumes: &mut Vec<VolumeShown>) {
        if !vm.class.is_local_guest() {
            return;
        }
        // A volume whose description is broken is nothing a listing stops at.
        let shown = |name, class, own: Option<&VolumeConfig>| {
            own.and_then(|own| self.written_down(name, class, own)).or_else(|| self.resolved(vm, name))
        };
        let of_class = class_volumes(&vm.class);
        // Nearly always they stand in the class's order.
        let own_at = |at: usize, name: &str| vm.volumes.get(at).filter(|own| own.name() == name);
        for (at, class) in of_class.iter().enumerate().filter(|(_, class)| class.name != "kernel") {
            let own = own_at(at, class.name).or_else(|| vm.volume(class.name));
            volumes.extend(shown(class.name, Some(class), own));
        }
        for (at, own) in vm.volumes.iter().enumerate() {
            let name = own.name();
            let is_in_order = of_class.get(at).is_some_and(|class| class.name == name);
            if !is_in_order && of_class.iter().all(|class| class.name != name) {
                volumes.extend(shown(name, None, Some(own)));
            }
        }
    }

    /// A volume that lies where nobody can look: then what the store says of it is all there is.
    fn written_down(&self, name: &str, class: Option<&ClassVolume>, own: &VolumeConfig) -> Option<VolumeShown> {
        let own = self.qubes.written_down(class, own)?;
        let is_elsewhere = own.pool.driver() != "linux-kernel" && self.is_elsewhere(own.pool.name(), own.vid?);
        is_elsewhere.then(|| VolumeShown { name: name.into(), pool: own.pool.name().into(), size: own.size, usage: 0 })
    }

    /// Whether nothing can be where a volume lies. The volumes of a qube share a directory, which is looked at once; and
    /// where the directory around it is missing as well, no other one in there is looked for.
    fn is_elsewhere(&self, pool: &str, vid: &str) -> bool {
        if self.missing.borrow().iter().any(|(of, path)| of == pool && vid.starts_with(path.as_str())) {
            return true;
        }
        let Some(driver) = self.pool(pool) else {
            self.missing.borrow_mut().push((pool.into(), String::new()));
            return true;
        };
        let Some((directory, _)) = vid.rsplit_once('/') else { return true };
        if let Some((of, known, is_there)) = &*self.directory.borrow()
            && (of.as_str(), known.as_str()) == (pool, directory)
        {
            return !is_there;
        }
        let file = driver.file(&Volume::orphan(pool, vid));
        // What is in no file is not for us to say.
        let missing = file.ok().flatten().and_then(|file| Some(file.parent()?.to_path_buf())).filter(|d| !d.is_dir());
        if let Some(missing) = &missing
            && let Some((around, _)) = directory.rsplit_once('/')
            && missing.parent().is_some_and(|parent| !parent.is_dir())
        {
            self.missing.borrow_mut().push((pool.into(), format!("{around}/")));
        }
        self.directory.replace(Some((pool.into(), directory.to_string(), missing.is_none())));
        missing.is_some()
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
