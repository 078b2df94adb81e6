//! `qvm-add-appvm`: registers an AppVM whose private image already exists (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_ADD_APPVM)
}
