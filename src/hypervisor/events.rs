//! Waiting for a domain to end, by libvirt's events.

use std::time::{Duration, Instant};

use uuid::Uuid;
use virt_sys::events::News;
use virt_sys::link::{Link, LinkError};

use super::HypervisorError;
use super::connection::unreachable;

/// Between two looks at the state while no event comes: a net below the events, not the way to
/// notice.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Waits until no domain of this uuid is active whose name `is_of_store` takes for ours, on a
/// connection of its own: one that takes part in libvirt's event loop. False when `limit` ran out
/// or `goes_on`, asked at each look while the domain is active, said no.
///
/// # Errors
/// The library is missing, the hypervisor cannot be reached, or the connection was lost.
pub(super) fn wait_while(
    uri: &str,
    uuid: Uuid,
    limit: Option<Duration>,
    is_of_store: &dyn Fn(&str) -> bool,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<bool, HypervisorError> {
    virt_sys::load().map_err(|error| HypervisorError::NoLibrary(error.to_string()))?;
    let failed = |error: LinkError| unreachable(uri, &error.message);
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    let link = Link::open_with_events(uri).map_err(failed)?;
    // Registered before the first look: a stop between the two is an event, one before them is seen
    // by the look.
    let watch = link.watch().map_err(failed)?;
    loop {
        // A domain of another store that has the uuid now means that ours is gone.
        if link
            .running_name(uuid.as_bytes())
            .map_err(failed)?
            .is_none_or(|name| !is_of_store(&name))
        {
            return Ok(true);
        }
        if !goes_on() {
            return Ok(false);
        }
        let look_again = Instant::now() + LOOK_AGAIN;
        loop {
            let now = Instant::now();
            let until = deadline.map_or(look_again, |deadline| deadline.min(look_again));
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
