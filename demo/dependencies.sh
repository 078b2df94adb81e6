#!/bin/bash
# dependencies.sh demo|test|bench...: installs what these need and this machine lacks, with the system's package manager.
# Says what is installed and what for. Asks nothing as root; otherwise it goes through sudo.
set -euo pipefail

export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C DEBIAN_FRONTEND=noninteractive
[ $# -gt 0 ] || { echo "usage: dependencies.sh demo|test|bench..." >&2; exit 2; }
for set in "$@"; do
    case $set in demo | test | bench) ;; *) echo "dependencies.sh: no such set: '$set' (demo, test, bench)" >&2; exit 2 ;; esac
done
wanted=" $* "

has() { command -v "$1" > /dev/null; }
has_library() { ldconfig -p 2> /dev/null | grep -q "$1"; }
has_file() { compgen -G "$1" > /dev/null; }
# The guest has no libraries: its busybox must be linked statically and know what the guest's scripts call.
has_busybox() { has busybox && ! ldd "$(command -v busybox)" > /dev/null 2>&1 && busybox --list | grep -qx mke2fs; }
has_dnf_download() { dnf download --help > /dev/null 2>&1; }
# libvirt's QEMU driver, in the one big daemon or in a daemon of its own, as a module or built in.
has_libvirt_qemu() {
    { has libvirtd || has virtqemud; } && for directory in /usr/lib/*/libvirt /usr/lib64/libvirt /usr/lib/libvirt; do
        if has_file "$directory/connection-driver/libvirt_driver_qemu.so"; then return 0; fi
    done
    return 1
}

missing=()
# need SETS CHECK DEBIAN FEDORA WHAT-FOR: adds the packages when one of SETS is wanted and CHECK fails.
need() {
    local set check=$2 debian=$3 fedora=$4 reason=$5 packages
    for set in $1; do
        case $wanted in
            *" $set "*)
                if $check; then return; fi
                packages=$debian; [ "$manager" = dnf ] && packages=$fedora
                echo "  $packages: $reason"
                # shellcheck disable=SC2206 # several packages in one word are meant
                missing+=($packages)
                return ;;
        esac
    done
}

if has apt-get; then manager=apt
elif has dnf; then manager=dnf
else manager=none
fi

needs() {
    need "demo test bench" "has cc"                  "gcc libc6-dev"             "gcc"                      "links what Rust compiles"
    need "demo test" "has qemu-system-x86_64"        "qemu-system-x86"           "qemu-system-x86-core"     "the machine the qubes run on"
    need "demo test" "has_libvirt_qemu"              "libvirt-daemon-system libvirt-daemon-driver-qemu" "libvirt-daemon libvirt-daemon-driver-qemu" "starts and watches QEMU"
    need "demo test" "has virtlogd"                  "$virtlogd_on_debian"       "libvirt-daemon-log"       "keeps what a guest prints"
    need "demo test" "has_library libvirt.so.0"      "libvirt0"                  "libvirt-libs"             "how the tools talk to libvirt"
    need "demo test" "has_busybox"                   "busybox-static"            "busybox"                  "user space of the small guest"
    need "demo test" "has mke2fs"                    "e2fsprogs"                 "e2fsprogs"                "makes the guest's root volume without root"
    need "demo test" "has depmod"                    "kmod"                      "kmod"                     "finds the guest's disk driver"
    need "demo test" "has zstd"                      "zstd"                      "zstd"                     "unpacks the guest's kernel"
    need "demo test" "has xz"                        "xz-utils"                  "xz"                       "unpacks the guest's drivers"
    if [ $manager = dnf ]; then
        need "demo test" "has_dnf_download"          "-"                         "dnf-command(download)"    "fetches the kernel's package"
        need "demo test" "has rpm2cpio"              "-"                         "rpm"                      "unpacks the kernel's package"
    fi
    need "test" "has mkfs.btrfs"                     "btrfs-progs"               "btrfs-progs"              "tests of reflink storage"
    need "test" "has mkfs.xfs"                       "xfsprogs"                  "xfsprogs"                 "tests of reflink storage"
    need "test" "has losetup"                        "mount"                     "util-linux"               "file systems of the tests"
    # The Xen lab is made of this machine's own packages, where it is a Debian.
    if [ $manager = apt ]; then
        need "test" "has mmdebstrap"                 "mmdebstrap"                "-"                        "makes the Xen dom0 of the tests"
    fi
    need "test" "has strip"                          "binutils"                  "binutils"                 "makes what goes into the Xen dom0 smaller"
    need "test" "has strace"                         "strace"                    "strace"                   "tests that stop a writer at every system call"
    need "test" "has python3"                        "python3-minimal"           "python3"                  "tests of the lock against Qubes' own kind"
    need "test" "has virt-xml-validate"              "libvirt-clients"           "libvirt-client"           "checks the domain XML against libvirt's schema"
    need "test bench" "has xmllint"                  "libxml2-utils"             "libxml2"                  "what the budgets are compared with"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif has sudo; then sudo "$@"
    else
        echo "dependencies.sh: not root and no sudo here; as root, run: $*" >&2
        return 1
    fi
}

apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT
apt_install() { as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get install -y --no-install-recommends "$@" > "$apt_log" 2>&1; }

# The highest version of a package that the distribution itself offers and that is not the installed one.
own_version() {
    local codename installed
    # shellcheck disable=SC1091 # the machine's file
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    installed=$(dpkg-query -W -f '${Version}' "$1" 2> /dev/null || true)
    apt-cache madison "$1" | awk -F ' *[|] *' -v suite=" ${codename}[-a-z]*/" -v installed="$installed" \
        '$3 ~ suite && $2 != installed { print $2 }' | sort -rV | head -n 1
}

# Packages that apt would remove.
to_be_removed() { sed -n '/^The following packages will be REMOVED/,/^[^ ]/p' "$apt_log" | grep '^ ' | tr -d '*' | tr ' ' '\n' | grep . || true; }

# Packages that stand in apt's way and that are installed in a version the distribution does not have.
conflicting() {
    local package codename
    # shellcheck disable=SC1091 # the machine's file
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    {
        sed -nE 's/^.*(Depends|PreDepends|Breaks|Conflicts): ([a-z0-9.+-]+).*$/\2/p' "$apt_log"
        to_be_removed
    } | sort -u | while read -r package; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed || continue
        apt-cache policy "$package" | grep -A 2 -F '***' | grep -q "://.* ${codename}[-a-z]*/" && continue
        echo "$package"
    done
}

install_with_apt() {
    local package version replaced=()
    if apt_install --no-remove "$@"; then return; fi
    # Lists that are missing or too old: the only reason to fetch them.
    if grep -qE 'Unable to locate package|has no installation candidate|Failed to fetch|404 ' "$apt_log"; then
        echo "The package lists are missing or too old: apt-get update"
        as_root apt-get update -q > "$apt_log" 2>&1 || cat "$apt_log" >&2
        if apt_install --no-remove "$@"; then return; fi
    fi
    # Installed packages from elsewhere that the distribution's do not fit: go back to the distribution's own.
    for package in $(conflicting); do
        version=$(own_version "$package")
        [ -n "$version" ] || continue
        echo "$package $(dpkg-query -W -f '${Version}' "$package") does not come from this distribution and stands in the way: replaced by its $version"
        replaced+=("$package=$version")
    done
    set -- --allow-downgrades "$@" ${replaced[@]+"${replaced[@]}"}
    if apt_install --no-remove "$@"; then return; fi
    # What is left: a package with another that does the same (busybox and busybox-static).
    if apt_install --simulate "$@"; then
        echo "Removed, because the above takes its place: $(to_be_removed | xargs)"
        if apt_install "$@"; then return; fi
    fi
    cat "$apt_log" >&2
    echo "dependencies.sh: apt-get could not install this: $*" >&2
    return 1
}

# On older releases virtlogd is part of the daemon's package; asked only where it matters.
virtlogd_on_debian=libvirt-daemon
if [ $manager = apt ] && ! has virtlogd && apt-cache show libvirt-daemon-log > /dev/null 2>&1; then virtlogd_on_debian=libvirt-daemon-log; fi

# Parts of the Rust toolchain that its smallest profile lacks.
case $wanted in *" test "*)
    for component in rustfmt clippy; do
        if "cargo-${component/rustfmt/fmt}" --version > /dev/null 2>&1 || ! has rustup; then continue; fi
        echo "Missing in the Rust toolchain, to be installed: $component"
        rustup component add "$component"
    done ;;
esac

list=$(mktemp); trap 'rm -f "$apt_log" "$list"' EXIT
needs > "$list"
if [ ${#missing[@]} = 0 ]; then exit 0; fi
echo "Missing here, to be installed:"
cat "$list"
case $manager in
    apt) install_with_apt "${missing[@]}" ;;
    dnf) as_root dnf install -y -q --setopt=install_weak_deps=False "${missing[@]}" ;;
    none) echo "dependencies.sh: neither apt-get nor dnf here; install the above in this system's own way" >&2; exit 1 ;;
esac
