//! `qvm-pause`: pauses or suspends qubes (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_PAUSE)
}
