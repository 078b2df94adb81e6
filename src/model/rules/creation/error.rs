//! Why a qube cannot be created or cloned.

use crate::model::class::Class;
use crate::model::name::VmName;
use crate::model::property::{PropertyError, dispvm_template_error};
use crate::model::release::Release;
use crate::model::volume::VolumeError;

/// Why a qube cannot be created. Texts are upstream's where they are recorded
/// (`tests/data/r4/cli/qvm-create.txt`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreationError {
    /// The name breaks a rule for names of new qubes.
    #[error("{0}")]
    Name(#[from] crate::model::name::NameError),
    /// The name has a dot, and the release of the store is older than 4.3.
    #[error("VM name '{0}' has a dot, which Qubes OS {1} does not allow (since 4.3)")]
    DottedName(String, Release),
    /// A qube of this name exists.
    #[error("Qube already exists: {0}")]
    Exists(String),
    /// No label has this name.
    #[error("Label does not exist: {0}")]
    NoSuchLabel(String),
    /// The label consists of digits only; it must be a name.
    #[error("Label must not be a digit: '{0}'; a new qube's label is given by name")]
    LabelIsNumber(String),
    /// The template, or the source of a clone, does not exist.
    #[error("No such domain: '{0}'")]
    NoSuchTemplate(String),
    /// The template of an AppVM is not a TemplateVM.
    #[error("wrong VM class: domains['{template}'] is of type {class} and not TemplateVM")]
    WrongTemplate {
        /// The name of the unsuitable template.
        template: String,
        /// The class of the unsuitable template.
        class: Class,
    },
    /// `template_for_dispvms` of the qube is off, so a disposable cannot be based on it.
    #[error("{}", dispvm_template_error(.0))]
    NotDispvmTemplate(VmName),
    /// The request names no template, and the default one is not set.
    #[error(
        "no template given for '{vm}', and the system has no {property}; name one with --template"
    )]
    NoDefaultTemplate {
        /// The name of the new qube.
        vm: String,
        /// The property with the default: `default_template`, or `default_dispvm` for a disposable.
        property: &'static str,
    },
    /// The request names a template for a class that has none.
    #[error("a {class} has no template; leave --template out")]
    UnexpectedTemplate {
        /// The class of the new qube.
        class: Class,
    },
    /// Qubes of this class cannot be created: it is AdminVM or unknown.
    #[error("qubes of class '{0}' cannot be created")]
    UnsupportedClass(Class),
    /// The class is RemoteVM, and the release of the store is older than 4.3.
    #[error("Qubes OS {0} does not know remote qubes (since 4.3)")]
    RemoteNotSupported(Release),
    /// The source of a clone is an AdminVM.
    #[error("{0} cannot be cloned")]
    NotClonable(VmName),
    /// The clone would be a RemoteVM, and the source is not one.
    #[error(
        "'{source_qube}' is of class {class} and cannot be cloned as a RemoteVM, \
         which has neither volumes nor a domain"
    )]
    IncompatibleCloneClass {
        /// The name of the source.
        source_qube: VmName,
        /// The class of the source.
        class: Class,
    },
    /// The clone cannot have a setting of the source, and the request does not ignore errors.
    #[error("{0}")]
    UnclonedSetting(#[from] UnclonedSetting),
    /// The request names a pool that does not exist.
    #[error("Unknown storage pool {0}")]
    NoSuchPool(String),
    /// The request names a pool for a snapshot, which is always in the pool of its source.
    #[error(
        "volume '{volume}' of '{vm}' is a snapshot of its template's; its pool cannot be chosen"
    )]
    SnapshotPool {
        /// The name of the new qube.
        vm: String,
        /// The name of the volume.
        volume: String,
    },
    /// The pool of a volume of the new qube cannot hold it.
    #[error(
        "volume '{volume}' of '{vm}' cannot be in pool '{pool}': {rule}; \
         choose another with --pool {volume}=POOL"
    )]
    UnsuitablePool {
        /// The name of the new qube.
        vm: String,
        /// The name of the volume.
        volume: String,
        /// The name of the pool.
        pool: String,
        /// The rule that the volume breaks: `a kernel pool has no writable volumes`.
        rule: &'static str,
    },
    /// Every qid that the release loads is in use.
    #[error("cannot create another qube: all {max} numbers of Qubes OS {release} are in use")]
    NoFreeQid {
        /// The release of the store, which limits the numbers.
        release: Release,
        /// The highest qid that a new qube can get.
        max: u16,
    },
    /// Each of 100 random numbers is already the dispid of a disposable.
    #[error("cannot create another disposable: no free number found in 100 tries; remove some")]
    NoFreeDispid,
    /// A volume cannot be resolved, or the request names a pool for a volume of an unknown name.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A property that the new qube depends on cannot be read.
    #[error(transparent)]
    Property(#[from] PropertyError),
}

/// A setting of the source that the clone cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnclonedSetting {
    /// The value of an explicit property is not valid for the clone.
    #[error("Failed to set {property} property: {reason}")]
    Property {
        /// The name of the property.
        property: &'static str,
        /// The error of setting the value on the clone.
        reason: PropertyError,
    },
    /// The class of the source has no property of this name. It is left out without an error.
    #[error("Failed to set {0} property: Qubes OS does not know it")]
    UnknownProperty(String),
    /// The tag has invalid characters, and upstream does not load it.
    #[error("Failed to set tag '{0}': a tag is made of letters, digits, _ and -")]
    Tag(String),
}
