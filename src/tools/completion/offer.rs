//! What completion offers for an argument.

use crate::model::Class;

/// What an argument can be.
#[derive(Debug)]
pub(crate) enum Offer<'a> {
    Nothing,
    /// Names of files, which the shell completes itself.
    Files,
    /// Fixed words.
    Words(Vec<String>),
    /// Several of these, separated by commas.
    List(Box<Offer<'a>>),
    /// The name of a pair `NAME=VALUE`.
    Name(Box<Offer<'a>>),
    /// The value of a pair with this name.
    Value(&'a str, Box<Offer<'a>>),
    Qubes(QubeSubset),
    Templates,
    /// Qubes from which disposables can be created.
    DisposableTemplates,
    Netvms,
    Labels,
    Classes,
    Pools,
    /// `VM:VOLUME` of every qube.
    Volumes,
    /// Revisions of one volume, `VM:VOLUME`.
    Revisions(&'a str),
    Tags,
    /// Tags of one qube.
    TagsOf(Option<&'a str>),
    /// Features of one qube, and other known ones.
    Features {
        of: Option<&'a str>,
        only_own: bool,
    },
    /// Services that are set for one qube, and others that its template supports.
    Services {
        of: Option<&'a str>,
        only_own: bool,
    },
    /// Properties that can be set when a qube is created.
    PropertiesOfClass(Class),
    ValuesOfClass {
        class: Class,
        property: &'a str,
    },
    /// Properties of a qube, or of the system.
    Properties {
        of: Option<&'a str>,
    },
    /// Values of one property.
    ValuesOf {
        of: Option<&'a str>,
        property: &'a str,
    },
    /// Copies of the store.
    Copies,
}

/// A subset of the qubes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QubeSubset {
    Any,
    ButDom0,
    ButRemote,
    /// Qubes with a domain on this machine.
    Guests,
    /// Guests without a record.
    Halted,
    /// Guests with a record; all guests if there is none.
    Running,
}

impl<'a> Offer<'a> {
    pub fn words(words: impl IntoIterator<Item = impl Into<String>>) -> Offer<'a> {
        Offer::Words(words.into_iter().map(Into::into).collect())
    }

    pub fn list(self) -> Offer<'a> {
        Offer::List(Box::new(self))
    }
}
