//! The connection that orders go through (crate `virt`), and what libvirt's errors mean to us.

use virt::connect::Connect;
use virt::error::{Error, ErrorNumber};

use super::HypervisorError;

/// An open connection, closed when dropped (crate `virt` leaves that to its caller).
#[derive(Debug)]
pub(super) struct Connection {
    connect: Connect,
}

impl Connection {
    /// Opens the library, then the connection.
    pub(super) fn open(uri: &str) -> Result<Connection, HypervisorError> {
        virt_sys::load().map_err(|error| HypervisorError::NoLibrary(error.to_string()))?;
        if uri.contains('\0') {
            return Err(unreachable(uri, "the URI contains a NUL character"));
        }
        let connect =
            Connect::open(Some(uri)).map_err(|error| unreachable(uri, error.message()))?;
        Ok(Connection { connect })
    }

    pub(super) fn get(&self) -> &Connect {
        &self.connect
    }

    /// Whether the daemon behind it still answers.
    pub(super) fn is_alive(&self) -> bool {
        self.connect.is_alive().unwrap_or(false)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A connection that cannot be closed is gone already.
        let _closed = self.connect.close();
    }
}

/// The error for a hypervisor that cannot be asked, with what to do about the common reasons.
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

/// The error for an order that libvirt declined.
pub(super) fn refused(action: &str, error: &Error) -> HypervisorError {
    refused_words(action, error.message())
}

/// The same by libvirt's words alone.
pub(super) fn refused_words(action: &str, words: &str) -> HypervisorError {
    let reason = one_line(words);
    // Where no service manager starts it: the daemon that writes guests' consoles.
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

/// libvirt quotes QEMU's last words, which can be several lines.
fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect::<Vec<_>>()
        .join("; ")
}

/// Whether the error says that there is no such domain.
pub(super) fn says_no_domain(error: &Error) -> bool {
    error.code() == ErrorNumber::NoDomain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_with_a_hint() {
        let error = unreachable(
            "qemu:///system",
            "Failed to connect socket to '/var/run/libvirt/libvirt-sock': No such file or directory",
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
