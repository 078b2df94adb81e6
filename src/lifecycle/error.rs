//! Why a verb did not do its work.

use std::path::PathBuf;

use crate::exec::ExecError;
use crate::hypervisor::HypervisorError;
use crate::model::VmName;
use crate::storage::StorageError;
use crate::store::StoreError;
use crate::system::SystemError;

/// One line for the user; where a qube is concerned its name is the tool's prefix or stands in the
/// text.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    #[error(transparent)]
    System(#[from] SystemError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Hypervisor(#[from] HypervisorError),
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Property(#[from] crate::model::PropertyError),
    #[error(transparent)]
    Feature(#[from] crate::model::FeatureError),
    #[error(transparent)]
    Tag(#[from] crate::model::TagError),
    #[error(transparent)]
    Pool(#[from] crate::model::PoolError),
    #[error(transparent)]
    VolumeOption(#[from] crate::model::VolumeChangeError),
    /// `QUBE:VOLUME` and why.
    #[error("{volume}: {reason}")]
    VolumeRefused { volume: String, reason: String },
    /// Upstream's words; what a person may do about it says the tool.
    #[error("Refusing to shrink volume {volume} from {now} to {bytes} bytes.")]
    WouldShrink {
        volume: String,
        now: u64,
        bytes: u64,
    },
    #[error("{qube} is no template but of class {class}")]
    NotATemplate {
        qube: VmName,
        class: crate::model::Class,
    },
    /// Upstream's words.
    #[error("No snapshots available")]
    NoRevision,
    #[error("{volume}: nothing was imported: {reason}")]
    NotImported {
        volume: String,
        reason: String,
        #[source]
        source: Option<Box<crate::storage::StorageError>>,
    },
    /// The change was made, so to repeat it would make it twice.
    #[error("{volume} {state}, but {source}")]
    NotProvenDurable {
        volume: String,
        state: &'static str,
        source: Box<StorageError>,
    },
    /// They were to go anyway, and the store has still no room.
    #[error(
        "{volume}: its option is not set, though {revisions} of its revisions are deleted: {source}; \
         make room on the disk and run the command again"
    )]
    RevisionsDeleted {
        volume: String,
        revisions: usize,
        source: Box<LifecycleError>,
    },
    /// Its images were to go anyway, and the store has still no room.
    #[error(
        "{qube} is not removed, though its images are deleted: {source}; make room on the disk, \
         then {next_step}"
    )]
    ImagesDeleted {
        qube: VmName,
        source: Box<LifecycleError>,
        next_step: String,
    },
    /// Whatever is done to the one volume would be done to the other.
    #[error(
        "cannot {verb}: volume {volume} has the image of volume {owner}; qubes-db check tells what is \
         wrong with the store"
    )]
    ImageOwned {
        verb: String,
        volume: String,
        owner: String,
    },
    #[error("cannot move {file}: {reason}; qvm-create --root-copy-from copies it", file = file.display())]
    NotMovable { file: PathBuf, reason: String },
    #[error(
        "cannot create {qube} with the data of {file}: {reason}; move that file elsewhere first, or create \
         {qube} with --adopt-existing instead, which takes it over as it is", file = file.display()
    )]
    SourceInPlace {
        qube: VmName,
        file: PathBuf,
        reason: String,
    },
    /// Files beside the images of the one would be those of the other.
    #[error(
        "cannot {verb}: {directory} is the directory of {owner}, too; give one of the two another name, \
         a directory of its own or, with --root, a system of its own"
    )]
    DirectoryOwned {
        verb: String,
        directory: String,
        owner: String,
    },
    #[error(
        "cannot remove orphans: {reason}, so what looks like an orphan may be its image; qubes-db check \
         tells how to mend the store"
    )]
    OrphansUnknown { reason: String },
    #[error(
        "cannot create {qube}: {image} holds data, and no qube of the store means it: qvm-create \
         --adopt-existing takes the images over, --discard-existing deletes them"
    )]
    ImageHoldsData { qube: VmName, image: String },
    #[error(transparent)]
    Notes(#[from] crate::model::NotesError),
    #[error("the notes of {qube} were changed by somebody else meanwhile")]
    NotesChanged { qube: VmName },
    #[error(transparent)]
    Creation(#[from] crate::model::CreationError),
    /// Settings of a new qube, which was not made.
    #[error("{}", refused_settings(.0))]
    SettingsRefused(Vec<super::create::RefusedSetting>),
    #[error(transparent)]
    Removal(#[from] crate::model::RemovalError),
    #[error(
        "the pools that {qube} was to use were changed meanwhile; nothing was created: run the command again"
    )]
    ChangedMeanwhile { qube: VmName },
    #[error("no such domain: '{0}'")]
    NoSuchQube(String),
    /// What works on images does so only when they are R4's.
    #[error(
        "{store}: written by Qubes R3 or older: it has to be converted first, which qubes-db convert does", store = store.display()
    )]
    NotConverted { store: PathBuf },
    #[error("Domain is already running")]
    AlreadyRunning(VmName),
    #[error("Domain not running (either powered off or paused): '{0}'")]
    NotRunning(VmName),
    /// It cannot hear that it is to shut down.
    #[error("Domain not running (either powered off or paused): '{0}'; --force ends a paused one")]
    Paused(VmName),
    #[error("Domain is not paused: '{0}'")]
    NotPaused(VmName),
    #[error("{qube} is being worked on by another command: {reason}")]
    Locked { qube: VmName, reason: String },
    #[error(
        "cannot use {file}, the record of the start of {qube}: {reason}; if {qube} is known to be off, remove that file"
    )]
    InvalidRecord {
        qube: VmName,
        file: PathBuf,
        reason: String,
    },
    #[error(
        "cannot read {file}, the record of the start of {qube}: {}; until it can be read {qube} is left alone",
        crate::fs::errno_text(source)
    )]
    RecordUnreadable {
        qube: VmName,
        file: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{qube} was started at {uri} and that hypervisor cannot be asked whether it still runs: {reason}; its images \
         are left alone"
    )]
    StateUnknown {
        qube: VmName,
        uri: String,
        reason: String,
    },
    /// Of several qubes that were to be changed together, one cannot be.
    #[error("{qube}: {source}; nothing was changed")]
    BatchRefused {
        qube: VmName,
        source: Box<LifecycleError>,
    },
    #[error(
        "{qube} is there and is no AppVM of {template}; rename or remove it, or choose another template"
    )]
    WrongTemplate { qube: String, template: String },
    #[error("{qube} must not be started: {reason}")]
    StartProhibited { qube: VmName, reason: String },
    #[error("cannot start {qube}: it was killed or shut down while it started")]
    StartCancelled { qube: VmName },
    #[error(
        "cannot stop {qube}: its domain still runs after {tries} tries; run qvm-kill {qube} again"
    )]
    StillRuns { qube: VmName, tries: usize },
    #[error("{qube} cannot be started: {reason}")]
    CannotStart { qube: VmName, reason: String },
    #[error("{qube} is of class {class}, which has no domain of its own here")]
    NoDomain {
        qube: VmName,
        class: crate::model::Class,
    },
    #[error(
        "not enough memory to start {qube}: it needs {needed_mib} MiB, {free}; shut other qubes down, or give it less"
    )]
    NotEnoughMemory {
        qube: VmName,
        needed_mib: u64,
        free: String,
    },
    #[error("drive {drive}: {reason}")]
    Drive { drive: String, reason: String },
    #[error("its netvm {netvm} does not start: {reason}")]
    NetvmNotStarted { netvm: VmName, reason: String },
    #[error("{qube} is the {role} of running qubes: {clients}; shut them down first, or use --force", role = role.as_str())]
    HasClients {
        qube: VmName,
        role: crate::model::ProviderRole,
        clients: String,
    },
    #[error("{qube} did not shut down within {seconds} s")]
    ShutdownTimeout { qube: VmName, seconds: u64 },
    #[error("{0}")]
    Package(String),
    #[error("{0}")]
    NotAGuest(&'static str),
    #[error("{what}: {}", crate::fs::errno_text(source))]
    Io {
        what: String,
        source: std::io::Error,
    },
}

fn refused_settings(refused: &[super::create::RefusedSetting]) -> String {
    let texts: Vec<String> = refused
        .iter()
        .map(|r| format!("{} is refused: {}", r.setting, r.reason))
        .collect();
    texts.join("; ")
}

impl LifecycleError {
    /// Whether there was no room on the disk for what was to be written, which was not written.
    pub fn is_disk_full(&self) -> bool {
        !matches!(self, LifecycleError::NotProvenDurable { .. }) && crate::fs::is_disk_full(self)
    }

    /// Whether the store cannot be read or saved.
    pub(super) fn is_store_error(&self) -> bool {
        matches!(self, LifecycleError::Store(_))
    }
}
