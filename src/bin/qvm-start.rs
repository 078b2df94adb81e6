//! `qvm-start`: starts qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_START)
}
