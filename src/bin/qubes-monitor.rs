//! `qubes-monitor`: watches a running qube and finishes its stop (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_MONITOR)
}
