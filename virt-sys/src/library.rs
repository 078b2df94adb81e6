//! The libraries behind the functions, opened when first needed and kept open.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Once, OnceLock};

/// Why libvirt cannot be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    library: &'static str,
    reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The dynamic loader mostly names the file itself.
        if self.reason.contains(self.library) {
            write!(f, "{}", self.reason)
        } else {
            write!(f, "{}: {}", self.library, self.reason)
        }
    }
}

impl std::error::Error for LoadError {}

/// Opens `libvirt.so.0`, once per process, and keeps it from printing its errors to standard error
/// (every call returns them as well); later calls return what the first one found.
///
/// # Errors
/// The dynamic loader's words when the library is not installed or not usable.
pub fn load() -> Result<(), LoadError> {
    LIBVIRT.open().map_err(Clone::clone)?;
    static SILENCED: Once = Once::new();
    // SAFETY: the handler takes what libvirt hands it and does nothing.
    SILENCED.call_once(|| unsafe {
        crate::bindings::virSetErrorFunc(std::ptr::null_mut(), Some(print_nothing))
    });
    Ok(())
}

unsafe extern "C" fn print_nothing(_: *mut c_void, _: crate::bindings::virErrorPtr) {}

/// A shared library that is opened at most once and never closed: functions of it may run in other
/// threads.
pub(crate) struct Library {
    name: &'static str,
    /// `name` for C.
    file: &'static CStr,
    handle: OnceLock<Result<usize, LoadError>>,
}

pub(crate) static LIBVIRT: Library = Library {
    name: "libvirt.so.0",
    file: c"libvirt.so.0",
    handle: OnceLock::new(),
};
pub(crate) static LIBVIRT_QEMU: Library = Library {
    name: "libvirt-qemu.so.0",
    file: c"libvirt-qemu.so.0",
    handle: OnceLock::new(),
};

impl Library {
    fn open(&'static self) -> Result<usize, &'static LoadError> {
        let opened = self.handle.get_or_init(|| {
            // SAFETY: the name is a C string; the library's own initialisers are libvirt's.
            let handle =
                unsafe { libc::dlopen(self.file.as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
            if handle.is_null() {
                return Err(LoadError {
                    library: self.name,
                    reason: last_loader_error(),
                });
            }
            Ok(handle as usize)
        });
        opened.as_ref().copied()
    }

    /// The address of one function, null when the library or the function is missing.
    fn symbol(&'static self, name: &CStr) -> *mut c_void {
        match self.open() {
            // SAFETY: the handle comes from dlopen and is never closed; the name is a C string.
            Ok(handle) => unsafe { libc::dlsym(handle as *mut c_void, name.as_ptr()) },
            Err(_) => std::ptr::null_mut(),
        }
    }
}

fn last_loader_error() -> String {
    // SAFETY: dlerror returns null or a C string that stays valid until the next loader call of
    // this thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the dynamic loader gives no reason".to_string();
    }
    // SAFETY: see above; it is copied at once.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// One function: where it is, looked up at its first call.
pub(crate) struct Symbol {
    library: &'static Library,
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

/// Stands for "looked up, and missing". No function has this address.
const MISSING: *mut c_void = std::ptr::dangling_mut();

impl Symbol {
    pub(crate) const fn new(library: &'static Library, name: &'static CStr) -> Symbol {
        Symbol {
            library,
            name,
            address: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// The function's address, or `None` when the library or the function is missing.
    pub(crate) fn address(&self) -> Option<*mut c_void> {
        let mut address = self.address.load(Ordering::Acquire);
        if address.is_null() {
            address = self.library.symbol(self.name);
            if address.is_null() {
                address = MISSING;
            }
            self.address.store(address, Ordering::Release);
        }
        (address != MISSING).then_some(address)
    }
}

/// `name(arguments) -> result = failure;` defines a function that calls libvirt's of the same name,
/// or returns `failure`.
macro_rules! forward {
    (from $library:ident; $($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $failure:expr;)*) => {$(
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            const NAME: &std::ffi::CStr =
                match std::ffi::CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
            static SYMBOL: $crate::library::Symbol =
                $crate::library::Symbol::new(&$crate::library::$library, NAME);
            match SYMBOL.address() {
                // SAFETY: the address is that of libvirt's function of this name, whose prototype
                // `generate` read from libvirt's header; what the arguments must be is the caller's
                // promise to libvirt.
                Some(address) => unsafe {
                    std::mem::transmute::<*mut std::ffi::c_void, unsafe extern "C" fn($($type),*) -> $result>(address)(
                        $($argument),*
                    )
                },
                None => $failure,
            }
        }
    )*};
}
pub(crate) use forward;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_an_error_that_names_it() {
        static NOWHERE: Library = Library {
            name: "libnowhere.so.0",
            file: c"libnowhere.so.0",
            handle: OnceLock::new(),
        };
        static SYMBOL: Symbol = Symbol::new(&NOWHERE, c"virInitialize");
        let error = NOWHERE.open().unwrap_err().to_string();
        assert!(error.contains("libnowhere.so.0"), "{error}");
        assert_eq!(SYMBOL.address(), None);
        assert_eq!(SYMBOL.address(), None, "also the second time");
    }

    #[test]
    fn a_missing_function_is_an_error_too() {
        static LIBC: Library = Library {
            name: "libc.so.6",
            file: c"libc.so.6",
            handle: OnceLock::new(),
        };
        static PRESENT: Symbol = Symbol::new(&LIBC, c"getpid");
        static ABSENT: Symbol = Symbol::new(&LIBC, c"virNotThere");
        assert!(PRESENT.address().is_some());
        assert_eq!(ABSENT.address(), None);
    }
}
