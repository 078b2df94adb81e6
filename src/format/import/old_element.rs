//! One element of an old store: its class, and its attributes as R3 understands them
//! (`docs/spec/r3-model.md` §2, §3.1).

use std::borrow::Cow;

use super::super::reader::diagnosis;
use super::super::tree::{ElementId, Tree};
use crate::model::{Class, Diagnosis, Qid};

/// The classes of R1 to R3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OldClass {
    Admin,
    Template,
    TemplateHvm,
    App,
    Hvm,
    Net,
    Proxy,
    Disposable,
}

impl OldClass {
    pub fn from_element(name: &str) -> Option<OldClass> {
        Some(match name {
            "QubesAdminVm" => OldClass::Admin,
            "QubesTemplateVm" => OldClass::Template,
            "QubesTemplateHVm" => OldClass::TemplateHvm,
            "QubesAppVm" => OldClass::App,
            "QubesHVm" => OldClass::Hvm,
            "QubesNetVm" => OldClass::Net,
            "QubesProxyVm" => OldClass::Proxy,
            "QubesDisposableVm" => OldClass::Disposable,
            _ => return None,
        })
    }

    pub fn is_hvm(self) -> bool {
        matches!(self, OldClass::Hvm | OldClass::TemplateHvm)
    }

    pub fn is_template(self) -> bool {
        matches!(self, OldClass::Template | OldClass::TemplateHvm)
    }

    pub fn provides_network(self) -> bool {
        matches!(self, OldClass::Net | OldClass::Proxy)
    }

    /// Where its qubes' directories lie, below `/var/lib/qubes`.
    pub fn directory(self) -> &'static str {
        match self {
            OldClass::Template | OldClass::TemplateHvm => "vm-templates",
            OldClass::Admin | OldClass::Net | OldClass::Proxy => "servicevms",
            OldClass::App | OldClass::Hvm | OldClass::Disposable => "appvms",
        }
    }

    pub fn default_label(self) -> &'static str {
        match self {
            OldClass::Admin | OldClass::Template | OldClass::TemplateHvm => "black",
            _ => "red",
        }
    }

    /// MiB.
    pub fn default_memory(self) -> u32 {
        match self {
            OldClass::Admin | OldClass::Net | OldClass::Proxy => 300,
            OldClass::Hvm | OldClass::TemplateHvm => 512,
            OldClass::Template | OldClass::App | OldClass::Disposable => 400,
        }
    }
}

/// What an attribute that names a qube by its number says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Absent,
    None,
    To(Qid),
    /// No number.
    Bad(Cow<'a, str>),
}

/// One element.
pub(super) struct OldElement<'t, 'a> {
    tree: &'t Tree<'a>,
    /// None for a dom0 that does not stand in the file.
    id: Option<ElementId>,
    pub class: OldClass,
    /// The number, once it is known to be this qube's alone.
    pub qid: Option<Qid>,
}

impl<'t, 'a> OldElement<'t, 'a> {
    pub fn new(tree: &'t Tree<'a>, id: ElementId, class: OldClass) -> OldElement<'t, 'a> {
        OldElement {
            tree,
            id: Some(id),
            class,
            qid: None,
        }
    }

    /// The dom0 of a store that has none: R1 and the early R2 never wrote it.
    pub fn dom0(tree: &'t Tree<'a>) -> OldElement<'t, 'a> {
        OldElement {
            tree,
            id: None,
            class: OldClass::Admin,
            qid: None,
        }
    }

    /// An attribute as it stands there.
    pub fn raw(&self, name: &str) -> Option<Cow<'a, str>> {
        self.tree.attribute(self.id?, name)
    }

    /// An attribute that says something: not absent, not empty, not `none`.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name)
            .filter(|t| !t.is_empty() && !t.eq_ignore_ascii_case("none"))
    }

    /// A number; what is none is a diagnosis and counts as absent.
    pub fn number(&self, name: &str, diagnoses: &mut Vec<Diagnosis>) -> Option<u32> {
        let text = self.text(name)?;
        let number = text
            .parse()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        if number.is_none() {
            diagnoses.push(diagnosis(format!(
                "{name}='{}' is no number; the default is used",
                sanitize(&text)
            )));
        }
        number
    }

    /// True or false; what is neither is a diagnosis and counts as absent.
    pub fn flag(&self, name: &str, default: bool, diagnoses: &mut Vec<Diagnosis>) -> bool {
        match self.raw(name) {
            None => default,
            Some(t) if t.eq_ignore_ascii_case("true") || t == "1" => true,
            Some(t)
                if ["", "0", "false", "none"]
                    .iter()
                    .any(|f| t.eq_ignore_ascii_case(f)) =>
            {
                false
            }
            Some(t) => {
                let used = if default { "True" } else { "False" };
                let text = format!(
                    "{name}='{}' is neither True nor False; {used} is used",
                    sanitize(&t)
                );
                diagnoses.push(diagnosis(text));
                default
            }
        }
    }

    pub fn reference(&self, name: &str) -> Reference<'a> {
        parse_reference(self.raw(name))
    }

    /// The class it has in R4. An attribute that names a template makes it an AppVM even where
    /// there is no such template: it has no root volume of its own.
    pub fn r4_class(&self) -> Class {
        match (self.class, self.reference("template_qid")) {
            (OldClass::Admin, _) => Class::AdminVM,
            (OldClass::Template | OldClass::TemplateHvm, _) => Class::TemplateVM,
            (_, Reference::Absent | Reference::None) => Class::StandaloneVM,
            (_, Reference::To(_) | Reference::Bad(_)) => Class::AppVM,
        }
    }
}

/// What a text that names a qube by its number says.
pub(super) fn parse_reference(text: Option<Cow<'_, str>>) -> Reference<'_> {
    let Some(text) = text else {
        return Reference::Absent;
    };
    if text.is_empty() || text.eq_ignore_ascii_case("none") {
        return Reference::None;
    }
    match text
        .parse()
        .ok()
        .and_then(Qid::new)
        .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
    {
        Some(qid) => Reference::To(qid),
        None => Reference::Bad(text),
    }
}

/// A text from a file that may be anything, as it can stand in a line for a person.
pub(super) fn sanitize(text: &str) -> String {
    text.chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}
