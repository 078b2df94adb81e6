//! Waits for the end of a domain by libvirt's events.

use std::time::{Duration, Instant};

use uuid::Uuid;
use virt_sys::LinkError;
use virt_sys::events::News;
use virt_sys::link::Link;

use super::Hypervisor;
use super::connection::{Connection, unreachable};
use super::domain::read_metadata_store;
use crate::hypervisor::HypervisorError;

/// The interval at which the state is checked while no event arrives. Stops are noticed by events;
/// this only covers lost ones.
const POLL_INTERVAL: Duration = Duration::from_secs(30);

impl Hypervisor {
    /// Waits for the hypervisor's events until the domain does not run. Returns false if it still
    /// runs after `limit`, or once `keep_waiting` returns false; that is called at every event of
    /// the domain, and periodically while it runs.
    ///
    /// # Errors
    /// The connection is lost: that does not mean that the domain has stopped.
    pub fn wait_while(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
        keep_waiting: &mut dyn FnMut() -> bool,
    ) -> Result<bool, HypervisorError> {
        self.require_online("waiting for a qube")?;
        let belongs_to_store = |name: &str| {
            let read_store = || {
                // Not kept open: a monitor waits here as long as its qube runs.
                let connection = Connection::open(&self.uri).ok()?;
                read_metadata_store(&self.find_in_any_store(&connection, uuid).ok()??)
            };
            self.identity
                .as_ref()
                .is_none_or(|identity| identity.owns_domain(name, read_store))
        };
        wait_for_events(&self.uri, uuid, limit, &belongs_to_store, keep_waiting)
    }

    /// Waits until the domain does not run. Returns false if it still runs after `limit`.
    pub fn wait_until_inactive(
        &self,
        uuid: Uuid,
        limit: Option<Duration>,
    ) -> Result<bool, HypervisorError> {
        self.wait_while(uuid, limit, &mut || true)
    }
}

/// Waits until no active domain has this uuid and a name that `belongs_to_store` accepts. Uses a
/// connection of its own, which takes part in libvirt's event loop. Returns false if the domain is
/// still active after `limit`, or once `keep_waiting` returns false; that is called at each check
/// of the state.
///
/// # Errors
/// The library is missing, the hypervisor cannot be reached, or the connection was lost.
fn wait_for_events(
    uri: &str,
    uuid: Uuid,
    limit: Option<Duration>,
    belongs_to_store: &dyn Fn(&str) -> bool,
    keep_waiting: &mut dyn FnMut() -> bool,
) -> Result<bool, HypervisorError> {
    virt_sys::load().map_err(|error| HypervisorError::NoLibrary(error.to_string()))?;
    let failed = |error: LinkError| unreachable(uri, &error.message);
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let link = Link::open_with_events(uri).map_err(failed)?;
    // Register before the first check: a stop after the registration is an event, an earlier one is
    // seen by the check.
    let watch = link.watch().map_err(failed)?;
    loop {
        // If a domain of another store has the uuid now, ours is gone.
        if link
            .running_name(uuid.as_bytes())
            .map_err(failed)?
            .is_none_or(|name| !belongs_to_store(&name))
        {
            return Ok(true);
        }
        if !keep_waiting() {
            return Ok(false);
        }
        let next_check = Instant::now() + POLL_INTERVAL;
        loop {
            let now = Instant::now();
            let until = deadline.map_or(next_check, |deadline| deadline.min(next_check));
            match watch.next(until.saturating_duration_since(now)) {
                Some(News::Lost) => return Err(unreachable(uri, "the connection was lost")),
                Some(News::Domain(changed)) if changed == *uuid.as_bytes() => break,
                Some(News::Domain(_)) => {}
                None if deadline.is_some_and(|deadline| Instant::now() >= deadline) => {
                    return Ok(false);
                }
                None => break,
            }
        }
    }
}
