//! The steps of the processes, one atomic change each, as `docs/monitor.md` has them.

use super::state::{
    Dirty, Domain, Outcome, Phase, Process, Record, Rules, STARTS, State, Step, Verb,
};

/// Whether the process at `at` can go on.
pub fn is_enabled(state: &State, at: usize, rules: &Rules) -> bool {
    let process = &state.processes[at];
    match (process.verb, process.step) {
        (_, Step::Ended) => false,
        (Verb::Recover, Step::Begin) => !state.is_busy(),
        (Verb::Monitor(start), Step::Begin) => has_news(state, start, rules),
        (_, Step::Lock) => state.lock.is_none(),
        // Carried out by the hypervisor, or ended by somebody else.
        (_, Step::AwaitDomain) => state.ordered.is_none(),
        // The order to end a domain waits for an order to create it.
        (_, Step::EndDomain | Step::EndAbandoned | Step::DestroyOwn) => state.ordered.is_none(),
        _ => true,
    }
}

/// What wakes a monitor: its domain is gone, or its record is not its own any more.
fn has_news(state: &State, start: u8, rules: &Rules) -> bool {
    state.domain.is_none()
        || (rules.monitor_compares_the_start && state.record.map(|r| r.start) != Some(start))
}

/// Whether each monitor that sleeps has a reason to: the start that it watches is the recorded one.
pub fn sleeps_for_its_start(state: &State, at: usize, rules: &Rules) -> bool {
    match state.processes[at] {
        Process {
            verb: Verb::Monitor(start),
            step: Step::Begin,
            ..
        } if !is_enabled(state, at, rules) => {
            // Where the record is not written first it cannot be asked for.
            !rules.record_before_storage || state.record.is_some_and(|record| record.start == start)
        }
        _ => true,
    }
}

/// The state after the next step of the process at `at`.
pub fn advance(state: &State, at: usize, rules: &Rules) -> State {
    let mut next = state.clone();
    let process = next.processes[at];
    match process.step {
        Step::Begin => begin(&mut next, at, rules),
        Step::EndDomain => {
            next.domain = None;
            next.processes[at].step = Step::Lock;
        }
        Step::AskGuest => next.processes[at].step = ask_guest(&mut next),
        // Waiting ends: it stopped, or the time is over and it is killed.
        Step::AwaitStop if state.domain.is_some() => next.processes[at].step = Step::EndDomain,
        Step::AwaitStop => next.processes[at].step = Step::Lock,
        Step::Lock => {
            next.lock = Some(at);
            next.processes[at].step = first_under_the_lock(process, rules);
        }
        Step::LookAgain => look_again(&mut next, at, rules),
        Step::Settle => settle(&mut next, at, rules),
        Step::EndAbandoned => {
            next.domain = None;
            next.processes[at].step = Step::Commit;
        }
        Step::Commit => {
            commit(&mut next);
            next.processes[at].step = match rules.record_removed_last {
                true => Step::RemoveRecord,
                false => after_halted(process),
            };
        }
        Step::RemoveRecord => {
            next.record = None;
            next.processes[at].step = match rules.record_removed_last {
                true => after_halted(process),
                false => Step::Commit,
            };
        }
        Step::DestroyOwn => {
            next.domain = None;
            next.processes[at].step = Step::TakeBackStorage;
        }
        Step::TakeBackStorage => {
            take_back(&mut next);
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
            // Before the domain is ended: a start that has not compared yet gives up, one that has
            // made its domain before.
            state.mark += 1;
            Step::EndDomain
        }
        Verb::Shutdown => Step::AskGuest,
        Verb::Monitor(_) if rules.monitor_takes_the_lock => Step::Lock,
        Verb::Monitor(_) => Step::Settle,
    };
    state.processes[at].step = step;
}

/// A guest that runs hears the power button; a start that has none yet is told to give up.
fn ask_guest(state: &mut State) -> Step {
    if state.domain.is_some_and(|domain| !domain.is_paused) {
        return Step::AwaitStop;
    }
    state.mark += 1;
    Step::Lock
}

fn first_under_the_lock(process: Process, rules: &Rules) -> Step {
    match process.verb {
        Verb::Start if !rules.starts_settle_first => Step::CompareMark,
        Verb::Kill | Verb::Shutdown if rules.look_again_under_the_lock => Step::LookAgain,
        Verb::Monitor(_) if rules.monitor_asks_again => Step::LookAgain,
        _ => Step::Settle,
    }
}

fn look_again(state: &mut State, at: usize, rules: &Rules) {
    let process = &mut state.processes[at];
    match process.verb {
        Verb::Monitor(start) => {
            let is_ours = state.record.is_some_and(|record| record.start == start);
            if rules.monitor_compares_the_start && !is_ours {
                process.step = Step::Unlock;
            } else if state.domain.is_some() {
                // It runs after all: waits on.
                state.lock = None;
                process.step = Step::Begin;
            } else {
                process.step = Step::Settle;
            }
        }
        // Ended under the lock, by whoever holds it.
        Verb::Kill => {
            state.domain = None;
            process.step = Step::Settle;
        }
        // Asked without the lock, like the first time.
        _ if state.domain.is_some_and(|domain| !domain.is_paused) => {
            state.lock = None;
            process.step = Step::AskGuest;
        }
        _ => process.step = Step::Settle,
    }
}

/// Reads the record, asks the hypervisor, and decides.
fn settle(state: &mut State, at: usize, rules: &Rules) {
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
            if rules.abandoned_starts_are_ended {
                Step::EndAbandoned
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
        (None, None) if state.dirty.is_some() && rules.dirty_volumes_are_settled => work,
        (None, None) => after_halted(process),
    };
    let process = &mut state.processes[at];
    if step == Step::Unlock {
        let wants_it_off = matches!(process.verb, Verb::Kill | Verb::Shutdown);
        let runs = state.domain.is_some();
        process.outcome = if wants_it_off && runs && rules.look_again_under_the_lock {
            Outcome::Failure
        } else {
            Outcome::Success
        };
    }
    process.step = step;
}

fn ensure_watched(state: &mut State, start: u8, rules: &Rules) {
    if rules.unwatched_qubes_get_a_monitor && !state.is_watched(start) {
        state.spawn_monitor(start);
    }
}

/// A start that was taken back has failed; one that found the qube halted goes on.
fn after_halted(process: Process) -> Step {
    match process.verb {
        Verb::Start if process.own.is_none() => Step::CompareMark,
        _ => Step::Unlock,
    }
}

fn start(state: &mut State, at: usize, rules: &Rules) {
    let process = state.processes[at];
    let own = process.own;
    let is_stopped = rules.starts_compare_the_mark && state.mark != process.remembered;
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
                    state.break_rule("a start lets its guest run after a stop was wanted");
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

/// What the start made goes; what a guest has written is committed.
fn take_back(state: &mut State) {
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
