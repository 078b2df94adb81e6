//! `qvm-shutdown`: shuts down qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_SHUTDOWN)
}
