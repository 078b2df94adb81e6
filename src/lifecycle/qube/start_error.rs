//! Why a qube does not start.

use crate::lifecycle::LifecycleError;
use crate::model::VmName;

/// The error of a start: one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A rule forbids the start.
    #[error("{qube} must not be started: {reason}")]
    Prohibited {
        /// The qube that was to be started.
        qube: VmName,
        /// The rule, or the reason that the qube states for it.
        reason: String,
    },
    /// The start was cancelled by a kill or shutdown.
    #[error("cannot start {0}: it was killed or shut down while it started")]
    Cancelled(VmName),
    /// A start failed.
    #[error("cannot start {qube}: {reason}")]
    Failed {
        /// The qube that was to be started.
        qube: VmName,
        /// Why it cannot be started.
        reason: String,
    },
    /// Too little memory is free for a start.
    #[error(
        "not enough memory to start {qube}: it needs {needed_mib} MiB, {free}; shut other qubes \
         down, or give it less"
    )]
    NotEnoughMemory {
        /// The qube that was to be started.
        qube: VmName,
        /// Memory that the start needs, in MiB.
        needed_mib: u64,
        /// Clause that states how much memory is available.
        free: String,
    },
    /// The netvm of a qube cannot be started.
    #[error("its netvm {netvm} does not start: {source}")]
    NetvmNotStarted {
        /// The netvm that was to be started first.
        netvm: VmName,
        /// Why it cannot be started.
        source: Box<LifecycleError>,
    },
    /// A qube would have to be started before its own netvm.
    #[error("its netvm {0} does not start: the netvms form a loop")]
    NetvmLoop(VmName),
}

impl StartError {
    /// Returns the error that `qube` cannot be started for `reason`.
    pub(in crate::lifecycle) fn failed(qube: &VmName, reason: impl Into<String>) -> LifecycleError {
        StartError::Failed {
            qube: qube.clone(),
            reason: reason.into(),
        }
        .into()
    }
}
