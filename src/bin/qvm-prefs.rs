//! `qvm-prefs`: shows or changes properties of qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_PREFS)
}
