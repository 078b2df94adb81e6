//! A model of starting and stopping one qube: operation lock, record, monitor and hypervisor. The
//! model checker explores every interleaving of two or three commands, with processes killed and
//! power lost at any step.

mod state;
mod steps;

use stateright::{Checker, HasDiscoveries, Model, Property};

use state::{Domain, Rules, STARTS, State, Step, Verb};

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// A process takes its next step.
    Advance(usize),
    /// A process is killed.
    Kill(usize),
    /// The hypervisor creates a domain that was ordered.
    CreateDomain,
    /// The guest writes to its volume.
    GuestWrites,
    /// The guest powers off.
    GuestStops,
    /// The machine loses power: every process, every domain and RUN are gone.
    PowerLoss,
}

struct Protocol {
    verbs: Vec<Verb>,
    crashes: u8,
    rules: Rules,
}

impl Model for Protocol {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let mut verbs = self.verbs.clone();
        verbs.push(Verb::Recover);
        let halted = State::new(&verbs, self.crashes);
        [
            halted.clone(),
            halted.clone().running(),
            halted.clone().running_unwatched(),
            halted.after_power_loss(),
        ]
        .to_vec()
    }

    fn actions(&self, state: &State, events: &mut Vec<Event>) {
        if state.broken.is_some() {
            return;
        }
        let enabled = |at: &usize| steps::is_enabled(state, *at, &self.rules);
        events.extend(
            (0..state.processes.len())
                .filter(enabled)
                .map(Event::Advance),
        );
        if state.ordered.is_some() {
            events.push(Event::CreateDomain);
        }
        if state.domain.is_some_and(|domain| !domain.is_paused) {
            events.push(Event::GuestStops);
            if state.dirty.is_some_and(|dirty| !dirty.is_written) {
                events.push(Event::GuestWrites);
            }
        }
        if state.crashes_left > 0 && state.is_busy() {
            let alive = |at: &usize| match (state.processes[*at].verb, state.processes[*at].step) {
                (_, Step::Ended) | (Verb::Recover, _) => false,
                // Killing a command before its first step is the same as not running it.
                (verb, step) => step != Step::Begin || matches!(verb, Verb::Monitor(_)),
            };
            events.extend((0..state.processes.len()).filter(alive).map(Event::Kill));
            events.push(Event::PowerLoss);
        }
    }

    fn next_state(&self, state: &State, event: Event) -> Option<State> {
        let mut next = state.clone();
        match event {
            Event::Advance(at) => next = steps::advance(state, at, &self.rules),
            Event::Kill(at) => {
                next.crashes_left -= 1;
                kill_process(&mut next, at);
            }
            Event::CreateDomain => {
                if next.domain.is_some() {
                    next.break_rule("two domains of one qube");
                }
                next.domain = next.ordered.take().map(|start| Domain {
                    start,
                    is_paused: true,
                });
            }
            Event::GuestWrites => {
                let start = next.domain.map(|domain| domain.start);
                if let (Some(dirty), Some(start)) = (next.dirty.as_mut(), start) {
                    dirty.is_written = true;
                    dirty.start = start;
                    next.wrote[usize::from(start) % STARTS] = true;
                }
            }
            Event::GuestStops => next.domain = None,
            Event::PowerLoss => {
                next.crashes_left -= 1;
                (0..next.processes.len())
                    .filter(|at| next.processes[*at].verb != Verb::Recover)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .for_each(|at| kill_process(&mut next, at));
                (next.domain, next.ordered, next.record) = (None, None, None);
            }
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no rule is broken", |_: &Protocol, state: &State| {
                state.broken.is_none()
            }),
            Property::always("each stop is finished exactly once", |_, state| {
                is_finished(state)
            }),
            Property::always(
                "a monitor that sleeps watches the recorded start",
                |protocol: &Protocol, state: &State| {
                    (0..state.processes.len())
                        .all(|at| steps::watches_recorded_start(state, at, &protocol.rules))
                },
            ),
            Property::eventually("every process ends", |_, state: &State| {
                state.has_ended() || state.broken.is_some()
            }),
        ]
    }
}

fn kill_process(state: &mut State, at: usize) {
    if state.lock == Some(at) {
        state.lock = None;
    }
    state.processes[at].step = Step::Ended;
}

/// Returns whether no stop was finished twice and, once all processes have ended, each guest's
/// writes were committed once and nothing is left behind.
fn is_finished(state: &State) -> bool {
    let mut starts = state.commits.iter().zip(state.wrote);
    if !state.has_ended() {
        return starts.all(|(commits, wrote)| *commits <= u8::from(wrote));
    }
    let is_clean = state.domain.is_none()
        && state.ordered.is_none()
        && state.record.is_none()
        && state.dirty.is_none();
    is_clean && starts.all(|(commits, wrote)| *commits == u8::from(wrote))
}

fn discoveries(verbs: &[Verb], crashes: u8, rules: Rules) -> (usize, Vec<String>) {
    let protocol = Protocol {
        verbs: verbs.to_vec(),
        crashes,
        rules,
    };
    let checker = protocol
        .checker()
        .finish_when(HasDiscoveries::Any)
        .spawn_bfs()
        .join();
    let found = checker.discoveries();
    let messages = found
        .iter()
        .map(|(property, path)| format!("{property}: {:?}\n{path}", path.last_state()))
        .collect();
    (checker.unique_state_count(), messages)
}

const PAIRS: [[Verb; 2]; 6] = [
    [Verb::Start, Verb::Start],
    [Verb::Start, Verb::Kill],
    [Verb::Start, Verb::Shutdown],
    [Verb::Kill, Verb::Kill],
    [Verb::Kill, Verb::Shutdown],
    [Verb::Shutdown, Verb::Shutdown],
];

#[test]
fn two_concurrent_commands_with_one_crash_keep_every_rule() {
    for pair in PAIRS {
        let (states, found) = discoveries(&pair, 1, Rules::ALL);
        println!("{pair:?}: {states} states");
        assert!(found.is_empty(), "{pair:?}: {}", found.join("\n"));
    }
}

#[test]
fn concurrent_start_kill_and_shutdown_with_two_crashes_keep_every_rule() {
    let (states, found) = discoveries(&[Verb::Start, Verb::Kill, Verb::Shutdown], 2, Rules::ALL);
    println!("{states} states");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The name of a rule and a function that removes it.
type Removal = (&'static str, fn(&mut Rules));

const REMOVALS: [Removal; 11] = [
    ("recheck_under_lock", |rules| {
        rules.recheck_under_lock = false
    }),
    ("start_compares_stop_mark", |rules| {
        rules.start_compares_stop_mark = false
    }),
    ("start_reconciles_first", |rules| {
        rules.start_reconciles_first = false
    }),
    ("record_before_storage", |rules| {
        rules.record_before_storage = false
    }),
    ("record_removed_last", |rules| {
        rules.record_removed_last = false
    }),
    ("monitor_takes_lock", |rules| {
        rules.monitor_takes_lock = false
    }),
    ("monitor_rechecks", |rules| rules.monitor_rechecks = false),
    ("monitor_compares_start", |rules| {
        rules.monitor_compares_start = false
    }),
    ("destroy_abandoned_domains", |rules| {
        rules.destroy_abandoned_domains = false
    }),
    ("replace_missing_monitors", |rules| {
        rules.replace_missing_monitors = false
    }),
    ("commit_dirty_without_record", |rules| {
        rules.commit_dirty_without_record = false
    }),
];

#[test]
fn model_fails_without_any_of_the_rules() {
    for (name, remove) in REMOVALS {
        let mut rules = Rules::ALL;
        remove(&mut rules);
        let found = PAIRS
            .iter()
            .find_map(|pair| discoveries(pair, 1, rules).1.into_iter().next());
        println!(
            "{name}: {}",
            found
                .as_deref()
                .unwrap_or("NOTHING")
                .lines()
                .next()
                .unwrap_or_default()
        );
        assert!(found.is_some(), "nothing fails without {name}");
    }
}
