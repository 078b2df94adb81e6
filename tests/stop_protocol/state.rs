//! What the model of starting and stopping one qube consists of.

/// Number of a start; the model has room for this many of them.
pub type Start = u8;
pub const STARTS: usize = 3;

/// The rules of `docs/monitor.md` that can be taken out, to see that the model needs them.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Whoever wants a qube stopped looks at it again once the lock is granted.
    pub look_again_under_the_lock: bool,
    /// A start gives up when the stop mark is another one than it remembers.
    pub starts_compare_the_mark: bool,
    /// A start looks under its lock whether the qube runs already.
    pub starts_settle_first: bool,
    /// The record is written before the storage is touched.
    pub record_before_storage: bool,
    /// The record is removed last.
    pub record_removed_last: bool,
    /// The monitor acts under the operation lock.
    pub monitor_takes_the_lock: bool,
    /// The monitor looks at the domain again under the lock.
    pub monitor_asks_again: bool,
    /// The monitor acts only for the start in its record.
    pub monitor_compares_the_start: bool,
    /// The domain of a start that was killed is ended before its volumes are touched, also
    /// where none is seen: the order to create it may still be carried out.
    pub abandoned_starts_are_ended: bool,
    /// A qube that runs unwatched gets a monitor.
    pub unwatched_qubes_get_a_monitor: bool,
    /// A dirty volume without a record gets the same work.
    pub dirty_volumes_are_settled: bool,
}

impl Rules {
    pub const ALL: Rules = Rules {
        look_again_under_the_lock: true,
        starts_compare_the_mark: true,
        starts_settle_first: true,
        record_before_storage: true,
        record_removed_last: true,
        monitor_takes_the_lock: true,
        monitor_asks_again: true,
        monitor_compares_the_start: true,
        abandoned_starts_are_ended: true,
        unwatched_qubes_get_a_monitor: true,
        dirty_volumes_are_settled: true,
    };
}

/// What a process was run for.
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

/// What a process does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    // Before the lock.
    Begin,
    EndDomain,
    AskGuest,
    AwaitStop,
    Lock,
    // Under the lock: bringing the qube into order.
    LookAgain,
    Settle,
    EndAbandoned,
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
    // Under the lock: taking a start back.
    DestroyOwn,
    TakeBackStorage,
    Unlock,
    Ended,
}

/// How a process ended, as its exit code tells.
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
    /// The start that this process makes.
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

/// What the hypervisor has under the qube's uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain {
    pub start: Start,
    pub is_paused: bool,
}

/// The image that a guest writes to, until it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dirty {
    pub start: Start,
    /// The guest has written to it.
    pub is_written: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub processes: Vec<Process>,
    /// The holder of the operation lock, by its place among the processes.
    pub lock: Option<usize>,
    pub record: Option<Record>,
    /// `RUN/stop/NAME`: another number each time it is renewed.
    pub mark: u8,
    pub domain: Option<Domain>,
    /// An order to create a domain that the hypervisor has and has not carried out.
    pub ordered: Option<Start>,
    pub dirty: Option<Dirty>,
    pub next_start: Start,
    /// Of each start: how often what its guest wrote was committed, and whether it wrote.
    pub commits: [u8; STARTS],
    pub wrote: [bool; STARTS],
    pub crashes_left: u8,
    /// The rule that was broken on the way here.
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

    /// The qube runs, and its monitor watches.
    pub fn running(mut self) -> State {
        self = self.running_unwatched();
        self.record = Some(Record {
            start: 0,
            phase: Phase::Running,
        });
        self.spawn_monitor(0);
        self
    }

    /// The qube runs, and record and monitor are gone.
    pub fn running_unwatched(mut self) -> State {
        self.domain = Some(Domain {
            start: 0,
            is_paused: false,
        });
        self.after_power_loss()
    }

    /// A guest has written, and nobody has committed it.
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

    /// Whether a command that a person gave is still under way.
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

    /// Whether a process watches this start.
    pub fn is_watched(&self, start: Start) -> bool {
        let watches = |p: &Process| p.verb == Verb::Monitor(start) && p.step != Step::Ended;
        self.processes.iter().any(watches)
    }

    pub fn spawn_monitor(&mut self, start: Start) {
        // One that was there and ended leaves its place: the state stays small.
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
