//! The shared libraries, which are opened at the first call and kept open.

use std::ffi::{CStr, c_void};
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// An error of loading libvirt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    library: &'static str,
    reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The dynamic loader's message usually has the file name already.
        if self.reason.contains(self.library) {
            write!(f, "{}", self.reason)
        } else {
            write!(f, "{}: {}", self.library, self.reason)
        }
    }
}

impl std::error::Error for LoadError {}

/// A shared library. It is opened at most once and never closed, because its functions may run in
/// other threads.
pub(crate) struct Library {
    name: &'static str,
    /// `name` as a C string.
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
    pub(crate) fn open(&'static self) -> Result<usize, &'static LoadError> {
        let opened = self.handle.get_or_init(|| {
            // SAFETY: the name is a C string; libvirt's initialisers have no preconditions.
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

    /// Returns the address of a function; null if the library or the function is missing.
    fn symbol(&'static self, name: &CStr) -> *mut c_void {
        match self.open() {
            // SAFETY: the handle comes from dlopen and is never closed; the name is a C string.
            Ok(handle) => unsafe { libc::dlsym(handle as *mut c_void, name.as_ptr()) },
            Err(_) => std::ptr::null_mut(),
        }
    }
}

/// Returns the dynamic loader's last error in this thread.
fn last_loader_error() -> String {
    // SAFETY: dlerror returns null or a C string that stays valid until the next loader call of
    // this thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "the dynamic loader gave no reason".to_string();
    }
    // SAFETY: not null, so it is a C string (see above); it is copied at once.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A function of a library. Its address is looked up at the first call.
pub(crate) struct Symbol {
    library: &'static Library,
    name: &'static CStr,
    address: AtomicPtr<c_void>,
}

/// The address that marks a function as missing. No function has this address.
const MISSING: *mut c_void = std::ptr::dangling_mut();

impl Symbol {
    pub(crate) const fn new(library: &'static Library, name: &'static CStr) -> Symbol {
        Symbol {
            library,
            name,
            address: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Returns the function's address; `None` if the library or the function is missing.
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

/// Defines functions: `name(arguments) -> result = failure;` calls libvirt's function of the same
/// name, or returns `failure` if that is missing.
macro_rules! forward {
    (
        from $library:ident;
        $($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $failure:expr;)*
    ) => {$(
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            const NAME: &std::ffi::CStr =
                match std::ffi::CStr::from_bytes_with_nul(
                    concat!(stringify!($name), "\0").as_bytes()
                ) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
            static SYMBOL: $crate::library::Symbol =
                $crate::library::Symbol::new(&$crate::library::$library, NAME);
            match SYMBOL.address() {
                // SAFETY: the address is that of libvirt's function of this name, whose prototype
                // `generate` read from libvirt's header; the caller guarantees what libvirt demands
                // of the arguments.
                Some(address) => unsafe {
                    std::mem::transmute::<
                        *mut std::ffi::c_void,
                        unsafe extern "C" fn($($type),*) -> $result,
                    >(address)($($argument),*)
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
        assert_eq!(SYMBOL.address(), None, "the second call finds none either");
    }

    #[test]
    fn a_missing_function_has_no_address() {
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
