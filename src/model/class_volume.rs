//! The volumes that qubes of a class have (`docs/spec/r4-storage.md` §1).

const GIB: u64 = 1 << 30;

/// The defaults of a class for a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassVolume {
    /// The name of the volume.
    pub name: &'static str,
    /// Whether the guest can write to it.
    pub rw: bool,
    /// Whether changes are kept when the qube stops.
    pub save_on_stop: bool,
    /// Whether it is a snapshot, created when the qube starts.
    pub snap_on_start: bool,
    /// The size in bytes.
    pub size: u64,
}

/// The volumes of a qube with its own system.
pub(super) const OWN: [ClassVolume; 4] = [
    origin("root", 10 * GIB),
    origin("private", 2 * GIB),
    volatile(10 * GIB),
    KERNEL,
];

/// The volumes of a qube with the system of its template and its own data.
pub(super) const BASED: [ClassVolume; 4] = [
    snapshot("root"),
    origin("private", 2 * GIB),
    volatile(10 * GIB),
    KERNEL,
];

/// The volumes of a qube with system and data of its template.
pub(super) const DISPOSABLE: [ClassVolume; 4] = [
    snapshot("root"),
    snapshot("private"),
    volatile(12 * GIB),
    KERNEL,
];

impl ClassVolume {
    /// Returns the default of a flag; false for one that only the store can set.
    pub fn flag(&self, name: &str) -> bool {
        match name {
            "rw" => self.rw,
            "save_on_stop" => self.save_on_stop,
            "snap_on_start" => self.snap_on_start,
            _ => false,
        }
    }
}

const KERNEL: ClassVolume = ClassVolume {
    rw: false,
    ..temporary("kernel", 0)
};

const fn origin(name: &'static str, size: u64) -> ClassVolume {
    ClassVolume {
        save_on_stop: true,
        ..temporary(name, size)
    }
}

const fn snapshot(name: &'static str) -> ClassVolume {
    ClassVolume {
        snap_on_start: true,
        ..temporary(name, 0)
    }
}

const fn volatile(size: u64) -> ClassVolume {
    temporary("volatile", size)
}

/// Returns a writable volume without data at start, and whose data are lost at stop.
const fn temporary(name: &'static str, size: u64) -> ClassVolume {
    ClassVolume {
        name,
        rw: true,
        save_on_stop: false,
        snap_on_start: false,
        size,
    }
}
