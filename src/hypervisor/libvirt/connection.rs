//! The connection of crate `virt`, and the conversion of libvirt's errors.

use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

use crate::hypervisor::HypervisorError;

/// An open connection. It is closed when dropped, which crate `virt` leaves to its caller.
#[derive(Debug)]
pub(super) struct Connection {
    connect: Connect,
}

impl Connection {
    /// Loads the library and opens the connection.
    pub(super) fn open(uri: &str) -> Result<Connection, HypervisorError> {
        virt_sys::load().map_err(|error| HypervisorError::NoLibrary(error.to_string()))?;
        if uri.contains('\0') {
            return Err(unreachable(uri, "the URI contains a NUL character"));
        }
        let connect =
            Connect::open(Some(uri)).map_err(|error| unreachable(uri, error.message()))?;
        Ok(Connection { connect })
    }

    /// Returns the connection of crate `virt`.
    pub(super) fn get(&self) -> &Connect {
        &self.connect
    }

    /// Returns whether the daemon still answers.
    pub(super) fn is_alive(&self) -> bool {
        self.connect.is_alive().unwrap_or(false)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A connection that cannot be closed is lost already.
        let _closed = self.connect.close();
    }
}

/// Returns the error for an unreachable hypervisor, with a hint for the common reasons.
pub(super) fn unreachable(uri: &str, reason: &str) -> HypervisorError {
    let no_daemon =
        reason.contains("No such file or directory") || reason.contains("Connection refused");
    let hint = if no_daemon && reason.contains("socket") {
        "; is libvirtd running?"
    } else {
        ""
    };
    HypervisorError::Unreachable {
        uri: uri.to_string(),
        reason: format!("{}{hint}", one_line(reason)),
    }
}

/// Returns the error for an operation that libvirt refused.
pub(super) fn refused(action: &str, error: &Error) -> HypervisorError {
    refused_with_reason(action, error.message())
}

/// Returns the error for an operation that libvirt refused for this reason.
pub(super) fn refused_with_reason(action: &str, reason: &str) -> HypervisorError {
    let reason = one_line(reason);
    // virtlogd writes the guests' consoles. Without a service manager nothing starts it.
    let hint = if reason.contains("virtlogd-sock") {
        "; is virtlogd running?"
    } else {
        ""
    };
    HypervisorError::Refused {
        action: action.to_string(),
        reason: format!("{reason}{hint}"),
    }
}

/// Joins the lines of a message: libvirt quotes QEMU's last output, which can be several lines.
fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// Returns whether the error means that the domain does not exist.
pub(super) fn is_no_domain(error: &Error) -> bool {
    error.code() == ErrorNumber::NoDomain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_with_a_hint() {
        let error = unreachable(
            "qemu:///system",
            "Failed to connect socket to '/var/run/libvirt/libvirt-sock': \
             No such file or directory",
        );
        assert_eq!(
            error.to_string(),
            "cannot reach the hypervisor at qemu:///system: Failed to connect socket to \
             '/var/run/libvirt/libvirt-sock': No such file or directory; is libvirtd running?"
        );
        assert_eq!(
            one_line("internal error: qemu died:\nqemu: no memory\n"),
            "internal error: qemu died:; qemu: no memory"
        );
    }
}
