//! What a command line of qvm-create asks for.

use uuid::Uuid;

use super::arguments::CreateArguments;
use super::root_source::RootSource;
use crate::lifecycle::qube::{CreatedQube, InitialSettings};
use crate::lifecycle::volume::RootImage;
use crate::lifecycle::volume::images::{DataSource, ExistingImages};
use crate::lifecycle::{Context, LifecycleError, qube};
use crate::model::{Class, NewClone, NewQube, PoolChoice, Qubes, Scope, VmName};
use crate::tools::commands::prefs::find;
use crate::tools::commands::prefs::stored_text::stored_text;
use crate::tools::ui::failure::Failure;
use crate::tools::ui::hint::Hint;
use crate::tools::ui::invocation::Invocation;
use crate::tools::ui::pairs::{parse_pairs, parse_pool_choices};
use crate::tools::ui::progress::QubeProgress;
use crate::tools::ui::quoted::quoted;
use crate::tools::ui::suggestion::did_you_mean;

/// The arguments of a command line, checked as far as possible without the store.
#[derive(Debug)]
pub struct CreateRequest<'a> {
    /// `None` for a disposable that is named after its number.
    pub name: Option<&'a str>,
    class: Class,
    label: &'a str,
    template: Option<&'a str>,
    /// Each property once, with its last value.
    properties: Vec<(&'a str, &'a str)>,
    features: Vec<(&'a str, &'a str)>,
    pools: Vec<(&'a str, &'a str)>,
    all_pools: Option<&'a str>,
    pub root: Option<RootSource<'a>>,
    existing: ExistingImages,
}

impl<'a> CreateRequest<'a> {
    /// Checks in upstream's order (`docs/spec/r4-tools.md`, qvm-create).
    pub fn new(
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

    fn settings<'s>(&'s self, root: Option<RootImage<'s>>) -> InitialSettings<'s> {
        let source = self.root.as_ref().map(|root| DataSource {
            file: root.file,
            is_moved: root.is_moved,
        });
        InitialSettings {
            properties: &self.properties,
            features: &self.features,
            existing: self.existing,
            source,
            root,
        }
    }

    fn pools(&self) -> PoolChoice<'_> {
        PoolChoice {
            all: self.all_pools,
            by_volume: &self.pools,
        }
    }

    /// Creates the qube.
    pub fn create(
        &self,
        context: &Context,
        root: Option<RootImage<'_>>,
        progress: &QubeProgress<'_>,
    ) -> Result<CreatedQube, LifecycleError> {
        let settings = self.settings(root);
        let Some(name) = self.name else {
            let (template, label) = (self.template, self.label);
            return qube::create_disposable(context, template, label, self.pools(), settings);
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
    pub fn try_to_create(
        &self,
        context: &Context,
        root: Option<RootImage<'_>>,
    ) -> Result<(), LifecycleError> {
        let settings = self.settings(root);
        // A disposable without a name gets a free one.
        match self.creation(self.name.unwrap_or("disposable")) {
            Creation::Clone(new) => qube::preview_clone(context, &new, settings).map(drop),
            Creation::New(new) => qube::preview_creation(context, &new, settings).map(drop),
        }
    }

    fn creation<'w>(&'w self, name: &'w str) -> Creation<'w> {
        let uuid = Uuid::new_v4();
        let template = self.template.filter(|template| !template.is_empty());
        match template.filter(|_| self.class == Class::StandaloneVM) {
            Some(source) => Creation::Clone(NewClone {
                source,
                name,
                class: Some(&self.class),
                label: Some(self.label),
                pools: self.pools(),
                empty: match self.root {
                    Some(_) => &["private", "root"],
                    None => &["private"],
                },
                uuid,
                created_by: VmName::DOM0,
                ignore_errors: false,
            }),
            None => Creation::New(NewQube {
                class: self.class.clone(),
                name,
                label: self.label,
                template: self.template,
                pools: self.pools(),
                uuid,
                created_by: VmName::DOM0,
                auto_cleanup: false,
            }),
        }
    }

    /// Checks that the label exists.
    pub fn check_label(&self, qubes: &Qubes) -> Result<(), Failure> {
        // Upstream treats an empty value as missing.
        if self.label.is_empty() {
            return Err(Failure::usage("--label option is mandatory"));
        }
        if self.name == Some("") {
            return Err(Failure::usage("VMNAME is mandatory"));
        }
        // The number of a label has an error of its own.
        let is_number = self.label.bytes().all(|byte| byte.is_ascii_digit())
            && qubes.labels.find(self.label).is_some();
        if is_number || qubes.labels.get(self.label).is_some() {
            return Ok(());
        }
        let available: Vec<&str> = qubes.labels.iter().map(|l| &*l.name).collect();
        let text = format!(
            "no such label: {}; available: {}",
            quoted(self.label),
            available.join(", ")
        );
        Err(Failure::Usage(text).with_hint(did_you_mean(self.label, available).map(Hint::Text)))
    }
}

/// How a qube is created: a standalone one with a template is a clone of the template.
enum Creation<'a> {
    New(NewQube<'a>),
    Clone(NewClone<'a>),
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
