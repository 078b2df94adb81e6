//! `qvm-unpause`: resumes paused or suspended qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_UNPAUSE)
}
