//! `qvm-features`: shows or changes features of a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_FEATURES)
}
