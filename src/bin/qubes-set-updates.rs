fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_SET_UPDATES)
}
