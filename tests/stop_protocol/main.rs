//! A model of how one qube is started and stopped: the operation lock, the record, the monitor and
//! the hypervisor, two commands at once, each process killed anywhere, the machine losing power.
//! Every interleaving is looked at.

mod state;
mod steps;

use stateright::{Checker, HasDiscoveries, Model, Property};

use state::{Domain, Rules, STARTS, State, Step, Verb};

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Event {
    /// A process goes one step on.
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
                // A command that has done nothing yet is one that was not given.
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
                end_process(&mut next, at);
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
                    .for_each(|at| end_process(&mut next, at));
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
                        .all(|at| steps::sleeps_for_its_start(state, at, &protocol.rules))
                },
            ),
            Property::eventually("every process ends", |_, state: &State| {
                state.has_ended() || state.broken.is_some()
            }),
        ]
    }
}

fn end_process(state: &mut State, at: usize) {
    if state.lock == Some(at) {
        state.lock = None;
    }
    state.processes[at].step = Step::Ended;
}

/// Never twice; and when all have ended, once for each guest that wrote, and nothing is left.
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
    let told = found
        .iter()
        .map(|(property, path)| format!("{property}: {:?}\n{path}", path.last_state()))
        .collect();
    (checker.unique_state_count(), told)
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
fn two_commands_at_once_with_a_crash_anywhere_keep_every_rule() {
    for pair in PAIRS {
        let (states, found) = discoveries(&pair, 1, Rules::ALL);
        println!("{pair:?}: {states} states");
        assert!(found.is_empty(), "{pair:?}: {}", found.join("\n"));
    }
}

#[test]
fn a_kill_a_shutdown_and_a_start_at_once_with_two_crashes_keep_every_rule() {
    let (states, found) = discoveries(&[Verb::Start, Verb::Kill, Verb::Shutdown], 2, Rules::ALL);
    println!("{states} states");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// A rule that can be taken out, by name.
type Removal = (&'static str, fn(&mut Rules));

const REMOVALS: [Removal; 11] = [
    ("look_again_under_the_lock", |rules| {
        rules.look_again_under_the_lock = false
    }),
    ("starts_compare_the_mark", |rules| {
        rules.starts_compare_the_mark = false
    }),
    ("starts_settle_first", |rules| {
        rules.starts_settle_first = false
    }),
    ("record_before_storage", |rules| {
        rules.record_before_storage = false
    }),
    ("record_removed_last", |rules| {
        rules.record_removed_last = false
    }),
    ("monitor_takes_the_lock", |rules| {
        rules.monitor_takes_the_lock = false
    }),
    ("monitor_asks_again", |rules| {
        rules.monitor_asks_again = false
    }),
    ("monitor_compares_the_start", |rules| {
        rules.monitor_compares_the_start = false
    }),
    ("abandoned_starts_are_ended", |rules| {
        rules.abandoned_starts_are_ended = false
    }),
    ("unwatched_qubes_get_a_monitor", |rules| {
        rules.unwatched_qubes_get_a_monitor = false
    }),
    ("dirty_volumes_are_settled", |rules| {
        rules.dirty_volumes_are_settled = false
    }),
];

#[test]
fn the_model_fails_when_a_rule_is_taken_out() {
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
