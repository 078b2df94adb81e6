//! Whether KVM works here. That /dev/kvm exists proves nothing: inside some virtual machines it is
//! there, and what runs under it crawls or dies. So a tiny guest is run once, with a deadline, and
//! the answer is remembered.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::description::Accelerator;
use crate::exec::{self, Program};

/// A working KVM needs a quarter of a second for firmware and payload. Where it crawled, the
/// firmware alone took 12 s.
const DEADLINE: Duration = Duration::from_secs(4);

/// The status with which QEMU ends when the payload reached its end: its device makes 2n + 1 of the
/// payload's 16.
const PAYLOAD_DONE: i32 = 33;

const KVM_DEVICE: &str = "/dev/kvm";

/// Chooses what runs guests under QEMU: KVM where it has been seen to work, else QEMU's translator.
///
/// The answer is kept in the file `accelerator` of `cache_dir`, for this boot of this kernel and
/// this QEMU; to have it tried again, remove the file. What cannot be remembered is tried each
/// time.
pub fn choose_accelerator(program_path: &OsStr, cache_dir: &Path) -> Accelerator {
    let Some(qemu) = find_qemu(program_path) else {
        return Accelerator::Tcg;
    };
    if !Path::new(KVM_DEVICE).exists() {
        return Accelerator::Tcg;
    }
    let file = cache_dir.join("accelerator");
    let key = machine_key(&qemu);
    if let Some(known) = remembered(&file, &key) {
        return known;
    }
    let answer = if kvm_works(&qemu, DEADLINE) {
        Accelerator::Kvm
    } else {
        Accelerator::Tcg
    };
    // Without a place to remember it in, the answer is still right.
    let _forgotten = remember(&file, &key, answer);
    answer
}

/// QEMU as distributions call it.
fn find_qemu(program_path: &OsStr) -> Option<PathBuf> {
    let emulator = format!("qemu-system-{}", std::env::consts::ARCH);
    exec::find_program(&emulator, program_path)
        .or_else(|| exec::find_program("qemu-kvm", program_path))
        .or_else(|| Some(PathBuf::from("/usr/libexec/qemu-kvm")).filter(|path| path.is_file()))
}

/// Runs the payload under KVM and tells whether it came to its end in time.
fn kvm_works(qemu: &Path, deadline: Duration) -> bool {
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
        .timeout(deadline)
        .run();
    answer.is_ok_and(|answer| answer.status.code() == Some(PAYLOAD_DONE))
}

/// What the answer depends on: this boot (a virtual machine may wake up on another host), the
/// kernel, this QEMU.
fn machine_key(qemu: &Path) -> String {
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

/// The file holds two lines: the key, and `kvm` or `tcg`.
fn remembered(file: &Path, key: &str) -> Option<Accelerator> {
    let text = fs::read_to_string(file).ok()?;
    match text.strip_prefix(key)? {
        "\nkvm\n" => Some(Accelerator::Kvm),
        "\ntcg\n" => Some(Accelerator::Tcg),
        _ => None,
    }
}

fn remember(file: &Path, key: &str, answer: Accelerator) -> std::io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let word = match answer {
        Accelerator::Kvm => "kvm",
        Accelerator::Tcg => "tcg",
    };
    // A torn write is not recognised and tried again: durability is not worth a sync here.
    fs::write(file, format!("{key}\n{word}\n"))
}

/// A multiboot kernel, loaded at 1 MiB: does what an ordinary kernel does all the time and a bad
/// KVM is bad at (paging, page table changes, address space switches, CPUID), 2000 times, then ends
/// QEMU through its debug exit device.
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
    fn the_payload_comes_to_its_end_under_the_translator() {
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
            Some(PAYLOAD_DONE),
            "{}",
            String::from_utf8_lossy(&answer.stderr)
        );
    }

    #[test]
    fn an_emulator_that_hangs_or_fails_means_no_kvm() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let stand_in = |script: &str| {
            let file = place.path().join("qemu");
            fs::write(
                &file,
                format!("#!/bin/sh\n[ \"$1\" = ready ] && exit 0\n{script}\n"),
            )
            .unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            // A process that another test forks meanwhile has the file open for writing until it
            // executes.
            while Program::new(&file).arg("ready").run().is_err() {}
            file
        };
        let in_time = Duration::from_secs(60);
        assert!(kvm_works(&stand_in("exit 33"), in_time));
        assert!(!kvm_works(&stand_in("exit 1"), in_time));
        assert!(
            !kvm_works(&stand_in("exit 0"), in_time),
            "a guest that died and was not restarted"
        );
        assert!(!kvm_works(
            &stand_in("exec sleep 60"),
            Duration::from_millis(50)
        ));
    }

    #[test]
    fn the_answer_is_remembered_for_this_machine_only() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("deep/accelerator");
        assert_eq!(remembered(&file, "boot-1"), None);
        remember(&file, "boot-1", Accelerator::Kvm).unwrap();
        assert_eq!(remembered(&file, "boot-1"), Some(Accelerator::Kvm));
        assert_eq!(remembered(&file, "boot-2"), None);
        remember(&file, "boot-2", Accelerator::Tcg).unwrap();
        assert_eq!(remembered(&file, "boot-2"), Some(Accelerator::Tcg));
        fs::write(&file, "boot-2\nkv").unwrap();
        assert_eq!(
            remembered(&file, "boot-2"),
            None,
            "a torn file is no answer"
        );
    }
}
