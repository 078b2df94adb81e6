fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_DOMAIN_XML)
}
