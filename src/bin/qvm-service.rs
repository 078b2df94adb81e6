//! `qvm-service`: shows or changes services of a qube (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_SERVICE)
}
