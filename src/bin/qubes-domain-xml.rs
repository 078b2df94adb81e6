//! `qubes-domain-xml`: prints the libvirt XML of a qube's domain (`qubes::tools`).

fn main() -> std::process::ExitCode {
    qubes::tools::main(&qubes::tools::QUBES_DOMAIN_XML)
}
