//! An element of an old store: its class, and its attributes as R3 interprets them
//! (`docs/spec/r3-model.md` §2, §3.1).

use std::borrow::Cow;

use crate::format::document::parse::diagnosis;
use crate::format::xml::tree::{ElementId, Tree};
use crate::model::boolean::{BooleanDialect, boolean_text};
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
    /// Returns the class of an element; `None` if it is unknown.
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

    /// The directory of its qubes' directories, below `/var/lib/qubes`.
    pub fn directory(self) -> &'static str {
        match self {
            OldClass::Template | OldClass::TemplateHvm => "vm-templates",
            OldClass::Admin | OldClass::Net | OldClass::Proxy => "servicevms",
            OldClass::App | OldClass::Hvm | OldClass::Disposable => "appvms",
        }
    }

    /// The label of qubes that have none.
    pub fn default_label(self) -> &'static str {
        match self {
            OldClass::Admin | OldClass::Template | OldClass::TemplateHvm => "black",
            _ => "red",
        }
    }

    /// The default memory, in MiB.
    pub fn default_memory(self) -> u32 {
        match self {
            OldClass::Admin | OldClass::Net | OldClass::Proxy => 300,
            OldClass::Hvm | OldClass::TemplateHvm => 512,
            OldClass::Template | OldClass::App | OldClass::Disposable => 400,
        }
    }
}

/// A reference to a qube by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference<'a> {
    Absent,
    None,
    To(Qid),
    /// Not a number.
    Bad(Cow<'a, str>),
}

/// One element of an old store.
pub(super) struct OldElement<'t, 'a> {
    tree: &'t Tree<'a>,
    /// The element; `None` for a dom0 that is not in the file.
    id: Option<ElementId>,
    pub class: OldClass,
    /// The number, once it is known to be unique.
    pub qid: Option<Qid>,
}

impl<'t, 'a> OldElement<'t, 'a> {
    /// Creates an element of a known class.
    pub fn new(tree: &'t Tree<'a>, id: ElementId, class: OldClass) -> OldElement<'t, 'a> {
        OldElement {
            tree,
            id: Some(id),
            class,
            qid: None,
        }
    }

    /// Creates the dom0 of a store without one: R1 and early R2 never wrote it.
    pub fn dom0(tree: &'t Tree<'a>) -> OldElement<'t, 'a> {
        OldElement {
            tree,
            id: None,
            class: OldClass::Admin,
            qid: None,
        }
    }

    /// Returns an attribute as it is in the file.
    pub fn raw(&self, name: &str) -> Option<Cow<'a, str>> {
        self.tree.attribute(self.id?, name)
    }

    /// Returns an attribute unless it is empty or `none`.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.raw(name)
            .filter(|t| !t.is_empty() && !t.eq_ignore_ascii_case("none"))
    }

    /// Returns a number; anything else is a diagnosis and counts as absent.
    pub fn number(&self, name: &str, diagnoses: &mut Vec<Diagnosis>) -> Option<u32> {
        let text = self.text(name)?;
        let number = text
            .parse()
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        if number.is_none() {
            diagnoses.push(diagnosis(format!(
                "{name}='{}' is not a number; the default is used",
                sanitize(&text)
            )));
        }
        number
    }

    /// Returns a flag; anything but true or false is a diagnosis and counts as absent.
    pub fn flag(&self, name: &str, default: bool, diagnoses: &mut Vec<Diagnosis>) -> bool {
        let Some(text) = self.raw(name) else {
            return default;
        };
        BooleanDialect::R3.parse(&text).unwrap_or_else(|| {
            diagnoses.push(diagnosis(format!(
                "{name}='{}' is neither True nor False; {} is used",
                sanitize(&text),
                boolean_text(default)
            )));
            default
        })
    }

    /// Returns the reference in an attribute.
    pub fn reference(&self, name: &str) -> Reference<'a> {
        parse_reference(self.raw(name))
    }

    /// Returns the class in R4. A reference to a template makes the qube an AppVM even if the
    /// template does not exist: the qube has no root volume of its own.
    pub fn r4_class(&self) -> Class {
        match (self.class, self.reference("template_qid")) {
            (OldClass::Admin, _) => Class::AdminVM,
            (OldClass::Template | OldClass::TemplateHvm, _) => Class::TemplateVM,
            (_, Reference::Absent | Reference::None) => Class::StandaloneVM,
            (_, Reference::To(_) | Reference::Bad(_)) => Class::AppVM,
        }
    }
}

/// Parses a reference to a qube by its number.
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

/// Makes an untrusted text safe to show in a message.
pub(super) fn sanitize(text: &str) -> String {
    text.chars()
        .take(60)
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect()
}
