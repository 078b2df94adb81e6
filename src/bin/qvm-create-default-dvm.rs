fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QVM_CREATE_DEFAULT_DVM)
}
