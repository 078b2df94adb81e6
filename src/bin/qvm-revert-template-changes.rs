fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_REVERT_TEMPLATE_CHANGES)
}
