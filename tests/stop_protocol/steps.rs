//! The steps of the processes as in `docs/monitor.md`, each one atomic change.

use super::state::{
    Dirty, Domain, Outcome, Phase, Process, Record, Rules, STARTS, State, Step, Verb,
};

/// Returns whether the process at index `at` can take its next step.
pub fn is_enabled(state: &State, at: usize, rules: &Rules) -> bool {
    let process = &state.processes[at];
    match (process.verb, process.step) {
        (_, Step::Ended) => false,
        (Verb::Recover, Step::Begin) => !state.is_busy(),
        (Verb::Monitor(start), Step::Begin) => has_reason_to_wake(state, start, rules),
        (_, Step::Lock) => state.lock.is_none(),
        // The hypervisor created the domain, or another process destroyed it.
        (_, Step::AwaitDomain) => state.ordered.is_none(),
        // The hypervisor destroys a domain only after a pending request to create it.
        (_, Step::DestroyDomain | Step::DestroyAbandoned | Step::DestroyOwn) => {
            state.ordered.is_none()
        }
        _ => true,
    }
}

/// Returns whether a monitor wakes: its domain is gone, or the record is of another start.
fn has_reason_to_wake(state: &State, start: u8, rules: &Rules) -> bool {
    state.domain.is_none()
        || (rules.monitor_compares_start && state.record.map(|r| r.start) != Some(start))
}

/// Returns whether a sleeping monitor watches the recorded start.
pub fn watches_recorded_start(state: &State, at: usize, rules: &Rules) -> bool {
    match state.processes[at] {
        Process {
            verb: Verb::Monitor(start),
            step: Step::Begin,
            ..
        } if !is_enabled(state, at, rules) => {
            // Without this rule there may be no record yet.
            !rules.record_before_storage || state.record.is_some_and(|record| record.start == start)
        }
        _ => true,
    }
}

/// Returns the state after the next step of the process at index `at`.
pub fn advance(state: &State, at: usize, rules: &Rules) -> State {
    let mut next = state.clone();
    let process = next.processes[at];
    match process.step {
        Step::Begin => begin(&mut next, at, rules),
        Step::DestroyDomain => {
            next.domain = None;
            next.processes[at].step = Step::Lock;
        }
        Step::AskGuest => next.processes[at].step = ask_guest(&mut next),
        // The wait ends: the qube stopped, or the timeout expired and it is killed.
        Step::AwaitStop if state.domain.is_some() => next.processes[at].step = Step::DestroyDomain,
        Step::AwaitStop => next.processes[at].step = Step::Lock,
        Step::Lock => {
            next.lock = Some(at);
            next.processes[at].step = first_locked_step(process, rules);
        }
        Step::Recheck => recheck(&mut next, at, rules),
        Step::Reconcile => reconcile(&mut next, at, rules),
        Step::DestroyAbandoned => {
            next.domain = None;
            next.processes[at].step = Step::Commit;
        }
        Step::Commit => {
            commit(&mut next);
            next.processes[at].step = match rules.record_removed_last {
                true => Step::RemoveRecord,
                false => step_after_halted(process),
            };
        }
        Step::RemoveRecord => {
            next.record = None;
            next.processes[at].step = match rules.record_removed_last {
                true => step_after_halted(process),
                false => Step::Commit,
            };
        }
        Step::DestroyOwn => {
            next.domain = None;
            next.processes[at].step = Step::RollBackStorage;
        }
        Step::RollBackStorage => {
            roll_back_storage(&mut next);
            next.processes[at].step = Step::RemoveRecord;
        }
        Step::Unlock | Step::Ended => unlock(&mut next, at),
        _ => start(&mut next, at, rules),
    }
    next
}

fn begin(state: &mut State, at: usize, rules: &Rules) {
    let step = match state.processes[at].verb {
        Verb::Recover => Step::Lock,
        Verb::Start => {
            state.processes[at].remembered = state.mark;
            Step::Lock
        }
        Verb::Kill => {
            // Renewed before the domain is destroyed: a start that has not compared the mark yet
            // gives up, and one that has compared it already has its domain.
            state.mark += 1;
            Step::DestroyDomain
        }
        Verb::Shutdown => Step::AskGuest,
        Verb::Monitor(_) if rules.monitor_takes_lock => Step::Lock,
        Verb::Monitor(_) => Step::Reconcile,
    };
    state.processes[at].step = step;
}

/// Presses the power button of a running guest; without one, tells a start to give up.
fn ask_guest(state: &mut State) -> Step {
    if state.domain.is_some_and(|domain| !domain.is_paused) {
        return Step::AwaitStop;
    }
    state.mark += 1;
    Step::Lock
}

fn first_locked_step(process: Process, rules: &Rules) -> Step {
    match process.verb {
        Verb::Start if !rules.start_reconciles_first => Step::CompareMark,
        Verb::Kill | Verb::Shutdown if rules.recheck_under_lock => Step::Recheck,
        Verb::Monitor(_) if rules.monitor_rechecks => Step::Recheck,
        _ => Step::Reconcile,
    }
}

fn recheck(state: &mut State, at: usize, rules: &Rules) {
    let process = &mut state.processes[at];
    match process.verb {
        Verb::Monitor(start) => {
            let is_ours = state.record.is_some_and(|record| record.start == start);
            if rules.monitor_compares_start && !is_ours {
                process.step = Step::Unlock;
            } else if state.domain.is_some() {
                // The domain runs, so the monitor continues to wait.
                state.lock = None;
                process.step = Step::Begin;
            } else {
                process.step = Step::Reconcile;
            }
        }
        // Destroyed under the lock.
        Verb::Kill => {
            state.domain = None;
            process.step = Step::Reconcile;
        }
        // The guest is asked without holding the lock, as the first time.
        _ if state.domain.is_some_and(|domain| !domain.is_paused) => {
            state.lock = None;
            process.step = Step::AskGuest;
        }
        _ => process.step = Step::Reconcile,
    }
}

/// Reads the record and the domain's state and chooses the next step.
fn reconcile(state: &mut State, at: usize, rules: &Rules) {
    let work = match rules.record_removed_last {
        true => Step::Commit,
        false => Step::RemoveRecord,
    };
    let process = state.processes[at];
    let step = match (state.record, state.domain) {
        (
            Some(Record {
                phase: Phase::Starting,
                ..
            }),
            None
            | Some(Domain {
                is_paused: true, ..
            }),
        ) => {
            if rules.destroy_abandoned_domains {
                Step::DestroyAbandoned
            } else {
                work
            }
        }
        (Some(record), Some(_runs)) => {
            state.record = Some(Record {
                phase: Phase::Running,
                ..record
            });
            ensure_watched(state, record.start, rules);
            Step::Unlock
        }
        (Some(_), None) => work,
        (None, Some(domain)) => {
            state.record = Some(Record {
                start: domain.start,
                phase: Phase::Running,
            });
            ensure_watched(state, domain.start, rules);
            Step::Unlock
        }
        (None, None) if state.dirty.is_some() && rules.commit_dirty_without_record => work,
        (None, None) => step_after_halted(process),
    };
    let process = &mut state.processes[at];
    if step == Step::Unlock {
        let is_stop = matches!(process.verb, Verb::Kill | Verb::Shutdown);
        let runs = state.domain.is_some();
        process.outcome = if is_stop && runs && rules.recheck_under_lock {
            Outcome::Failure
        } else {
            Outcome::Success
        };
    }
    process.step = step;
}

fn ensure_watched(state: &mut State, start: u8, rules: &Rules) {
    if rules.replace_missing_monitors && !state.is_watched(start) {
        state.spawn_monitor(start);
    }
}

/// Returns the step after the qube is found halted: a start continues unless it was rolled back.
fn step_after_halted(process: Process) -> Step {
    match process.verb {
        Verb::Start if process.own.is_none() => Step::CompareMark,
        _ => Step::Unlock,
    }
}

fn start(state: &mut State, at: usize, rules: &Rules) {
    let process = state.processes[at];
    let own = process.own;
    let is_stopped = rules.start_compares_stop_mark && state.mark != process.remembered;
    let step = match process.step {
        Step::CompareMark if is_stopped => {
            state.processes[at].outcome = Outcome::Failure;
            Step::Unlock
        }
        Step::CompareMark => Step::WriteRecord,
        Step::WriteRecord => {
            let own = state.next_start;
            state.next_start += 1;
            state.processes[at].own = Some(own);
            if rules.record_before_storage {
                state.record = Some(Record {
                    start: own,
                    phase: Phase::Starting,
                });
            }
            Step::SpawnMonitor
        }
        Step::SpawnMonitor => {
            own.into_iter().for_each(|own| state.spawn_monitor(own));
            Step::PrepareStorage
        }
        Step::PrepareStorage => {
            if state.domain.is_some() {
                state.break_rule("storage is prepared while a domain has the image open");
            }
            let start = own.unwrap_or_default();
            state.dirty.get_or_insert(Dirty {
                start,
                is_written: false,
            });
            Step::OrderDomain
        }
        Step::OrderDomain if is_stopped => Step::DestroyOwn,
        Step::OrderDomain => {
            if state.domain.is_some() || state.ordered.is_some() {
                state.break_rule("two domains of one qube");
            }
            state.ordered = own;
            Step::AwaitDomain
        }
        Step::AwaitDomain => Step::Resume,
        Step::Resume if is_stopped => Step::DestroyOwn,
        Step::Resume => match state
            .domain
            .as_mut()
            .filter(|domain| Some(domain.start) == own)
        {
            Some(domain) => {
                domain.is_paused = false;
                if state.mark != process.remembered {
                    state.break_rule("a start resumes its guest after a stop was requested");
                }
                Step::ConfirmRunning
            }
            None => Step::DestroyOwn,
        },
        Step::ConfirmRunning => {
            if !rules.record_before_storage {
                state.record = own.map(|start| Record {
                    start,
                    phase: Phase::Running,
                });
            } else if let Some(record) = state
                .record
                .as_mut()
                .filter(|record| Some(record.start) == own)
            {
                record.phase = Phase::Running;
            }
            state.processes[at].outcome = Outcome::Success;
            Step::Unlock
        }
        other => other,
    };
    if step == Step::DestroyOwn {
        state.processes[at].outcome = Outcome::Failure;
    }
    state.processes[at].step = step;
}

fn commit(state: &mut State) {
    if state.domain.is_some() {
        state.break_rule("an image is committed that a domain has open");
    }
    if state.ordered.is_some() {
        state.break_rule("an image is committed that a domain is about to open");
    }
    if let Some(dirty) = state.dirty.take().filter(|dirty| dirty.is_written) {
        state.commits[usize::from(dirty.start) % STARTS] += 1;
    }
}

/// Removes the volumes of a start; if a guest wrote to them, commits them instead.
fn roll_back_storage(state: &mut State) {
    if state.dirty.is_some_and(|dirty| dirty.is_written) {
        return commit(state);
    }
    if state.domain.is_some() {
        state.break_rule("an image is removed that a domain has open");
    }
    state.dirty = None;
}

fn unlock(state: &mut State, at: usize) {
    let process = state.processes[at];
    if process.verb == Verb::Kill && process.outcome == Outcome::Success && state.domain.is_some() {
        state.break_rule("qvm-kill ends with 0 and the qube runs");
    }
    if process.verb == Verb::Shutdown
        && process.outcome == Outcome::Success
        && state.domain.is_some()
    {
        state.break_rule("qvm-shutdown --wait ends with 0 and the qube runs");
    }
    if state.lock == Some(at) {
        state.lock = None;
    }
    let process = &mut state.processes[at];
    if process.outcome == Outcome::Open {
        process.outcome = Outcome::Success;
    }
    process.step = Step::Ended;
}
