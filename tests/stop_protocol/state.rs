//! The state of the model: processes, record, domain and volumes of one qube.

/// The number of a start.
pub type Start = u8;
/// The maximum number of starts in the model.
pub const STARTS: usize = 3;

/// The rules of `docs/monitor.md`. A test removes each to check that the model needs it.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// A stop checks the qube again under the lock.
    pub recheck_under_lock: bool,
    /// A start gives up if the stop mark changed since it began.
    pub start_compares_stop_mark: bool,
    /// A start first reconciles the qube under the lock.
    pub start_reconciles_first: bool,
    /// The record is written before the storage is touched.
    pub record_before_storage: bool,
    /// The record is removed last.
    pub record_removed_last: bool,
    /// The monitor acts under the operation lock.
    pub monitor_takes_lock: bool,
    /// The monitor checks the domain again under the lock.
    pub monitor_rechecks: bool,
    /// The monitor acts only for the start in its record.
    pub monitor_compares_start: bool,
    /// The domain of a killed start is destroyed before its volumes are touched, even if none is
    /// visible: the request to create it may still be pending.
    pub destroy_abandoned_domains: bool,
    /// A qube that runs unwatched gets a monitor.
    pub replace_missing_monitors: bool,
    /// A dirty volume without a record is committed as well.
    pub commit_dirty_without_record: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        recheck_under_lock: true,
        start_compares_stop_mark: true,
        start_reconciles_first: true,
        record_before_storage: true,
        record_removed_last: true,
        monitor_takes_lock: true,
        monitor_rechecks: true,
        monitor_compares_start: true,
        destroy_abandoned_domains: true,
        replace_missing_monitors: true,
        commit_dirty_without_record: true,
    };
}

/// The command that a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `qvm-start`
    Start,
    /// `qvm-kill`
    Kill,
    /// `qvm-shutdown --wait`
    Shutdown,
    /// `qubes-recover`, or any command that takes the lock; runs when all others have ended.
    Recover,
    /// `qubes-monitor` of a start.
    Monitor(Start),
}

/// The next step of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    // Before the lock.
    Begin,
    DestroyDomain,
    AskGuest,
    AwaitStop,
    Lock,
    // Under the lock: reconciling the qube.
    Recheck,
    Reconcile,
    DestroyAbandoned,
    Commit,
    RemoveRecord,
    // Under the lock: the start.
    CompareMark,
    WriteRecord,
    SpawnMonitor,
    PrepareStorage,
    OrderDomain,
    AwaitDomain,
    Resume,
    ConfirmRunning,
    // Under the lock: rolling back a start.
    DestroyOwn,
    RollBackStorage,
    Unlock,
    Ended,
}

/// The exit status of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    Open,
    Success,
    Failure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub verb: Verb,
    pub step: Step,
    pub outcome: Outcome,
    /// The start that this process performs.
    pub own: Option<Start>,
    /// The stop mark that a start remembers.
    pub remembered: u8,
}

impl Process {
    pub fn new(verb: Verb) -> Process {
        Process {
            verb,
            step: Step::Begin,
            outcome: Outcome::Open,
            own: None,
            remembered: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Starting,
    Running,
}

/// `RUN/vm/NAME`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub start: Start,
    pub phase: Phase,
}

/// The domain with the qube's UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    pub start: Start,
    pub is_paused: bool,
}

/// The uncommitted image that a guest writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dirty {
    pub start: Start,
    /// The guest has written to it.
    pub is_written: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub processes: Vec<Process>,
    /// The index of the process that holds the operation lock.
    pub lock: Option<usize>,
    pub record: Option<Record>,
    /// `RUN/stop/NAME`: a number that each renewal changes.
    pub mark: u8,
    pub domain: Option<Domain>,
    /// A pending request to the hypervisor to create a domain.
    pub ordered: Option<Start>,
    pub dirty: Option<Dirty>,
    pub next_start: Start,
    /// How often the writes of each start's guest were committed.
    pub commits: [u8; STARTS],
    /// Whether each start's guest wrote.
    pub wrote: [bool; STARTS],
    pub crashes_left: u8,
    /// The first rule that was broken, if any.
    pub broken: Option<&'static str>,
}

impl State {
    pub fn new(verbs: &[Verb], crashes: u8) -> State {
        State {
            processes: verbs.iter().copied().map(Process::new).collect(),
            lock: None,
            record: None,
            mark: 0,
            domain: None,
            ordered: None,
            dirty: None,
            next_start: 0,
            commits: [0; STARTS],
            wrote: [false; STARTS],
            crashes_left: crashes,
            broken: None,
        }
    }

    /// Changes the state: the qube runs and is watched by its monitor.
    pub fn running(mut self) -> State {
        self = self.running_unwatched();
        self.record = Some(Record {
            start: 0,
            phase: Phase::Running,
        });
        self.spawn_monitor(0);
        self
    }

    /// Changes the state: the qube runs without record and monitor.
    pub fn running_unwatched(mut self) -> State {
        self.domain = Some(Domain {
            start: 0,
            is_paused: false,
        });
        self.after_power_loss()
    }

    /// Changes the state: the writes of a guest are not committed.
    pub fn after_power_loss(mut self) -> State {
        self.dirty = Some(Dirty {
            start: 0,
            is_written: true,
        });
        self.wrote[0] = true;
        self.next_start = 1;
        self
    }

    pub fn break_rule(&mut self, rule: &'static str) {
        self.broken.get_or_insert(rule);
    }

    /// Returns whether a user's command is still running.
    pub fn is_busy(&self) -> bool {
        let is_command = |p: &&Process| !matches!(p.verb, Verb::Monitor(_) | Verb::Recover);
        self.processes
            .iter()
            .filter(is_command)
            .any(|p| p.step != Step::Ended)
    }

    pub fn has_ended(&self) -> bool {
        self.processes.iter().all(|p| p.step == Step::Ended)
    }

    /// Returns whether a monitor watches this start.
    pub fn is_watched(&self, start: Start) -> bool {
        let watches = |p: &Process| p.verb == Verb::Monitor(start) && p.step != Step::Ended;
        self.processes.iter().any(watches)
    }

    pub fn spawn_monitor(&mut self, start: Start) {
        // An ended monitor of the start is replaced, which keeps the state small.
        let place = self
            .processes
            .iter()
            .position(|p| p.verb == Verb::Monitor(start));
        match place {
            Some(place) if self.processes[place].step == Step::Ended => {
                self.processes[place] = Process::new(Verb::Monitor(start));
            }
            Some(_watches) => {}
            None => self.processes.push(Process::new(Verb::Monitor(start))),
        }
    }
}
