//! Why a volume cannot be resolved.

use crate::model::property::PropertyError;

/// Why a volume of a qube cannot be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VolumeError {
    /// Neither the class nor the store gives the qube a volume of this name.
    #[error("qube '{vm}' has no volume '{volume}'")]
    NoSuchVolume {
        /// The name of the qube.
        vm: String,
        /// The name of the volume.
        volume: String,
    },
    /// The pool of the volume, explicit or default, does not exist.
    #[error("volume '{volume}' of qube '{vm}' is in pool '{pool}', which does not exist")]
    NoSuchPool {
        /// The name of the qube.
        vm: String,
        /// The name of the volume.
        volume: String,
        /// The name of the missing pool.
        pool: String,
    },
    /// A custom volume has no explicit pool.
    #[error(
        "volume '{volume}' of qube '{vm}' has no pool, and only root, private, \
         volatile and kernel have a default one"
    )]
    NoDefaultPool {
        /// The name of the qube.
        vm: String,
        /// The name of the custom volume.
        volume: String,
    },
    /// A snapshot has no explicit source, and no template has a volume to take it from.
    #[error(
        "volume '{volume}' of qube '{vm}' is a snapshot, and no template has a \
         volume of this name"
    )]
    NoSource {
        /// The name of the qube.
        vm: String,
        /// The name of the snapshot, which its source would have, too.
        volume: String,
    },
    /// An attribute of the volume's configuration must be a number and is not.
    #[error("{attribute}='{text}' of volume '{volume}' of qube '{vm}' is not a number")]
    InvalidNumber {
        /// The name of the qube.
        vm: String,
        /// The name of the volume.
        volume: String,
        /// The attribute: `size` or `revisions_to_keep`.
        attribute: &'static str,
        /// The text in the store.
        text: String,
    },
    /// A volume has no vid, and only known drivers can assign one.
    #[error("new volumes in pool '{pool}' are not supported: driver '{driver}' is not known")]
    UnknownDriver {
        /// The name of the pool.
        pool: String,
        /// The unknown driver of the pool.
        driver: String,
    },
    /// The default pool, the template or the kernel of the qube cannot be read.
    #[error(transparent)]
    Property(#[from] PropertyError),
}
