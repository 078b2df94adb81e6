//! Renders domain XML from the built-in templates and the users' own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use minijinja::value::{Object, Serde, Value};
use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, Output, State, Template, UndefinedBehavior, context,
};

use super::HypervisorError;
use super::description::{BlockDevice, DomainDescription, HostDescription};
use super::uri::Family;
use crate::format::xml::character_reference;
use crate::fs::{chroot, text_file};

const XEN: &str = include_str!("../../templates/libvirt/xen.xml");
const QEMU: &str = include_str!("../../templates/libvirt/qemu.xml");
const DISK: &str = include_str!("../../templates/libvirt/disk.xml");
const DISK_NAME: &str = "libvirt/disk.xml";

/// The maximum number of template instructions; the built-in templates need about a thousand.
const MAX_STEPS: u64 = 200_000;

/// The maximum length of the XML, bytes: libvirt accepts no more.
const MAX_XML_BYTES: usize = 4 << 20;

/// The directories of the users' and the distribution's templates, in this order:
/// `/etc/qubes/templates`, `/usr/share/qubes/templates`.
#[derive(Debug, Clone)]
pub struct Templates {
    directories: [PathBuf; 2],
    /// The root directory of the templates' system; `None` if it is the host's own.
    root: Option<PathBuf>,
}

impl Templates {
    /// Uses the templates of these two directories: the user's come before the distribution's.
    pub fn new(users: impl Into<PathBuf>, distributions: impl Into<PathBuf>) -> Templates {
        Templates {
            directories: [users.into(), distributions.into()],
            root: None,
        }
    }

    /// Resolves the directories below `root`: no symbolic link leads out of it.
    pub fn below(self, root: Option<&Path>) -> Templates {
        Templates {
            root: root.map(Path::to_path_buf),
            ..self
        }
    }

    /// Renders the XML of a domain from the first template that exists (`docs/spec/r4-features.md`
    /// §6): `libvirt/FAMILY/by-name/QUBE.xml`, `libvirt/FAMILY-user.xml`,
    /// `libvirt/FAMILY-dist.xml`, `libvirt/FAMILY.xml`.
    ///
    /// The last one is built in. A file of the user replaces it, but a file of the distribution
    /// does not: that is upstream's own template, which calls Python.
    ///
    /// # Errors
    /// A template cannot be read, is invalid, or uses an unknown value. The error has its name and
    /// line.
    pub fn render(
        &self,
        family: Family,
        description: &DomainDescription,
        host: &HostDescription,
    ) -> Result<String, HypervisorError> {
        let names = [
            format!(
                "libvirt/{}/by-name/{}.xml",
                family.as_str(),
                description.qube
            ),
            format!("libvirt/{}-user.xml", family.as_str()),
            format!("libvirt/{}-dist.xml", family.as_str()),
            format!("libvirt/{}.xml", family.as_str()),
        ];
        let environment = self.build_environment();
        for name in &names {
            let template = match environment.get_template(name) {
                Ok(template) => template,
                Err(error) if error.kind() == ErrorKind::TemplateNotFound => continue,
                Err(error) => return Err(self.convert_error(name, &error)),
            };
            let vm = Value::from_object(Vm {
                fields: Value::from(Serde(description.clone())),
                features: Value::from_object(Features(description.features.clone())),
            });
            let rendered = render_bounded(
                &template,
                context! { vm, host => Value::from(Serde(*host)) },
            );
            return rendered.map_err(|error| self.convert_error(name, &error));
        }
        Err(HypervisorError::Template {
            template: names[3].clone(),
            reason: "no template has this name".to_string(),
        })
    }

    /// Renders the XML of a disk for a running domain from `libvirt/disk.xml`, the user's or the
    /// built-in one.
    ///
    /// # Errors
    /// The same as [`Templates::render`].
    pub fn render_disk(
        &self,
        family: Family,
        device: &BlockDevice,
    ) -> Result<String, HypervisorError> {
        let failed = |error: Error| self.convert_error(DISK_NAME, &error);
        let environment = self.build_environment();
        let template = environment.get_template(DISK_NAME).map_err(failed)?;
        let device = Value::from(Serde(device.clone()));
        render_bounded(&template, context! { device, family => family.as_str() }).map_err(failed)
    }

    /// Converts a template error to the one that users see, with the file and line of the template
    /// that failed: the first one or one that it extends.
    fn convert_error(&self, requested: &str, error: &Error) -> HypervisorError {
        // An error inside an extended template is wrapped; the innermost error has the position.
        let mut inner = error;
        while let Some(next) =
            std::error::Error::source(inner).and_then(|e| e.downcast_ref::<Error>())
        {
            inner = next;
        }
        let name = inner.name().unwrap_or(requested);
        let places = search_directories(&self.directories, name).iter();
        let files =
            places.filter_map(|directory| resolve_path(self.root.as_deref(), directory, name).ok());
        let file = files
            .into_iter()
            .find(|file| file.exists())
            .unwrap_or_else(|| PathBuf::from(name));
        let line = inner
            .line()
            .map(|line| format!(" line {line}"))
            .unwrap_or_default();
        let kind = inner.kind().to_string();
        let reason = match inner.kind() {
            ErrorKind::OutOfFuel => {
                format!("it takes more than {MAX_STEPS} steps; check for an endless loop")
            }
            ErrorKind::WriteFailure => format!("it writes more than {} MiB", MAX_XML_BYTES >> 20),
            _ => inner
                .detail()
                .map_or_else(|| kind.clone(), |detail| format!("{kind}: {detail}")),
        };
        let template = format!("{}{line}", file.display());
        HypervisorError::Template {
            template,
            reason: reason.replace('\n', " "),
        }
    }

    /// Builds the template engine with the limits, the XML escaping and the functions of templates.
    fn build_environment(&self) -> Environment<'static> {
        let (directories, root) = (self.directories.clone(), self.root.clone());
        let mut environment = Environment::new();
        environment.set_loader(move |name| load(&directories, root.as_deref(), name));
        environment.set_fuel(Some(MAX_STEPS));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("xml".into()));
        environment.set_formatter(write_escaped);
        environment.add_test("whole_number", |text: &str| text.parse::<i64>().is_ok());
        environment.add_function("bug", |text: Option<String>| -> Result<Value, Error> {
            Err(Error::new(
                ErrorKind::InvalidOperation,
                text.unwrap_or_else(|| "the template calls bug()".to_string()),
            ))
        });
        environment
    }
}

/// Renders a template to at most [`MAX_XML_BYTES`] bytes.
fn render_bounded(template: &Template<'_, '_>, context: Value) -> Result<String, Error> {
    let mut out = BoundedBuffer(Vec::new());
    template.render_captured_to(context, &mut out)?;
    String::from_utf8(out.0)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// A buffer that refuses more than [`MAX_XML_BYTES`] bytes.
struct BoundedBuffer(Vec<u8>);

impl io::Write for BoundedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_XML_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Loads the text of a template: the user's file, else the distribution's, else the built-in one.
fn load(
    directories: &[PathBuf; 2],
    root: Option<&Path>,
    name: &str,
) -> Result<Option<String>, Error> {
    // The name may come from a template or a qube: it must not lead out of the directory.
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Ok(None);
    }
    for directory in search_directories(directories, name) {
        match resolve_path(root, directory, name).and_then(|file| text_file::read(&file)) {
            Ok(text) => return Ok(Some(text)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(read_error(directory, name, &error)),
        }
    }
    Ok(built_in_template(name).map(str::to_string))
}

/// Returns the path of a template's file, with links resolved below `root`.
fn resolve_path(root: Option<&Path>, directory: &Path, name: &str) -> io::Result<PathBuf> {
    let file = directory.join(name);
    root.map_or_else(|| Ok(file.clone()), |root| chroot::resolve(root, &file))
}

/// Returns the built-in template of this name.
fn built_in_template(name: &str) -> Option<&'static str> {
    match name {
        "libvirt/xen.xml" => Some(XEN),
        "libvirt/qemu.xml" => Some(QEMU),
        DISK_NAME => Some(DISK),
        _ => None,
    }
}

/// Returns the directories to search for a template of this name: only the users' for a built-in
/// one.
fn search_directories<'a>(directories: &'a [PathBuf; 2], name: &str) -> &'a [PathBuf] {
    if built_in_template(name).is_some() {
        &directories[..1]
    } else {
        &directories[..]
    }
}

fn read_error(directory: &Path, name: &str, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("{}: {error}", directory.join(name).display()),
    )
}

/// Writes a value, escaped for XML text and attributes.
fn write_escaped(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(ErrorKind::UndefinedError, "the value is none"));
    }
    let text = value.to_string();
    if value.is_safe() || *state.auto_escape() == AutoEscape::None {
        return out.write_str(&text).map_err(Error::from);
    }
    for character in text.chars() {
        match character_reference(character) {
            // As upstream's template engine writes it.
            Some(_) if character == '\'' => out.write_str("&#39;"),
            Some(reference) => out.write_str(reference),
            None => out.write_char(character),
        }
        .map_err(Error::from)?;
    }
    Ok(())
}

/// The description as the templates' `vm`. Its features have the methods of upstream's, so that
/// users' templates keep working.
#[derive(Debug)]
struct Vm {
    fields: Value,
    features: Value,
}

impl Object for Vm {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "features" => Some(self.features.clone()),
            name => self
                .fields
                .get_attr(name)
                .ok()
                .filter(|value| !value.is_undefined()),
        }
    }
}

/// The features with the methods `get(name, default)` and `check_with_…(name, default)`. They
/// include inherited values already.
#[derive(Debug)]
struct Features(BTreeMap<String, String>);

impl Object for Features {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).map(Value::from)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let (name, default): (&str, Option<Value>) = minijinja::value::from_args(args)?;
        let found = self.0.get(name).map(Value::from);
        match method {
            "get" => Ok(found.or(default).unwrap_or_else(|| Value::from(()))),
            _ if method.starts_with("check_with_") => found.or(default).ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidOperation,
                    format!("there is no feature {name}"),
                )
            }),
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!("features have no method {method}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests;
