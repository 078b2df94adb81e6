//! The error type of the operations on qubes.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

use crate::exec::ExecError;
use crate::hypervisor::HypervisorError;
use crate::lifecycle::qube::{RefusedSetting, StartError};
use crate::model::VmName;
use crate::storage::StorageError;
use crate::store::StoreError;
use crate::system::SystemError;

/// The error of an operation on qubes: one line for the user. The tool prefixes the name of the
/// qube, or the text contains it.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The system's paths or configuration.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Reading, locking or saving the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Pools and volumes.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The hypervisor.
    #[error(transparent)]
    Hypervisor(#[from] HypervisorError),
    /// Another program.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A property.
    #[error(transparent)]
    Property(#[from] crate::model::PropertyError),
    /// A feature.
    #[error(transparent)]
    Feature(#[from] crate::model::FeatureError),
    /// A tag.
    #[error(transparent)]
    Tag(#[from] crate::model::TagError),
    /// A pool of the store.
    #[error(transparent)]
    Pool(#[from] crate::model::PoolError),
    /// An option of a volume.
    #[error(transparent)]
    VolumeOption(#[from] crate::model::VolumeChangeError),
    /// An operation on `QUBE:VOLUME` was refused.
    #[error("{volume}: {reason}")]
    VolumeRefused {
        /// The volume, as `QUBE:VOLUME`.
        volume: String,
        /// Why the operation is refused.
        reason: String,
    },
    /// Upstream's message; the tool adds what to do about it.
    #[error("Refusing to shrink volume {volume} from {now} to {bytes} bytes.")]
    WouldShrink {
        /// The volume, as `QUBE:VOLUME`.
        volume: String,
        /// Current size in bytes.
        now: u64,
        /// Requested size in bytes, less than `now`.
        bytes: u64,
    },
    /// The operation is for templates.
    #[error("{qube} is not a template, but of class {class}")]
    NotATemplate {
        /// The qube on which the operation was requested.
        qube: VmName,
        /// Class of the qube.
        class: crate::model::Class,
    },
    /// Upstream's message.
    #[error("No snapshots available")]
    NoRevision,
    /// An import into `QUBE:VOLUME` failed; the volume keeps its data.
    #[error("{volume}: nothing was imported: {reason}")]
    NotImported {
        /// The volume, as `QUBE:VOLUME`.
        volume: String,
        /// Why the import failed.
        reason: String,
        /// The storage error behind `reason`, if it was one.
        #[source]
        source: Option<Box<crate::storage::StorageError>>,
    },
    /// A change was made, but a power loss may take it back. It must not be repeated.
    #[error("{volume} {state}, but {source}")]
    NotDurable {
        /// The volume, as `QUBE:VOLUME`.
        volume: String,
        /// What was changed, as a predicate of the volume.
        state: &'static str,
        /// Why the change is not proven durable.
        source: Box<StorageError>,
    },
    /// Revisions were deleted to make room for the store, and there still is none.
    #[error(
        "{volume}: its option is not set, though {revisions} of its revisions are deleted: \
         {source}; make room on the disk and run the command again"
    )]
    RevisionsDeleted {
        /// The volume, as `QUBE:VOLUME`.
        volume: String,
        /// Number of revisions that were deleted.
        revisions: usize,
        /// Why the store could not be saved.
        source: Box<LifecycleError>,
    },
    /// The images of a removed qube were deleted to make room for the store, and there still is
    /// none.
    #[error("{qube} is not removed, though its images are deleted: {source}")]
    ImagesDeleted {
        /// The qube, which is still in the store.
        qube: VmName,
        /// Why the store could not be saved.
        source: Box<LifecycleError>,
        /// Whether the record of the qube says so, and the removal is completed once there is
        /// space.
        is_recorded: bool,
    },
    /// Two volumes have the same image, so an operation on one would affect the other.
    #[error("cannot {verb}: volume {volume} has the image of volume {owner}")]
    ImageOwned {
        /// The refused operation with its object, as it follows "cannot".
        verb: String,
        /// The volume of the operation, as `QUBE:VOLUME`.
        volume: String,
        /// The other volume with this image, as `QUBE:VOLUME`.
        owner: String,
    },
    /// An image cannot be moved into a new qube.
    #[error(
        "cannot move {file}: {reason}",
        file = file.display()
    )]
    NotMovable {
        /// The file that was to be moved; it is kept.
        file: PathBuf,
        /// Why the file cannot be moved.
        reason: String,
    },
    /// The source of a new volume is where the volume's own image would be.
    #[error("cannot create {qube} with the data of {file}: {reason}", file = file.display())]
    SourceInPlace {
        /// The qube that was to be created.
        qube: VmName,
        /// The file with the data.
        file: PathBuf,
        /// Which volume will have its image there.
        reason: String,
    },
    /// Two qubes have the same directory, so their files beside the images would be the same.
    #[error("cannot {verb}: {directory} is the directory of {owner}, too")]
    DirectoryOwned {
        /// The refused operation with its object, as it follows "cannot".
        verb: String,
        /// Path of the shared directory.
        directory: String,
        /// The other qube with this directory.
        owner: String,
    },
    /// The images of some volume cannot be located, so it is unknown which are orphans.
    #[error("cannot remove orphans: {reason}, so what looks like an orphan may be its image")]
    OrphansUnknown {
        /// Which images cannot be located, and why.
        reason: String,
    },
    /// An image that a new qube would overwrite holds data.
    #[error("cannot create {qube}: {image} holds data, and no qube of the store owns it")]
    ImageHoldsData {
        /// The qube that was to be created.
        qube: VmName,
        /// Path of the image, or `GROUP/NAME` of a logical volume.
        image: String,
    },
    /// Notes about a qube.
    #[error(transparent)]
    Notes(#[from] crate::model::NotesError),
    /// The notes changed while they were edited.
    #[error("the notes of {qube} were changed by somebody else meanwhile")]
    NotesChanged {
        /// The qube whose notes were edited.
        qube: VmName,
    },
    /// The rules of a creation.
    #[error(transparent)]
    Creation(#[from] crate::model::CreationError),
    /// Settings of a new qube were refused; it was not created.
    #[error("{}", join_refusals(.0))]
    SettingsRefused(Vec<RefusedSetting>),
    /// The rules of a removal.
    #[error(transparent)]
    Removal(#[from] crate::model::RemovalError),
    /// The pools of a new qube changed between the decision and the creation.
    #[error("cannot create {qube}: its pools were changed meanwhile; run the command again")]
    ChangedMeanwhile {
        /// The qube that was to be created.
        qube: VmName,
    },
    /// The qube does not exist. Upstream's message.
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    /// The store has damage that a change leaves as it is.
    #[error(
        "{store}: qubesd would refuse it: {damage}; that was not changed",
        store = store.display()
    )]
    Damaged {
        /// Path of the store.
        store: PathBuf,
        /// What is wrong with the store, in one line.
        damage: String,
    },
    /// Operations on images need a store of R4.
    #[error(
        "cannot use {store}: it was written by Qubes R3 or older",
        store = store.display()
    )]
    NotConverted {
        /// Path of the store.
        store: PathBuf,
    },
    /// Upstream's message.
    #[error("Domain is already running")]
    AlreadyRunning(VmName),
    /// Upstream's message.
    #[error("Domain not running (either powered off or paused): '{0}'")]
    NotRunning(VmName),
    /// A paused guest cannot shut down.
    #[error("Domain not running (either powered off or paused): '{0}'")]
    Paused(VmName),
    /// Upstream's message.
    #[error("Domain is not paused: '{0}'")]
    NotPaused(VmName),
    /// The qube's operation lock is held for too long.
    #[error("{qube} is being worked on by another command: {reason}")]
    Locked {
        /// The qube whose lock is held.
        qube: VmName,
        /// Which process holds the lock.
        reason: String,
    },
    /// The record of a start.
    #[error(transparent)]
    Record(#[from] crate::lifecycle::qube::record::RecordError),
    /// One of several qubes that are changed together cannot be changed.
    #[error("{qube}: {source}; nothing was changed")]
    BatchRefused {
        /// The first qube that cannot be changed.
        qube: VmName,
        /// Why it cannot be changed.
        source: Box<LifecycleError>,
    },
    /// The default template for disposables has a name that another qube has.
    #[error(
        "{qube} exists and is not an AppVM of {template}; rename or remove it, or choose another \
         template"
    )]
    WrongTemplate {
        /// Name that the default template for disposables would have.
        qube: String,
        /// The template on which it should be based.
        template: String,
    },
    /// A start failed.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The domain still runs after it was destroyed again and again.
    #[error("cannot stop {qube}: its domain still runs after {tries} tries")]
    StillRuns {
        /// The qube that was to be killed.
        qube: VmName,
        /// How many times the domain was destroyed.
        tries: usize,
    },
    /// A qube of this class has no domain.
    #[error("{qube} is of class {class}, which has no domain of its own here")]
    NoDomain {
        /// The qube of the operation.
        qube: VmName,
        /// Class of the qube.
        class: crate::model::Class,
    },
    /// A drive cannot be attached or detached.
    #[error("drive {drive}: {reason}")]
    Drive {
        /// The drive: as it was written, its path, or `QUBE:DISK` of an attached one.
        drive: String,
        /// Why it cannot be attached or detached.
        reason: String,
    },
    /// Running qubes depend on the qube.
    #[error(
        "{qube} is the {role} of running qubes: {clients}",
        role = role.as_str()
    )]
    HasClients {
        /// The qube that was to be stopped.
        qube: VmName,
        /// What the qube provides to the clients.
        role: crate::model::ProviderRole,
        /// Names of the running clients, separated by commas.
        clients: String,
    },
    /// The guest did not shut down in time.
    #[error("{qube} did not shut down within {seconds} s")]
    ShutdownTimeout {
        /// The qube, whose domain still runs.
        qube: VmName,
        /// How long the shutdown was waited for, in seconds.
        seconds: u64,
    },
    /// A package of a template.
    #[error("{0}")]
    Package(String),
    /// The operation is only for local guests, not for dom0 or a remote qube.
    #[error("{0}")]
    NotAGuest(&'static str),
    /// An I/O error; `what` is the failed action.
    #[error("{what}: {}", crate::fs::errno_text(source))]
    Io {
        /// The failed action, as in "cannot read PATH".
        what: String,
        /// The error of the system call.
        source: io::Error,
    },
}

/// Joins the reasons of refused settings.
fn join_refusals(refused: &[RefusedSetting]) -> String {
    let texts: Vec<String> = refused
        .iter()
        .map(|r| format!("{} is refused: {}", r.setting, r.reason))
        .collect();
    texts.join("; ")
}

impl LifecycleError {
    /// Returns a function that makes the error "cannot `verb` `object`" of an I/O error.
    pub(super) fn cannot(
        verb: &str,
        object: &dyn Display,
    ) -> impl Fn(io::Error) -> LifecycleError + use<> {
        let what = format!("cannot {verb} {object}");
        move |source| LifecycleError::Io {
            what: what.clone(),
            source,
        }
    }

    /// Returns whether the operation failed because the disk is full, and wrote nothing.
    pub fn is_disk_full(&self) -> bool {
        !matches!(self, LifecycleError::NotDurable { .. }) && crate::fs::is_disk_full(self)
    }

    /// Returns whether the store cannot be read or saved.
    pub(super) fn is_store_error(&self) -> bool {
        matches!(self, LifecycleError::Store(_))
    }
}
