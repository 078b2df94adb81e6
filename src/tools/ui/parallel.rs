//! One action for several qubes at the same time.

use std::sync::Mutex;
use std::thread;

use crate::lifecycle::Context;
use crate::model::VmName;

/// The most qubes that are handled at the same time.
const MAX_PARALLEL: usize = 8;

/// Runs `work` for each qube in up to [`MAX_PARALLEL`] threads, each with a context of its own.
/// Returns the failures that `work` returned, in the order of the names.
pub fn run_in_parallel<T: Send>(
    context: &Context,
    names: &[VmName],
    work: impl Fn(&Context, &VmName) -> Option<T> + Sync,
) -> Vec<(VmName, T)> {
    if let [name] = names {
        return work(context, name)
            .map(|failure| (name.clone(), failure))
            .into_iter()
            .collect();
    }
    let next = Mutex::new(names.iter().enumerate());
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..MAX_PARALLEL.min(names.len()) {
            let system = context.system.clone();
            let (next, failures, work) = (&next, &failures, &work);
            scope.spawn(move || {
                let own = Context::new(system);
                while let Some((at, name)) = next.lock().ok().and_then(|mut n| n.next()) {
                    if let (Some(failure), Ok(mut all)) = (work(&own, name), failures.lock()) {
                        all.push((at, failure));
                    }
                }
            });
        }
    });
    let mut failures = failures
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    failures.sort_by_key(|(at, _)| *at);
    failures
        .into_iter()
        .map(|(at, failure)| (names[at].clone(), failure))
        .collect()
}

/// Returns a number of failures as an exit code, at most 255, so that it never wraps to success.
pub fn exit_code(failures: usize) -> u8 {
    u8::try_from(failures).unwrap_or(u8::MAX)
}
