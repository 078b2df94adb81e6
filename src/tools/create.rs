//! qvm-create: creates a qube.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, value_parser};
use uuid::Uuid;

use super::arguments::{earlier, exclusive, flag, of_listing, value};
use super::failure::{Failure, quoted};
use super::hint::Hint;
use super::invocation::Invocation;
use super::prefs::{find, stored_text};
use super::progress::Bars;
use super::suggestion::did_you_mean;
use crate::fs::errno_text;
use crate::lifecycle::volume_data::NewLength;
use crate::lifecycle::{LifecycleError, Session};
use crate::model::{Class, CloneQube, NewQube, PoolChoice, PropertyError, Qubes, Scope, VmName};

/// The qube exists, but a property could not be set.
const PROPERTY_FAILED: u8 = 2;
/// The qube exists, but its root volume could not be filled.
const ROOT_FAILED: u8 = 3;

pub fn define(line: clap::Command) -> clap::Command {
    let root = |long, short, help| value(long, Some(short), "FILENAME", help).value_parser(value_parser!(PathBuf));
    let line = line
        .arg(value("class", Some('C'), "CLS", "the class of the new qube: AppVM when unsaid"))
        .arg(flag("standalone", None, "the same as --class StandaloneVM"))
        .arg(flag("disp", None, "the same as --class DispVM; red unless another label is given"))
        .arg(
            value("property", None, "NAME=VALUE", "set this property of the new qube (can be repeated)")
                .alias("prop")
                .action(ArgAction::Append),
        )
        .arg(
            value("pool", Some('p'), "VOLUME_NAME=POOL_NAME", "keep this volume in this pool (can be repeated)")
                .action(ArgAction::Append),
        )
        .arg(Arg::new("all-pools").short('P').value_name("POOL_NAME").help("keep every volume in this pool"))
        .arg(value("template", Some('t'), "VALUE", "the template it is based on"))
        .arg(value("label", Some('l'), "VALUE", "its label; must be given"))
        .arg(flag("help-classes", None, "list the classes"))
        .arg(root("root-copy-from", 'r', "fill the root volume with a copy of this file"))
        .arg(root("root-move-from", 'R', "fill the root volume with this file and remove it"))
        .arg(flag("no-root", None, "accepted, without effect").hide(true))
        .arg(of_listing(flag("dry-run", None, "only say whether it could be created so")))
        // R3's words, which installers still use (`spec/installer.md`).
        .arg(earlier("net", "a qube with network hardware: provides_network, netvm none"))
        .arg(earlier("proxy", "a qube between others and the network: provides_network"))
        .arg(earlier("internal", "not for menus: feature internal"))
        .arg(
            Arg::new("vmname")
                .value_name("VMNAME")
                .help("the name of the new qube; a disposable without one is disp1234 and goes when it stops"),
        );
    exclusive(line, "root", &["root-copy-from", "root-move-from"])
}

pub fn run(call: &mut Invocation) -> Result<u8, Failure> {
    if call.has("help-classes") {
        return Class::ALL.iter().try_for_each(|class| call.out.line(class.as_str())).map(|()| 0);
    }
    let (code, numbered) = create(call)?;
    if let Some(name) = numbered {
        call.out.line(name.as_str())?;
    }
    Ok(code)
}

/// Creates what the command line asks for. The exit code, and the name where it was not given.
fn create(call: &Invocation) -> Result<(u8, Option<VmName>), Failure> {
    let order = Order::of(call)?;
    let session = Session::new(call.system_with_bars()?);
    let qubes = session.read()?;
    check_label(&order, &qubes)?;
    drop(qubes);
    let app = |text: String| call.warn("app", &text);
    if call.has("dry-run") {
        let refused = order.try_to_create(&session).err();
        if let Some(error) = &refused {
            app(format!("Error creating VM: {}", call.in_words(error)));
            call.hint_for(error);
        }
        return Ok((u8::from(refused.is_some()), None));
    }
    let name = match order.create(&session, &Bars::new(&session, order.name.unwrap_or("disposable"))) {
        Ok(name) => name,
        Err(error) => {
            app(format!("Error creating VM: {}", call.in_words(&error)));
            call.hint_for(&error);
            return Ok((1, None));
        }
    };
    let numbered = order.name.is_none().then(|| name.clone());
    for (property, text) in &order.properties {
        if let Err(reason) = set(&session, &name, &order.class, property, text) {
            app(format!("Error setting property {property} (but VM created): {reason}"));
            return Ok((PROPERTY_FAILED, numbered));
        }
    }
    if call.has("internal")
        && let Err(reason) = session.set_feature(&name, "internal", "1")
    {
        app(format!("Error setting feature internal (but VM created): {reason}"));
        return Ok((PROPERTY_FAILED, numbered));
    }
    if let Some(root) = &order.root
        && let Err(reason) = root.import(&session, &name, &Bars::new(&session, name.as_str()))
    {
        app(format!("Error importing root volume (but VM created): {reason}"));
        return Ok((ROOT_FAILED, numbered));
    }
    Ok((0, numbered))
}

fn check_label(order: &Order, qubes: &Qubes) -> Result<(), Failure> {
    // Upstream takes an empty word for none at all.
    if order.label.is_empty() {
        return Err(Failure::usage("--label option is mandatory"));
    }
    if order.name == Some("") {
        return Err(Failure::usage("VMNAME is mandatory"));
    }
    // A number has an error of its own.
    if qubes.labels.named(order.label).is_some() || order.label.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    let available: Vec<&str> = qubes.labels.iter().map(|l| &*l.name).collect();
    let text = format!("no such label: {}; available: {}", quoted(order.label), available.join(", "));
    Err(Failure::Usage(text).with_hint(did_you_mean(order.label, available).map(Hint::Text)))
}

fn set(session: &Session, name: &VmName, class: &Class, property: &str, text: &str) -> Result<(), String> {
    let property =
        find(Scope::Class(class), property).map_err(|_| format!("no such property: {}", quoted(property)))?;
    session.set_property(name, property.name, stored_text(property, text)).map(drop).map_err(|e| e.to_string())
}

/// What the command line asks for, checked as far as it can be without the store.
#[derive(Debug)]
struct Order<'a> {
    /// A disposable may do without: it is called after its number.
    name: Option<&'a str>,
    class: Class,
    label: &'a str,
    template: Option<&'a str>,
    properties: Vec<(&'a str, &'a str)>,
    pools: Vec<(&'a str, &'a str)>,
    all_pools: Option<&'a str>,
    root: Option<RootImage<'a>>,
}

/// A file that becomes the root volume.
#[derive(Debug)]
struct RootImage<'a> {
    file: &'a Path,
    remove: bool,
}

impl<'a> Order<'a> {
    /// Checks in upstream's order (`spec/r4-tools.md`, qvm-create).
    fn of(call: &'a Invocation) -> Result<Order<'a>, Failure> {
        let mut properties = in_earlier_words(call);
        properties.extend(pairs(call.values("property"), |t| format!("Invalid property token: {}", quoted(t)))?);
        let form = |_: &str| "Pool argument must be of form: -p volume_name=pool_name".to_string();
        let pools = pairs(call.values("pool"), form)?;
        let class = match (call.has("standalone"), call.has("disp"), call.value("class")) {
            (true, _, _) => Class::StandaloneVM,
            (_, true, _) => Class::DispVM,
            (_, _, Some(text)) => Class::from_store(text),
            _ => Class::AppVM,
        };
        // Upstream's options for these three are the same as the properties of their names.
        let mut of_property = |name: &str| {
            let last = properties.iter().rev().find(|(property, _)| *property == name).map(|(_, text)| *text);
            properties.retain(|(property, _)| *property != name);
            last
        };
        let (label, template, name) = (of_property("label"), of_property("template"), of_property("name"));
        let label = call.value("label").or(label).or(call.has("disp").then_some("red"));
        let label = label.ok_or_else(|| Failure::usage("--label option is mandatory"))?;
        let name = call.value("vmname").or(name);
        if name.is_none() && class != Class::DispVM {
            return Err(Failure::usage("VMNAME is mandatory"));
        }
        let root = root_image(call, &class)?;
        let (template, all_pools) = (call.value("template").or(template), call.value("all-pools"));
        Ok(Order { name, class, label, template, properties, pools, all_pools, root })
    }

    fn create(&self, session: &Session, watcher: &Bars<'_>) -> Result<VmName, LifecycleError> {
        let pools = PoolChoice { all: self.all_pools, by_volume: &self.pools };
        let Some(name) = self.name else { return session.create_disposable(self.template, self.label, pools) };
        match self.wish(name) {
            Wish::Clone(wish) => session.clone_qube(&wish, watcher).map(|clone| clone.name),
            Wish::New(wish) => session.create(&wish),
        }
    }

    /// Whether it could be created so, properties among that; nothing is.
    fn try_to_create(&self, session: &Session) -> Result<(), LifecycleError> {
        // A disposable without a name gets one that fits.
        let (mut qubes, name) = match self.wish(self.name.unwrap_or("disposable")) {
            Wish::Clone(wish) => session.try_to_clone(&wish)?,
            Wish::New(wish) => session.try_to_create(&wish)?,
        };
        for (property, text) in &self.properties {
            let known = find(Scope::Class(&self.class), property);
            let known = known.map_err(|_| PropertyError::NoSuchProperty((*property).to_owned()))?;
            qubes.set_property(name.as_str(), known.name, stored_text(known, text), session)?;
        }
        Ok(())
    }

    fn wish<'w>(&'w self, name: &'w str) -> Wish<'w> {
        let pools = PoolChoice { all: self.all_pools, by_volume: &self.pools };
        let uuid = Uuid::new_v4();
        if let Some(source) = self.template.filter(|t| self.class == Class::StandaloneVM && !t.is_empty()) {
            return Wish::Clone(CloneQube {
                source,
                name,
                class: Some(&self.class),
                label: Some(self.label),
                pools,
                empty: if self.root.is_some() { &["private", "root"] } else { &["private"] },
                uuid,
                created_by: VmName::DOM0,
                ignore_errors: false,
            });
        }
        Wish::New(NewQube {
            class: self.class.clone(),
            name,
            label: self.label,
            template: self.template,
            pools,
            uuid,
            created_by: VmName::DOM0,
            auto_cleanup: false,
        })
    }
}

/// How a qube comes to be: a standalone one with a template is a clone of that.
enum Wish<'a> {
    New(NewQube<'a>),
    Clone(CloneQube<'a>),
}

impl RootImage<'_> {
    fn import(&self, session: &Session, name: &VmName, watcher: &Bars<'_>) -> Result<(), String> {
        let file = File::open(self.file).map_err(|e| format!("{}: {}", self.file.display(), errno_text(&e)))?;
        let imported = session.import_volume(name, "root", &file, NewLength::OfTheData, watcher);
        imported.map_err(|e| e.to_string())?;
        if self.remove {
            let gone = std::fs::remove_file(self.file);
            gone.map_err(|e| format!("{} is imported but not removed: {e}", self.file.display()))?;
        }
        Ok(())
    }
}

/// The properties that R3's switches stand for.
fn in_earlier_words(call: &Invocation) -> Vec<(&'static str, &'static str)> {
    let mut properties = Vec::new();
    if call.has("net") || call.has("proxy") {
        properties.push(("provides_network", "True"));
    }
    if call.has("net") {
        properties.push(("netvm", ""));
    }
    properties
}

pub(super) fn pairs(texts: Vec<&str>, wrong: impl Fn(&str) -> String) -> Result<Vec<(&str, &str)>, Failure> {
    texts.into_iter().map(|text| text.split_once('=').ok_or_else(|| Failure::usage(wrong(text)))).collect()
}

fn root_image<'a>(call: &'a Invocation, class: &Class) -> Result<Option<RootImage<'a>>, Failure> {
    let file = |id| call.given.get_one::<PathBuf>(id).map(PathBuf::as_path);
    let copied = file("root-copy-from").map(|file| RootImage { file, remove: false });
    let Some(root) = copied.or(file("root-move-from").map(|file| RootImage { file, remove: true })) else {
        return Ok(None);
    };
    if !root.file.exists() {
        return Err(Failure::usage("File pointed by --root-copy-from/--root-move-from does not exist"));
    }
    if matches!(class, Class::AppVM | Class::DispVM) {
        return Err(Failure::usage(
            "--root-copy-from/--root-move-from used but this qube does not have own 'root' volume (uses template's one)",
        ));
    }
    Ok(Some(root))
}
