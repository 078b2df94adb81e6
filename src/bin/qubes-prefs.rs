//! `qubes-prefs`: shows or changes properties of the system (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_PREFS)
}
