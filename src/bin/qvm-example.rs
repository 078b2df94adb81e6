//! `qvm-example`: prints the names of the qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_EXAMPLE)
}
