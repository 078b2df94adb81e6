//! qvm-create: creates a qube.

use std::fs::File;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use clap::Args;
use uuid::Uuid;

use super::prefs::{find, stored_text};
use crate::fs::errno_text;
use crate::lifecycle::qube::{CreatedQube, InitialSettings};
use crate::lifecycle::volume::images::{DataSource, ExistingImages};
use crate::lifecycle::volume::{self, RootImage};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{Class, NewClone, NewQube, PoolChoice, Qubes, Scope, VmName};
use crate::tools::completion::{self, Completer, Cursor, Offer};
use crate::tools::ui::arguments::{NotUpstream, OUTPUT_OPTIONS};
use crate::tools::ui::failure::{Failure, quoted};
use crate::tools::ui::hint::{self, Hint};
use crate::tools::ui::images::ExistingImagesOptions;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::pairs::{parse_pairs, parse_pool_choices};
use crate::tools::ui::progress::QubeProgress;
use crate::tools::ui::suggestion::did_you_mean;
use crate::tools::{Command, Run};

/// The exit code if a property cannot be set; there is no qube.
const EXIT_PROPERTY_FAILED: u8 = 2;
/// The exit code if the root volume cannot be filled; there is no qube.
const EXIT_ROOT_FAILED: u8 = 3;

/// `qvm-create`
pub const QVM_CREATE: Command = Command::of::<CreateArguments>("qvm-create", "Create a qube");

/// The arguments of qvm-create.
#[derive(Args)]
struct CreateArguments {
    #[command(flatten)]
    class: ClassOptions,
    /// Set this property of the new qube (can be repeated)
    #[arg(
        long,
        alias = "prop",
        value_name = "NAME=VALUE",
        add = Completer(complete_property)
    )]
    property: Vec<String>,
    /// Create this volume in this pool (can be repeated)
    #[arg(
        long,
        short,
        value_name = "VOLUME_NAME=POOL_NAME",
        add = completion::VOLUME_POOL
    )]
    pool: Vec<String>,
    /// Create every volume in this pool
    #[arg(short = 'P', value_name = "POOL_NAME", add = completion::POOLS)]
    all_pools: Option<String>,
    /// Template of the new qube (default: property default_template)
    #[arg(long, short, value_name = "VALUE", add = Completer(complete_template))]
    template: Option<String>,
    /// Label of the new qube (required)
    #[arg(long, short, value_name = "VALUE", add = completion::LABELS)]
    label: Option<String>,
    /// List the classes
    #[arg(long)]
    help_classes: bool,
    #[command(flatten)]
    root: RootOptions,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true)]
    no_root: bool,
    /// Only check whether the qube can be created
    #[arg(long, help_heading = OUTPUT_OPTIONS, add = NotUpstream)]
    dry_run: bool,
    #[command(flatten)]
    existing: ExistingImagesOptions,
    #[command(flatten)]
    r3: R3Switches,
    /// Name of the new qube; a disposable without a name is called dispN and removed when it stops
    #[arg(value_name = "VMNAME")]
    vmname: Option<String>,
}

/// Returns the class of the qube that a command line creates, for completion.
fn class_at(cursor: &Cursor) -> Class {
    if cursor.has(&["--standalone"]) {
        return Class::StandaloneVM;
    }
    if cursor.has(&["--disp"]) {
        return Class::DispVM;
    }
    let words = cursor.words.iter();
    let named = words
        .clone()
        .zip(words.clone().skip(1))
        .find_map(|(option, value)| {
            matches!(&**option, "-C" | "--class").then_some(value.as_str())
        });
    let named = named.or_else(|| words.clone().find_map(|word| word.strip_prefix("--class=")));
    named.map_or(Class::AppVM, Class::from_store)
}

fn complete_template<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    match class_at(cursor) {
        Class::DispVM => Offer::DisposableTemplates,
        _ => Offer::Templates,
    }
}

fn complete_property<'a>(cursor: &Cursor<'a>) -> Offer<'a> {
    let class = class_at(cursor);
    match cursor.current.split_once('=') {
        None => Offer::Name(Box::new(Offer::PropertiesOfClass(class))),
        Some((property, _)) => {
            Offer::Value(property, Box::new(Offer::ValuesOfClass { class, property }))
        }
    }
}

/// The class of the new qube.
#[derive(Args)]
struct ClassOptions {
    /// Class of the new qube (default: AppVM)
    #[arg(
        long,
        short = 'C',
        value_name = "CLS",
        add = completion::CLASSES
    )]
    class: Option<String>,
    /// Same as --class StandaloneVM
    #[arg(long)]
    standalone: bool,
    /// Same as --class DispVM, with label red as the default
    #[arg(long)]
    disp: bool,
}

impl ClassOptions {
    fn class(&self) -> Class {
        match &self.class {
            _ if self.standalone => Class::StandaloneVM,
            _ if self.disp => Class::DispVM,
            Some(text) => Class::from_store(text),
            None => Class::AppVM,
        }
    }
}

/// The file that fills the root volume.
#[derive(Args)]
#[group(multiple = false)]
struct RootOptions {
    /// Fill the root volume with a copy of this file
    #[arg(long, short = 'r', value_name = "FILENAME")]
    root_copy_from: Option<PathBuf>,
    /// Fill the root volume with this file and delete the file
    #[arg(long, short = 'R', value_name = "FILENAME")]
    root_move_from: Option<PathBuf>,
}

impl RootOptions {
    fn source(&self, class: &Class) -> Result<Option<RootSource<'_>>, Failure> {
        let (file, remove) = match (&self.root_copy_from, &self.root_move_from) {
            (Some(file), _) => (file, false),
            (None, Some(file)) => (file, true),
            (None, None) => return Ok(None),
        };
        let root = RootSource { file, remove };
        if !root.file.exists() {
            return Err(Failure::usage(
                "File pointed by --root-copy-from/--root-move-from does not exist",
            ));
        }
        if class.has_template() {
            return Err(Failure::usage(
                "--root-copy-from/--root-move-from used but this qube does not have own 'root' volume \
             (uses template's one)",
            ));
        }
        Ok(Some(root))
    }
}

/// The options of R3, which installers still use (`docs/spec/installer.md`).
#[derive(Args)]
struct R3Switches {
    /// Create a qube with provides_network and without a netvm
    #[arg(long, hide = true, add = NotUpstream)]
    net: bool,
    /// Create a qube with provides_network
    #[arg(long, hide = true, add = NotUpstream)]
    proxy: bool,
    /// Set feature internal, which hides the qube from menus
    #[arg(long, hide = true, add = NotUpstream)]
    internal: bool,
}

impl R3Switches {
    /// Returns the properties that the switches stand for.
    fn properties(&self) -> Vec<(&'static str, &'static str)> {
        let provides_network = self.net || self.proxy;
        let properties = [
            (provides_network, ("provides_network", "True")),
            (self.net, ("netvm", "")),
        ];
        let set = properties.into_iter().filter(|(is_set, _)| *is_set);
        set.map(|(_, property)| property).collect()
    }
}

impl Run for CreateArguments {
    fn run(self, call: &mut Invocation) -> Result<u8, Failure> {
        if self.help_classes {
            return Class::all()
                .try_for_each(|class| call.out.line(class.as_str()))
                .map(|()| 0);
        }
        let (code, generated_name) = create(call, &self)?;
        if let Some(name) = generated_name {
            // The name is printed nowhere else, and the user may have to remove the qube.
            let written = call.out.line(name.as_str()).and_then(|()| call.out.flush());
            written.map_err(|failure| match failure {
                Failure::Error(text) => Failure::Error(format!("{name} is created: {text}")),
                failure => failure,
            })?;
        }
        Ok(code)
    }
}

/// Creates the qube. Returns the exit code, and the name if it was generated.
fn create(call: &Invocation, arguments: &CreateArguments) -> Result<(u8, Option<VmName>), Failure> {
    let request = CreateRequest::new(call, arguments)?;
    let context = Context::new(call.system_with_progress()?);
    let qubes = context.read()?;
    check_label(&request, &qubes)?;
    drop(qubes);
    let file = match request
        .root
        .as_ref()
        .filter(|root| !arguments.dry_run || !root.is_pipe())
        .map(RootSource::open)
    {
        Some(Err(reason)) => {
            call.warn(
                "app",
                &format!("Error importing root volume (no VM created): {reason}"),
            );
            return Ok((EXIT_ROOT_FAILED, None));
        }
        opened => opened.transpose().unwrap_or_default(),
    };
    let progress = QubeProgress::new(&context, request.name.unwrap_or("disposable"));
    let root = file.as_ref().map(|file| RootImage {
        file,
        progress: &progress,
    });
    if arguments.dry_run {
        let refused = request.try_to_create(&context, root).err();
        return Ok((refused.map_or(0, |error| report_refusal(call, error)), None));
    }
    let created = match request.create(&context, root, &progress) {
        Ok(created) => created,
        Err(error) => return Ok((report_refusal(call, error), None)),
    };
    created.notes.iter().for_each(|note| call.warn("app", note));
    let name = created.name;
    if let Some((root, file)) = request
        .root
        .as_ref()
        .filter(|root| root.remove)
        .zip(file.as_ref())
        && let Err(error) = volume::images::remove_source(&context, root.file, file)
    {
        let (file, error) = (root.file.display(), hint::describe(&error));
        call.warn(
            "app",
            &format!("{name} is created with the data of {file}, which is not removed: {error}"),
        );
        return Ok((1, None));
    }
    Ok((0, request.name.is_none().then_some(name)))
}

/// Prints why the qube was not or would not be created, and returns the exit code.
fn report_refusal(call: &Invocation, error: LifecycleError) -> u8 {
    let app = |text: String| call.warn("app", &text);
    let code = match &error {
        LifecycleError::SettingsRefused(refused) => {
            for refused in refused {
                app(format!(
                    "Error setting {} (no VM created): {}",
                    refused.setting, refused.reason
                ));
            }
            return EXIT_PROPERTY_FAILED;
        }
        LifecycleError::NotImported { .. } => {
            app(format!(
                "Error importing root volume (no VM created): {}",
                call.error_text(&error)
            ));
            EXIT_ROOT_FAILED
        }
        error => {
            app(format!("Error creating VM: {}", call.error_text(error)));
            1
        }
    };
    call.hint_for(&error);
    code
}

fn check_label(request: &CreateRequest, qubes: &Qubes) -> Result<(), Failure> {
    // Upstream treats an empty value as missing.
    if request.label.is_empty() {
        return Err(Failure::usage("--label option is mandatory"));
    }
    if request.name == Some("") {
        return Err(Failure::usage("VMNAME is mandatory"));
    }
    // The number of a label has an error of its own.
    let is_number = request.label.bytes().all(|byte| byte.is_ascii_digit())
        && qubes.labels.find(request.label).is_some();
    if is_number || qubes.labels.get(request.label).is_some() {
        return Ok(());
    }
    let available: Vec<&str> = qubes.labels.iter().map(|l| &*l.name).collect();
    let text = format!(
        "no such label: {}; available: {}",
        quoted(request.label),
        available.join(", ")
    );
    Err(Failure::Usage(text).with_hint(did_you_mean(request.label, available).map(Hint::Text)))
}

/// The arguments of a command line, checked as far as possible without the store.
#[derive(Debug)]
struct CreateRequest<'a> {
    /// `None` for a disposable that is named after its number.
    name: Option<&'a str>,
    class: Class,
    label: &'a str,
    template: Option<&'a str>,
    /// Each property once, with its last value.
    properties: Vec<(&'a str, &'a str)>,
    features: Vec<(&'a str, &'a str)>,
    pools: Vec<(&'a str, &'a str)>,
    all_pools: Option<&'a str>,
    root: Option<RootSource<'a>>,
    existing: ExistingImages,
}

/// The file that fills the root volume.
#[derive(Debug)]
struct RootSource<'a> {
    file: &'a Path,
    remove: bool,
}

impl<'a> CreateRequest<'a> {
    /// Checks in upstream's order (`docs/spec/r4-tools.md`, qvm-create).
    fn new(
        call: &Invocation,
        arguments: &'a CreateArguments,
    ) -> Result<CreateRequest<'a>, Failure> {
        let given = parse_pairs(&arguments.property, |t| {
            format!("Invalid property token: {}", quoted(t))
        })?;
        let last = LastValue {
            call,
            given: &given,
        };
        let label = last.value("label", arguments.label.as_deref(), "label");
        let template = last.value("template", arguments.template.as_deref(), "template");
        let name = last.value("vmname", arguments.vmname.as_deref(), "name");
        let pools = parse_pool_choices(&arguments.pool)?;
        let class = arguments.class.class();
        let label = label.or(arguments.class.disp.then_some("red"));
        let label = label.ok_or_else(|| Failure::usage("--label option is mandatory"))?;
        if name.is_none() && class != Class::DispVM {
            return Err(Failure::usage("VMNAME is mandatory"));
        }
        let root = arguments.root.source(&class)?;
        let all_pools = arguments.all_pools.as_deref();
        let properties =
            initial_properties(&class, arguments.r3.properties().into_iter().chain(given));
        let internal = arguments.r3.internal.then_some(("internal", "1"));
        let features = internal.into_iter().collect();
        let existing = arguments.existing.choice();
        let request = CreateRequest {
            name,
            class,
            label,
            template,
            properties,
            features,
            pools,
            all_pools,
            root,
            existing,
        };
        request.check_adoption()?;
        Ok(request)
    }

    /// Refuses `--adopt-existing` for volumes that are not created empty.
    fn check_adoption(&self) -> Result<(), Failure> {
        let filled = if self.name.is_none() || self.class == Class::DispVM {
            "a disposable keeps no volumes"
        } else if self.class == Class::StandaloneVM && self.template.is_some() {
            "the volumes are copied from the template"
        } else if self.root.is_some() {
            "the root volume is filled with another file"
        } else {
            return Ok(());
        };
        match self.existing {
            ExistingImages::Adopt => Err(Failure::usage(format!(
                "--adopt-existing cannot be used here: {filled}"
            ))),
            ExistingImages::Refuse | ExistingImages::Discard => Ok(()),
        }
    }

    fn settings(&self) -> InitialSettings<'_> {
        let source = self.root.as_ref().map(|root| DataSource {
            file: root.file,
            is_moved: root.remove,
        });
        let (properties, features) = (&self.properties, &self.features);
        InitialSettings {
            properties,
            features,
            existing: self.existing,
            source,
            root: None,
        }
    }

    fn create(
        &self,
        context: &Context,
        root: Option<RootImage<'_>>,
        progress: &QubeProgress<'_>,
    ) -> Result<CreatedQube, LifecycleError> {
        let pools = PoolChoice {
            all: self.all_pools,
            by_volume: &self.pools,
        };
        let settings = InitialSettings {
            root,
            ..self.settings()
        };
        let Some(name) = self.name else {
            return qube::create_disposable(context, self.template, self.label, pools, settings);
        };
        match self.creation(name) {
            Creation::Clone(new) => {
                let clone = qube::clone(context, &new, settings, progress)?;
                Ok(CreatedQube {
                    name: clone.name,
                    notes: clone.notes,
                })
            }
            Creation::New(new) => qube::create(context, &new, settings),
        }
    }

    /// Checks whether the qube can be created with these properties, without creating it.
    fn try_to_create(
        &self,
        context: &Context,
        root: Option<RootImage<'_>>,
    ) -> Result<(), LifecycleError> {
        let settings = InitialSettings {
            root,
            ..self.settings()
        };
        // A disposable without a name gets a free one.
        match self.creation(self.name.unwrap_or("disposable")) {
            Creation::Clone(new) => qube::preview_clone(context, &new, settings).map(drop),
            Creation::New(new) => qube::preview_creation(context, &new, settings).map(drop),
        }
    }

    fn creation<'w>(&'w self, name: &'w str) -> Creation<'w> {
        let pools = PoolChoice {
            all: self.all_pools,
            by_volume: &self.pools,
        };
        let uuid = Uuid::new_v4();
        if let Some(source) = self
            .template
            .filter(|t| self.class == Class::StandaloneVM && !t.is_empty())
        {
            return Creation::Clone(NewClone {
                source,
                name,
                class: Some(&self.class),
                label: Some(self.label),
                pools,
                empty: if self.root.is_some() {
                    &["private", "root"]
                } else {
                    &["private"]
                },
                uuid,
                created_by: VmName::DOM0,
                ignore_errors: false,
            });
        }
        Creation::New(NewQube {
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

/// How a qube is created: a standalone one with a template is a clone of the template.
enum Creation<'a> {
    New(NewQube<'a>),
    Clone(NewClone<'a>),
}

impl RootSource<'_> {
    fn open(&self) -> Result<File, String> {
        File::open(self.file).map_err(|e| format!("{}: {}", self.file.display(), errno_text(&e)))
    }

    /// Whether opening it would wait for a writer.
    fn is_pipe(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|found| found.file_type().is_fifo())
    }
}

/// Finds the value of an argument that is also a property: as in upstream, the last one counts.
struct LastValue<'a, 'g> {
    call: &'g Invocation,
    given: &'g [(&'a str, &'a str)],
}

impl<'a> LastValue<'a, '_> {
    fn value(&self, id: &str, argument: Option<&'a str>, property: &str) -> Option<&'a str> {
        let positions = self
            .call
            .matches
            .indices_of("property")
            .into_iter()
            .flatten();
        let as_property = positions
            .zip(self.given)
            .filter(|(_, (name, _))| *name == property);
        let as_property = as_property
            .map(|(position, (_, text))| (position, *text))
            .last();
        let position = self.call.matches.index_of(id);
        let as_argument = position.zip(argument);
        as_property
            .into_iter()
            .chain(as_argument)
            .max_by_key(|(position, _)| *position)
            .map(|(_, text)| text)
    }
}

/// Returns the properties to set with their stored texts, each once with its last value.
fn initial_properties<'a>(
    class: &Class,
    given: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<(&'a str, &'a str)> {
    let mut properties: Vec<(&str, &str)> = Vec::new();
    for (name, text) in given.filter(|(name, _)| !matches!(*name, "label" | "template" | "name")) {
        // One that is unknown is refused with the others.
        let known =
            find(Scope::Class(class), name).map(|known| (known.name, stored_text(known, text)));
        let (name, text) = known.unwrap_or((name, text));
        properties.retain(|(earlier, _)| *earlier != name);
        properties.push((name, text));
    }
    properties
}
