//! Detects whether KVM works on this host. The existence of /dev/kvm does not prove it: in some
//! virtual machines /dev/kvm exists, but its guests are extremely slow or die. So a tiny guest is
//! run once with a time limit, and the result is cached.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::description::Accelerator;
use crate::exec::{self, Program};

/// The time limit for firmware and payload. A working KVM needs a quarter of a second; a slow one
/// was measured to take 12 s for the firmware alone.
const TIMEOUT: Duration = Duration::from_secs(4);

/// QEMU's exit status once the payload is complete: the isa-debug-exit device turns the payload's
/// n, which is 16, into 2n + 1.
const PAYLOAD_COMPLETE: i32 = 33;

const KVM_DEVICE: &str = "/dev/kvm";

/// Chooses the accelerator of QEMU: KVM if a test guest runs under it, else QEMU's translator.
///
/// The result is cached in the file `accelerator` of `cache_dir`, for this boot of this kernel and
/// this QEMU; remove the file to repeat the test. If the file cannot be written, every call repeats
/// the test.
pub fn choose_accelerator(program_path: &OsStr, cache_dir: &Path) -> Accelerator {
    let Some(qemu) = find_qemu(program_path) else {
        return Accelerator::Tcg;
    };
    if !Path::new(KVM_DEVICE).exists() {
        return Accelerator::Tcg;
    }
    let file = cache_dir.join("accelerator");
    let key = cache_key(&qemu);
    if let Some(known) = read_cache(&file, &key) {
        return known;
    }
    let answer = if kvm_works(&qemu, TIMEOUT) {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    };
    // An answer that cannot be cached is still right.
    let _not_cached = write_cache(&file, &key, answer);
    answer
}

/// Finds QEMU under the names that distributions use.
fn find_qemu(program_path: &OsStr) -> Option<PathBuf> {
    let emulator = format!("qemu-system-{}", std::env::consts::ARCH);
    exec::find_program(&emulator, program_path)
        .or_else(|| exec::find_program("qemu-kvm", program_path))
        .or_else(|| Some(PathBuf::from("/usr/libexec/qemu-kvm")).filter(|path| path.is_file()))
}

/// Runs the payload under KVM and returns whether it completes in time.
fn kvm_works(qemu: &Path, timeout: Duration) -> bool {
    let Ok(mut payload) = tempfile::NamedTempFile::new() else {
        return false;
    };
    if payload
        .write_all(&PAYLOAD)
        .and_then(|()| payload.flush())
        .is_err()
    {
        return false;
    }
    let answer = Program::new(qemu)
        .args([
            "-accel",
            "kvm",
            "-machine",
            "pc",
            "-m",
            "16",
            "-nodefaults",
            "-no-user-config",
            "-no-reboot",
        ])
        .args([
            "-display",
            "none",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=1",
            "-kernel",
        ])
        .arg(payload.path())
        .timeout(timeout)
        .run();
    answer.is_ok_and(|answer| answer.status.code() == Some(PAYLOAD_COMPLETE))
}

/// Returns the cache key: this boot (a virtual machine may resume on another host), the kernel, and
/// this QEMU.
fn cache_key(qemu: &Path) -> String {
    let read = |path| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .trim()
            .to_string()
    };
    let stamp = fs::metadata(qemu).map_or((0, 0), |m| (m.len(), m.mtime()));
    format!(
        "{} {} {} {} {}",
        read("/proc/sys/kernel/random/boot_id"),
        read("/proc/sys/kernel/osrelease"),
        qemu.display(),
        stamp.0,
        stamp.1
    )
}

/// Reads the cached answer for this key. The file has two lines: the key, and `kvm` or `tcg`.
fn read_cache(file: &Path, key: &str) -> Option<Accelerator> {
    let text = fs::read_to_string(file).ok()?;
    match text.strip_prefix(key)? {
        "\nkvm\n" => Some(Accelerator::Kvm),
        "\ntcg\n" => Some(Accelerator::Tcg),
        _ => None,
    }
}

/// Writes the answer for this key to the cache file.
fn write_cache(file: &Path, key: &str, answer: Accelerator) -> std::io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let word = match answer {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    };
    // No sync: an incomplete file is ignored, and the test is repeated.
    fs::write(file, format!("{key}\n{word}\n"))
}

/// A multiboot kernel, loaded at 1 MiB. It repeats 2000 times what ordinary kernels do often and a
/// bad KVM is slow at (paging, page table changes, address space switches, CPUID), then ends QEMU
/// through the isa-debug-exit device.
#[rustfmt::skip]
const PAYLOAD: [u8; 138] = [
    0x02, 0xb0, 0xad, 0x1b, // magic
    0x00, 0x00, 0x01, 0x00, // flags: addresses follow
    0xfe, 0x4f, 0x51, 0xe4, // checksum
    0x00, 0x00, 0x10, 0x00, // header at
    0x00, 0x00, 0x10, 0x00, // load at
    0x8a, 0x00, 0x10, 0x00, // load end
    0x8a, 0x00, 0x10, 0x00, // end
    0x20, 0x00, 0x10, 0x00, // entry
    0xbf, 0x00, 0x00, 0x20, 0x00, // mov $0x200000,%edi
    0xb8, 0x03, 0x00, 0x00, 0x00, // mov $0x3,%eax
    0xb9, 0x00, 0x04, 0x00, 0x00, // mov $0x400,%ecx
    0xab, // stos %eax,%es:(%edi)
    0x05, 0x00, 0x10, 0x00, 0x00, // add $0x1000,%eax
    0xe2, 0xf8, // loop 2f
    0xbf, 0x00, 0x10, 0x20, 0x00, // mov $0x201000,%edi
    0xc7, 0x07, 0x03, 0x00, 0x20, 0x00, // movl $0x200003,(%edi)
    0x0f, 0x22, 0xdf, // mov %edi,%cr3
    0x0f, 0x20, 0xc0, // mov %cr0,%eax
    0x0d, 0x00, 0x00, 0x00, 0x80, // or $0x80000000,%eax
    0x0f, 0x22, 0xc0, // mov %eax,%cr0
    0xbe, 0xd0, 0x07, 0x00, 0x00, // mov $0x7d0,%esi
    0xc7, 0x05, 0x00, 0x0c, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, // movl $0x0,0x200c00
    0x0f, 0x01, 0x3d, 0x00, 0x00, 0x30, 0x00, // invlpg 0x300000
    0xc7, 0x05, 0x00, 0x0c, 0x20, 0x00, 0x03, 0x00, 0x30, 0x00, // movl $0x300003,0x200c00
    0x89, 0x35, 0x00, 0x00, 0x30, 0x00, // mov %esi,0x300000
    0x0f, 0x20, 0xd8, // mov %cr3,%eax
    0x0f, 0x22, 0xd8, // mov %eax,%cr3
    0x31, 0xc0, // xor %eax,%eax
    0x0f, 0xa2, // cpuid
    0x4e, // dec %esi
    0x75, 0xd2, // jne 55
    0xb0, 0x10, // mov $0x10,%al
    0xe6, 0xf4, // out %al,$0xf4
    0xf4, // hlt
    0xeb, 0xfd, // jmp 87
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_completes_under_the_translator() {
        let path = OsStr::new("/usr/local/bin:/usr/bin:/bin");
        let qemu = find_qemu(path).expect("QEMU is installed where the tests run");
        let payload = tempfile::NamedTempFile::new().unwrap();
        fs::write(payload.path(), PAYLOAD).unwrap();
        let answer = Program::new(qemu)
            .args([
                "-accel",
                "tcg",
                "-machine",
                "pc",
                "-m",
                "16",
                "-nodefaults",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1", "-kernel"])
            .arg(payload.path())
            .timeout(Duration::from_secs(60))
            .run()
            .unwrap();
        assert_eq!(
            answer.status.code(),
            Some(PAYLOAD_COMPLETE),
            "{}",
            String::from_utf8_lossy(&answer.stderr)
        );
    }

    #[test]
    fn an_emulator_that_hangs_or_fails_means_no_kvm() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let fake_qemu = |script: &str| {
            let file = place.path().join("qemu");
            fs::write(
                &file,
                format!("#!/bin/sh\n[ \"$1\" = ready ] && exit 0\n{script}\n"),
            )
            .unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            // A process that another test forks meanwhile keeps the file open for writing until its
            // exec; until then the file cannot be run.
            while Program::new(&file).arg("ready").run().is_err() {}
            file
        };
        let long = Duration::from_secs(60);
        assert!(kvm_works(&fake_qemu("exit 33"), long));
        assert!(!kvm_works(&fake_qemu("exit 1"), long));
        assert!(
            !kvm_works(&fake_qemu("exit 0"), long),
            "the guest died and QEMU did not restart it"
        );
        assert!(!kvm_works(
            &fake_qemu("exec sleep 60"),
            Duration::from_millis(50)
        ));
    }

    #[test]
    fn the_answer_is_cached_for_one_key_only() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("deep/accelerator");
        assert_eq!(read_cache(&file, "boot-1"), None);
        write_cache(&file, "boot-1", Accelerator::Kvm).unwrap();
        assert_eq!(read_cache(&file, "boot-1"), Some(Accelerator::Kvm));
        assert_eq!(read_cache(&file, "boot-2"), None);
        write_cache(&file, "boot-2", Accelerator::Tcg).unwrap();
        assert_eq!(read_cache(&file, "boot-2"), Some(Accelerator::Tcg));
        fs::write(&file, "boot-2\nkv").unwrap();
        assert_eq!(
            read_cache(&file, "boot-2"),
            None,
            "an incomplete file is ignored"
        );
    }
}
