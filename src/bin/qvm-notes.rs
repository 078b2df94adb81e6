//! `qvm-notes`: shows or edits the notes about a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_NOTES)
}
