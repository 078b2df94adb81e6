#!/bin/bash
# dependencies.sh [--yes] demo|test|bench...: installs the missing packages for these with the
# system's package manager and lists them with their purpose. Runs the package manager directly as
# root, otherwise through sudo.
#   --yes   Also replace or remove conflicting packages, after naming them. Without it, the script
#           asks on a terminal and refuses elsewhere. CI=true in the environment has the same effect.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C

die() { echo "dependencies.sh: $*" >&2; exit 1; }
usage() { echo "usage: dependencies.sh [--yes] demo|test|bench..." >&2; exit 2; }

sets=() yes=
if [ "${CI:-false}" != false ]; then yes=yes; fi
for word in "$@"; do
    case $word in
        --yes) yes=yes ;;
        demo | test | bench) sets+=("$word") ;;
        *) echo "dependencies.sh: unknown set '$word'" >&2; usage ;;
    esac
done
[ ${#sets[@]} -gt 0 ] || usage
wanted=" ${sets[*]} "

has() { command -v "$1" > /dev/null; }
has_header() { [ -e "/usr/include/$1" ]; }
# Whole outputs are compared, because a reader that ends early (grep -q, head) can kill its writer
# with SIGPIPE, which pipefail reports as a failure.
has_library() { [[ $(ldconfig -p 2> /dev/null) == *"$1 "* ]]; }
# The guest has no libraries, so its busybox must be static and include the applets that the guest's
# scripts call.
has_busybox() {
    has busybox && ! ldd "$(command -v busybox)" > /dev/null 2>&1 \
        && [[ $'\n'$(busybox --list)$'\n' == *$'\nmke2fs\n'* ]]
}
has_dnf_download() { dnf download --help > /dev/null 2>&1; }
# libvirt's QEMU driver, in libvirtd or in virtqemud, as a module or built in.
has_libvirt_qemu() {
    local directory
    has libvirtd || has virtqemud || return 1
    for directory in /usr/lib/*/libvirt /usr/lib64/libvirt /usr/lib/libvirt; do
        if [ -e "$directory/connection-driver/libvirt_driver_qemu.so" ]; then return 0; fi
    done
    return 1
}

# --- Rust, before anything is installed -----------------------------------------------------------
cargo=${CARGO:-cargo}

# is_at_least VERSION MINIMUM: compares MAJOR.MINOR.
is_at_least() {
    local major minor wanted_major wanted_minor
    IFS=. read -r major minor _ <<< "$1"
    IFS=. read -r wanted_major wanted_minor _ <<< "$2"
    [ "$major" -gt "$wanted_major" ] \
        || { [ "$major" -eq "$wanted_major" ] && [ "$minor" -ge "$wanted_minor" ]; }
}

check_rust() {
    local minimum version program advice component
    minimum=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$here/../Cargo.toml")
    advice="install Rust $minimum or newer, with rustup for example: 'rustup toolchain install stable' (https://www.rust-lang.org/tools/install; package rustup of Debian 13, Ubuntu 24.04 and Fedora); nothing was installed"
    for program in "$cargo" "${RUSTC:-rustc}"; do
        has "$program" && continue
        if [ -n "${SUDO_USER:-}" ]; then die "cannot find $program: sudo does not keep the PATH of $SUDO_USER; run this without sudo, it calls sudo for what needs it"; fi
        die "cannot find $program: $advice"
    done
    version=$("${RUSTC:-rustc}" --version) || die "cannot run $(command -v "${RUSTC:-rustc}"): $advice"
    version=${version#rustc } version=${version%%[ -]*}
    is_at_least "$version" "$minimum" \
        || die "cannot build with Rust $version ($(command -v "${RUSTC:-rustc}")): qubes needs $minimum; $advice"
    [[ $wanted == *" test "* ]] || return 0
    # Parts of the toolchain that its smallest profile lacks.
    for component in rustfmt clippy; do
        if "$cargo" "${component/rustfmt/fmt}" --version > /dev/null 2>&1; then continue; fi
        has rustup || die "cannot find $component, a part of the Rust toolchain: install it (packages rustfmt and rust-clippy on Debian, rustfmt and clippy on Fedora), or use rustup; nothing was installed"
        echo "Missing in the Rust toolchain, to be installed: $component"
        rustup component add "$component"
    done
}

# --- what is needed -------------------------------------------------------------------------------
if has apt-get; then manager=apt
elif has dnf; then manager=dnf
else manager=none
fi

# On older releases virtlogd is part of the daemon's package. Only checked if virtlogd is missing.
virtlogd_on_debian=libvirt-daemon
choose_names() {
    if [ $manager = apt ] && ! has virtlogd && apt-cache show libvirt-daemon-log > /dev/null 2>&1; then
        virtlogd_on_debian=libvirt-daemon-log
    fi
}

missing=() list=
# need SETS CHECK DEBIAN FEDORA REASON: adds the packages if one of SETS is requested and CHECK
# fails.
need() {
    local set check=$2 packages=$3 reason=$5
    if [ "$manager" = dnf ]; then packages=$4; fi
    for set in $1; do
        [[ $wanted == *" $set "* ]] || continue
        if ! $check; then
            list+="  $packages: $reason"$'\n'
            # shellcheck disable=SC2206 # several packages in one word are meant
            missing+=($packages)
        fi
        return 0
    done
}

needs() {
    missing=() list=
    need "demo test bench" "has cc"                  "gcc libc6-dev"         "gcc"                    "links what Rust compiles"
    need "demo test" "has qemu-system-x86_64"        "qemu-system-x86"       "qemu-system-x86-core"   "the machine the qubes run on"
    need "demo test" "has_libvirt_qemu"              "libvirt-daemon-system libvirt-daemon-driver-qemu" "libvirt-daemon libvirt-daemon-driver-qemu" "starts and watches QEMU"
    need "demo test" "has virtlogd"                  "$virtlogd_on_debian"   "libvirt-daemon-log"     "keeps what a guest prints"
    need "demo test" "has_library libvirt.so.0"      "libvirt0"              "libvirt-libs"           "how the tools talk to libvirt"
    need "demo test" "has_busybox"                   "busybox-static"        "busybox"                "user space of the small guest"
    need "demo test" "has mke2fs"                    "e2fsprogs"             "e2fsprogs"              "makes the guest's root volume without root"
    need "demo test" "has modprobe"                  "kmod"                  "kmod"                   "finds the guest's disk driver"
    need "demo test" "has zstd"                      "zstd"                  "zstd"                   "unpacks the guest's kernel"
    need "demo test" "has xz"                        "xz-utils"              "xz"                     "unpacks the guest's drivers"
    need "demo test" "has lz4"                       "lz4"                   "lz4"                    "unpacks the guest's kernel"
    need "demo test" "has awk"                       "mawk"                  "gawk"                   "puts the guest's drivers in order"
    if [ $manager = dnf ]; then
        need "demo test" "has_dnf_download"          "-"                     "dnf-command(download)"  "fetches the kernel's package"
        need "demo test" "has rpm2cpio"              "-"                     "rpm"                    "unpacks the kernel's package"
    fi
    need "test" "has make"                           "make"                  "make"                   "installs for the tests"
    need "test" "has systemd-analyze"                "systemd"               "systemd"                "checks the units"
    need "test" "has mkfs.btrfs"                     "btrfs-progs"           "btrfs-progs"            "tests of reflink storage"
    need "test" "has mkfs.xfs"                       "xfsprogs"              "xfsprogs"               "tests of reflink storage"
    need "test" "has losetup"                        "mount"                 "util-linux"             "file systems of the tests"
    need "test" "has setpriv"                        "util-linux"            "util-linux"             "tests as another user"
    need "test" "has qemu-nbd"                       "qemu-utils"            "qemu-img"               "a process that has an image open"
    # The Xen lab is built from this machine's package sources, on Debian only.
    if [ $manager = apt ]; then
        need "test" "has mmdebstrap"                 "mmdebstrap"            "-"                      "makes the Xen dom0 of the tests"
    fi
    need "test" "has strip"                          "binutils"              "binutils"               "makes what goes into the Xen dom0 smaller"
    need "test" "has strace"                         "strace"                "strace"                 "tests that stop a writer at every system call"
    need "test" "has python3"                        "python3-minimal"       "python3"                "tests of the lock against Qubes' own kind"
    need "test" "has virt-xml-validate"              "libvirt-clients"       "libvirt-client"         "checks the domain XML against libvirt's schema"
    need "test" "has mandoc"                         "mandoc"                "mandoc"                 "checks the manual pages"
    need "test" "has_header libvirt/libvirt.h"       "libvirt-dev"           "libvirt-devel"          "compares the bindings with libvirt's headers"
    need "test" "has zsh"                            "zsh"                   "zsh"                    "tests of its completion"
    need "test" "has fish"                           "fish"                  "fish"                   "tests of its completion"
    need "test bench" "has xmllint"                  "libxml2-utils"         "libxml2"                "what the budgets are compared with"
}

# --- installing -----------------------------------------------------------------------------------
apt_log=$(mktemp)
trap 'rm -f "$apt_log"' EXIT

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# require_root COMMAND: if this user cannot become root, fails and prints the command for root.
require_root() {
    if [ "$(id -u)" = 0 ] || { has sudo && sudo true; }; then return 0; fi
    die "cannot install this as $(id -un) without sudo; as root, run: $*"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
        apt-get install -y --no-install-recommends "$@" > "$apt_log" 2>&1
}

# own_version PACKAGE: prints the distribution's highest version that is not the installed one.
own_version() {
    local codename installed
    # shellcheck disable=SC1091 # the machine's file
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    installed=$(dpkg-query -W -f '${Version}' "$1" 2> /dev/null || true)
    apt-cache madison "$1" | awk -F ' *[|] *' -v suite=" ${codename}[-a-z]*/" -v installed="$installed" \
        '$3 ~ suite && $2 != installed { print $2 }' | sort -rV | sed -n 1p
}

# listed_by_apt HEADING: prints the packages below a heading of apt's output, one per line.
listed_by_apt() {
    sed -n "/^The following packages will be $1/,/^[^ ]/p" "$apt_log" \
        | sed -n '/^ /{s/[*]//g;s/^ *//;s/  */\n/g;p}'
}

# Prints installed packages that apt reports as conflicting and that are not the distribution's.
conflicting() {
    local package codename status policy
    # shellcheck disable=SC1091 # the machine's file
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    {
        sed -nE 's/^.*(Depends|PreDepends|Breaks|Conflicts): ([a-z0-9.+-]+).*$/\2/p' "$apt_log"
        listed_by_apt REMOVED
    } | sort -u | while read -r package; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null) || continue
        [ "$status" = installed ] || continue
        # The source of the installed version is in the two lines after the mark.
        policy=$(apt-cache policy "$package" | grep -A 2 -F "***" || true)
        [[ $policy =~ ://.*\ ${codename}[-a-z]*/ ]] || echo "$package"
    done
}

# Asks before installed packages are replaced or removed.
confirm() {
    local answer
    if [ -n "$yes" ]; then return 0; fi
    if [ -t 0 ] && [ -t 1 ]; then
        read -r -p "Go on? [y/N] " answer
        case $answer in [yY] | [yY][eE][sS]) return 0 ;; esac
        die "nothing was changed"
    fi
    die "cannot ask whether to replace or remove packages without a terminal;" \
        "run: demo/dependencies.sh --yes ${sets[*]}"
}

# Fetches the package lists when they lack one of the packages.
refresh_lists() {
    local package
    for package in "$@"; do
        apt-cache show "$package" > /dev/null 2>&1 && continue
        echo "The package lists are missing or too old: apt-get update"
        as_root apt-get update -q > "$apt_log" 2>&1 || cat "$apt_log" >&2
        return 0
    done
}

install_with_apt() {
    local package version replaced=()
    if apt_install --no-remove "$@"; then return 0; fi
    # Retry with fresh package lists.
    if grep -qE 'Unable to locate package|has no installation candidate|Failed to fetch|404 ' \
        "$apt_log"; then
        echo "The package lists are too old: apt-get update"
        as_root apt-get update -q > "$apt_log" 2>&1 || cat "$apt_log" >&2
        if apt_install --no-remove "$@"; then return 0; fi
    fi
    # Packages from another source that conflict: replace them by the distribution's versions.
    for package in $(conflicting); do
        version=$(own_version "$package")
        [ -n "$version" ] || continue
        echo "$package $(dpkg-query -W -f '${Version}' "$package") does not come from this" \
            "distribution and stands in the way; to be replaced by its $version"
        replaced+=("$package=$version")
    done
    # Remaining conflicts are alternatives of one program (busybox and busybox-static).
    if ! apt_install --simulate --allow-downgrades "$@" ${replaced[@]+"${replaced[@]}"}; then
        cat "$apt_log" >&2
        die "cannot install with apt-get: $*"
    fi
    for package in $(listed_by_apt REMOVED); do
        echo "$package stands in the way; to be removed"
    done
    for package in $(listed_by_apt DOWNGRADED); do
        echo "$package $(dpkg-query -W -f '${Version}' "$package"): to be replaced by an older version"
    done
    confirm
    if ! apt_install --allow-downgrades "$@" ${replaced[@]+"${replaced[@]}"}; then
        cat "$apt_log" >&2
        die "cannot install with apt-get: $*"
    fi
}

# ==================================================================================================
check_rust
choose_names
needs
if [ ${#missing[@]} = 0 ]; then exit 0; fi
case $manager in
    apt)
        command="apt-get install --no-install-recommends"
        require_root "apt-get update && $command ${missing[*]}"
        refresh_lists "${missing[@]}"
        # Fresh lists may offer another package for the same purpose.
        choose_names
        needs ;;
    dnf)
        command="dnf install --setopt=install_weak_deps=False"
        require_root "$command ${missing[*]}" ;;
    none)
        printf 'Missing here:\n%s' "$list" >&2
        die "cannot install without apt-get or dnf; install the above in this system's own way" ;;
esac
printf 'Missing here, to be installed:\n%s' "$list"
if [ $manager = apt ]; then install_with_apt "${missing[@]}"
else as_root dnf install -y -q --setopt=install_weak_deps=False "${missing[@]}"
fi
hash -r
needs
if [ ${#missing[@]} != 0 ]; then
    printf '%s' "$list" >&2
    die "cannot continue: the packages above are installed, but what they should provide is missing"
fi
