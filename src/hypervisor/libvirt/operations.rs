//! Operations on a running domain, which may stop before or during them.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;
use virt::domain::Domain;
use virt::error::{Error, ErrorNumber};

use super::Hypervisor;
use super::connection::{is_no_domain, refused_with_reason};
use super::domain::is_active;
use crate::hypervisor::{HypervisorError, Outcome};

/// The error codes of drivers if a guest cannot suspend: QEMU's driver needs the guest's agent, and
/// some drivers do not support the call.
const CANNOT_SUSPEND: [virt_sys::virErrorNumber; 6] = [
    virt_sys::VIR_ERR_NO_SUPPORT,
    virt_sys::VIR_ERR_OPERATION_UNSUPPORTED,
    virt_sys::VIR_ERR_ARGUMENT_UNSUPPORTED,
    virt_sys::VIR_ERR_CONFIG_UNSUPPORTED,
    virt_sys::VIR_ERR_AGENT_UNRESPONSIVE,
    virt_sys::VIR_ERR_AGENT_UNSYNCED,
];

/// The time limit for QEMU to answer an operation, on a busy host.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit for libvirt to report a domain as inactive after its QEMU has ended.
const INACTIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time between two looks at a domain that is to become inactive.
const INACTIVE_POLL: Duration = Duration::from_millis(20);

impl Hypervisor {
    /// Resumes a paused domain.
    pub fn resume(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("unpausing a qube")?;
        self.run_with_timeout(uuid, "unpause", Domain::resume)
    }

    /// Pauses a running domain.
    pub fn pause(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("pausing a qube")?;
        self.run_with_timeout(uuid, "pause", Domain::suspend)
    }

    /// Suspends the guest to RAM (S3); pauses it if it cannot suspend.
    pub fn suspend(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("suspending a qube")?;
        let Some(domain) = self.look_up(uuid)?.1 else {
            return Ok(Outcome::Absent);
        };
        // Suspending is rare, so the daemon may have been restarted since the link was opened: use
        // a new link.
        *self.link.borrow_mut() = None;
        match self.link()?.suspend_to_ram(uuid.as_bytes()) {
            Ok(()) => Ok(Outcome::Done),
            Err(error) if error.code == virt_sys::VIR_ERR_NO_DOMAIN => Ok(Outcome::Absent),
            Err(error) if CANNOT_SUSPEND.contains(&error.code) => self.pause(uuid),
            Err(_) if becomes_inactive(&domain) => Ok(Outcome::Absent),
            Err(error) => {
                // Query the state over a new connection, which also shows whether libvirt is still
                // reachable.
                *self.link.borrow_mut() = None;
                match self
                    .state(uuid)?
                    .is_some_and(|status| status.state.is_active())
                {
                    true => Err(refused_with_reason(
                        &format!("suspend domain {uuid}"),
                        &error.message,
                    )),
                    false => Ok(Outcome::Absent),
                }
            }
        }
    }

    /// Wakes a suspended guest.
    pub fn wake_up(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("waking a qube")?;
        self.run_with_timeout(uuid, "wake", |domain| domain.pm_wakeup(0))
    }

    /// Asks the guest to power off (ACPI, or xenstore under Xen). Returns once it is asked, not
    /// once it is off.
    pub fn shutdown(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("shutting down a qube")?;
        self.run_with_timeout(uuid, "shut down", Domain::shutdown)
    }

    /// Kills the domain at once. Returns [`Outcome::Done`] if it ran and has stopped, also if another
    /// process stopped it.
    pub fn destroy(&self, uuid: Uuid) -> Result<Outcome, HypervisorError> {
        self.require_online("killing a qube")?;
        let was_active = match self.look_up(uuid)? {
            (_, Some(domain)) => is_active(&domain),
            (_, None) => false,
        };
        match self.run(uuid, "kill", Domain::destroy)? {
            // libvirt kills QEMU first and then waits for other jobs of the domain. If such a job
            // has noticed the end (as in a daemon that was just restarted and reconnects to its
            // domains), libvirt reports that the domain does not run.
            Outcome::Absent if was_active => Ok(Outcome::Done),
            outcome => Ok(outcome),
        }
    }

    /// Runs an operation on a domain that may stop before or during it. If the domain stops, the
    /// outcome is [`Outcome::Absent`], whatever the error of the operation (such as a closed QEMU
    /// monitor).
    pub(super) fn run<T>(
        &self,
        uuid: Uuid,
        verb: &str,
        operation: impl Fn(&Domain) -> Result<T, Error>,
    ) -> Result<Outcome, HypervisorError> {
        let (connection, domain) = self.look_up(uuid)?;
        let Some(domain) = domain else {
            return Ok(Outcome::Absent);
        };
        let is_not_running = |error: &Error| error.code() == ErrorNumber::OperationInvalid;
        let deadline = Instant::now() + INACTIVE_TIMEOUT;
        let mut answer = operation(&domain);
        // Another process is starting the domain: it is active in one moment and not in the next,
        // and the operation may meet each of them.
        while answer.as_ref().is_err_and(is_not_running)
            && is_active(&domain)
            && Instant::now() < deadline
        {
            thread::sleep(INACTIVE_POLL);
            answer = operation(&domain);
        }
        match answer {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if is_no_domain(&error) => Ok(Outcome::Absent),
            Err(_) if becomes_inactive(&domain) => Ok(Outcome::Absent),
            Err(error) => {
                Err(self.convert_error(&connection, &format!("{verb} domain {uuid}"), &error))
            }
        }
    }

    /// Runs an operation that waits for the domain's QEMU, which may hang. It runs in a thread with
    /// its own connection; after a timeout the thread lives on until QEMU answers or ends, or this
    /// process ends.
    pub(super) fn run_with_timeout<T>(
        &self,
        uuid: Uuid,
        verb: &'static str,
        operation: impl Fn(&Domain) -> Result<T, Error> + Send + 'static,
    ) -> Result<Outcome, HypervisorError> {
        let action = || format!("{verb} domain {uuid}");
        let (uri, identity) = (self.uri.clone(), self.identity.clone());
        let (send, receive) = mpsc::channel();
        let spawned = thread::Builder::new().spawn(move || {
            let own = Hypervisor {
                identity,
                ..Hypervisor::new(uri)
            };
            // After a timeout the receiver is gone.
            let _too_late = send.send(own.run(uuid, verb, operation));
        });
        spawned.map_err(|error| HypervisorError::Refused {
            action: action(),
            reason: error.to_string(),
        })?;
        let no_answer = |_| HypervisorError::NoAnswer {
            action: action(),
            seconds: ANSWER_TIMEOUT.as_secs(),
        };
        receive.recv_timeout(ANSWER_TIMEOUT).map_err(no_answer)?
    }
}

/// Returns whether a domain is inactive, or becomes inactive within [`INACTIVE_TIMEOUT`]. An
/// operation during the end of QEMU fails before libvirt has noticed that end. Returns false if
/// libvirt does not know.
fn becomes_inactive(domain: &Domain) -> bool {
    let deadline = Instant::now() + INACTIVE_TIMEOUT;
    loop {
        match domain.is_active() {
            Ok(true) if Instant::now() < deadline => thread::sleep(INACTIVE_POLL),
            Ok(is_active) => return !is_active,
            Err(error) => return is_no_domain(&error),
        }
    }
}
