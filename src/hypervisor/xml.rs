//! Domain XML from templates: the built-in ones, and what users put over them.

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
use crate::fs::{chroot, text_file};

const XEN: &str = include_str!("../../templates/libvirt/xen.xml");
const QEMU: &str = include_str!("../../templates/libvirt/qemu.xml");
const DISK: &str = include_str!("../../templates/libvirt/disk.xml");
const DISK_NAME: &str = "libvirt/disk.xml";

/// As many instructions as a template may take; the built-in ones take about a thousand.
const MOST_STEPS: u64 = 200_000;

/// The longest text that libvirt takes, bytes.
const LONGEST: usize = 4 << 20;

/// Where users' and distributions' templates lie, the user's first: `/etc/qubes/templates`,
/// `/usr/share/qubes/templates`.
#[derive(Debug, Clone)]
pub struct Templates {
    directories: [PathBuf; 2],
    /// The `/` of the system whose templates these are, where that is not the machine's.
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

    /// Takes the directories for paths of the system at `root`: links in them do not lead out of
    /// it.
    pub fn below(self, root: Option<&Path>) -> Templates {
        Templates {
            root: root.map(Path::to_path_buf),
            ..self
        }
    }

    /// The XML of a domain by the first template there is (`docs/spec/r4-features.md` §6):
    /// `libvirt/FAMILY/by-name/QUBE.xml`, `libvirt/FAMILY-user.xml`, `libvirt/FAMILY-dist.xml`,
    /// `libvirt/FAMILY.xml`. The last one is built in; a file of the user's replaces it, one of the
    /// distribution's does not: there upstream's own template lies, which calls Python.
    ///
    /// # Errors
    /// A template that cannot be read, is not one, or asks for what there is not: with its name and
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
        let environment = self.environment();
        for name in &names {
            let template = match environment.get_template(name) {
                Ok(template) => template,
                Err(error) if error.kind() == ErrorKind::TemplateNotFound => continue,
                Err(error) => return Err(self.error(name, &error)),
            };
            let vm = Value::from_object(Vm {
                fields: Value::from(Serde(description.clone())),
                features: Value::from_object(Features(description.features.clone())),
            });
            let rendered = write_out(
                &template,
                context! { vm, host => Value::from(Serde(*host)) },
            );
            return rendered.map_err(|error| self.error(name, &error));
        }
        Err(HypervisorError::Template {
            template: names[3].clone(),
            reason: "there is no such template".to_string(),
        })
    }

    /// The XML of a disk for a domain that runs already: `libvirt/disk.xml`, the user's or the
    /// built-in one.
    ///
    /// # Errors
    /// As of [`Templates::render`].
    pub fn render_disk(
        &self,
        family: Family,
        device: &BlockDevice,
    ) -> Result<String, HypervisorError> {
        let failed = |error: Error| self.error(DISK_NAME, &error);
        let environment = self.environment();
        let template = environment.get_template(DISK_NAME).map_err(failed)?;
        let device = Value::from(Serde(device.clone()));
        write_out(&template, context! { device, family => family.as_str() }).map_err(failed)
    }

    /// The error a user sees: the file of the template that failed (an override or what it
    /// extends), the line, the words.
    fn error(&self, asked_for: &str, error: &Error) -> HypervisorError {
        // An error inside an extended template is wrapped; the innermost one knows the place.
        let mut inner = error;
        while let Some(next) =
            std::error::Error::source(inner).and_then(|e| e.downcast_ref::<Error>())
        {
            inner = next;
        }
        let name = inner.name().unwrap_or(asked_for);
        let places = searched(&self.directories, name).iter();
        let files =
            places.filter_map(|directory| located(self.root.as_deref(), directory, name).ok());
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
                format!("it takes more than {MOST_STEPS} steps: does a loop not end?")
            }
            ErrorKind::WriteFailure => format!("it writes more than {} MiB", LONGEST >> 20),
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

    fn environment(&self) -> Environment<'static> {
        let (directories, root) = (self.directories.clone(), self.root.clone());
        let mut environment = Environment::new();
        environment.set_loader(move |name| load(&directories, root.as_deref(), name));
        environment.set_fuel(Some(MOST_STEPS));
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Custom("xml".into()));
        environment.set_formatter(write_for_xml);
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

/// What a template writes, at most [`LONGEST`] bytes.
fn write_out(template: &Template<'_, '_>, context: Value) -> Result<String, Error> {
    let mut out = Bounded(Vec::new());
    template.render_captured_to(context, &mut out)?;
    String::from_utf8(out.0)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))
}

/// Takes [`LONGEST`] bytes and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The text of a template: the user's file, the distribution's, the built-in one.
fn load(
    directories: &[PathBuf; 2],
    root: Option<&Path>,
    name: &str,
) -> Result<Option<String>, Error> {
    // A name comes from a template or from a qube's name: it stays below the directory.
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Ok(None);
    }
    for directory in searched(directories, name) {
        match located(root, directory, name).and_then(|file| text_file::read(&file)) {
            Ok(text) => return Ok(Some(text)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(unreadable(directory, name, &error)),
        }
    }
    Ok(built_in(name).map(str::to_string))
}

fn located(root: Option<&Path>, directory: &Path, name: &str) -> io::Result<PathBuf> {
    let file = directory.join(name);
    root.map_or_else(|| Ok(file.clone()), |root| chroot::resolve(root, &file))
}

/// The template of this name that needs no file.
fn built_in(name: &str) -> Option<&'static str> {
    match name {
        "libvirt/xen.xml" => Some(XEN),
        "libvirt/qemu.xml" => Some(QEMU),
        DISK_NAME => Some(DISK),
        _ => None,
    }
}

/// Where a template of this name is looked for.
fn searched<'a>(directories: &'a [PathBuf; 2], name: &str) -> &'a [PathBuf] {
    if built_in(name).is_some() {
        &directories[..1]
    } else {
        &directories[..]
    }
}

fn unreadable(directory: &Path, name: &str, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!("{}: {error}", directory.join(name).display()),
    )
}

/// Writes a value into XML, in text or in an attribute.
fn write_for_xml(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_none() {
        return Err(Error::new(
            ErrorKind::UndefinedError,
            "there is no value here",
        ));
    }
    let text = value.to_string();
    if value.is_safe() || *state.auto_escape() == AutoEscape::None {
        return out.write_str(&text).map_err(Error::from);
    }
    for character in text.chars() {
        match character {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            // An attribute's line breaks would be read back as blanks.
            '\n' | '\r' | '\t' => write!(out, "&#{};", u32::from(character)),
            _ => out.write_char(character),
        }
        .map_err(Error::from)?;
    }
    Ok(())
}

/// The description, with features that answer as upstream's do, so that users' templates keep
/// working.
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

/// `features.get(name, default)` and `features.check_with_…(name, default)`: the caller has looked
/// up the chain already.
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
