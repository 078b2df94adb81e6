#!/bin/bash
# shellcheck disable=SC2012 # names of kernels are plain
# kernel.sh DOWNLOADS OUTDIR: a distribution's kernel as OUTDIR/vmlinuz, OUTDIR/lib/modules/VERSION and OUTDIR/version.
# The newest kernel package is downloaded (the one for virtual machines where there is one: smaller, and quicker to
# start) and unpacked; nothing is installed and /boot is not touched. Without a network the machine's own kernel serves.
set -euo pipefail

[ $# = 2 ] || { echo "usage: kernel.sh DOWNLOADS OUTDIR" >&2; exit 2; }
downloads=$1 out=$2
export PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$downloads" "$out"
downloads=$(cd "$downloads" && pwd)

# Versions of the kernel packages that Debian or Ubuntu offers, best first: by flavour, within one flavour the newest.
debian_candidates() {
    local architecture flavour
    architecture=$(dpkg --print-architecture)
    for flavour in "cloud-$architecture" "$architecture" kvm generic; do
        apt-cache pkgnames linux-image- \
            | sed -nE "s/^linux-image-([0-9.]+(-[0-9]+)?(\+[a-z0-9]+)?-$flavour)\$/\1/p" | sort -rV | sed -n 1,2p
    done
}

from_debian() {
    local version deb
    for version in $(debian_candidates); do
        # A package of lists that are a little old may have left the mirror: then the next one.
        deb=$(find "$downloads" -name "linux-image-${version}_*.deb" -print -quit)
        if [ -z "$deb" ]; then
            echo "kernel.sh: downloading linux-image-$version (unpacked for the guest only, not installed)"
            ( cd "$downloads" && apt-get download "linux-image-$version" > /dev/null 2>&1 ) || continue
            # Ubuntu keeps the modules in a package of their own.
            ( cd "$downloads" && apt-get download "linux-modules-$version" > /dev/null 2>&1 ) || true
        fi
        for deb in "$downloads/linux-image-${version}"_*.deb "$downloads/linux-modules-${version}"_*.deb; do
            if [ -e "$deb" ]; then dpkg -x "$deb" "$out" || { rm -f "$deb"; continue 2; }; fi
        done
        mv "$out/boot/vmlinuz-$version" "$out/vmlinuz"
        [ -d "$out/lib/modules" ] || { mkdir -p "$out/lib"; mv "$out/usr/lib/modules" "$out/lib/modules"; }
        echo "$version" > "$out/version"
        return 0
    done
    return 1
}

from_fedora() {
    local rpm version
    if ! ls "$downloads"/kernel-core-*.rpm > /dev/null 2>&1; then
        echo "kernel.sh: downloading kernel-core and kernel-modules-core (unpacked for the guest only, not installed)"
        ( cd "$downloads" && dnf -q download --arch "$(uname -m)" kernel-core kernel-modules-core ) || return 1
    fi
    for rpm in "$downloads"/kernel-*.rpm; do
        ( cd "$out" && rpm2cpio "$rpm" | busybox cpio -idm 2> /dev/null )
    done
    version=$(ls "$out/lib/modules" | sort -V | tail -n 1)
    mv "$out/lib/modules/$version/vmlinuz" "$out/vmlinuz"
    echo "$version" > "$out/version"
}

from_this_machine() {
    local version
    for version in "$(uname -r)" $(ls /lib/modules 2> /dev/null | sort -rV); do
        for image in "/lib/modules/$version/vmlinuz" "/boot/vmlinuz-$version"; do
            if [ ! -r "$image" ] || [ ! -d "/lib/modules/$version" ]; then continue; fi
            echo "kernel.sh: using this machine's own kernel $version"
            cp "$image" "$out/vmlinuz"
            mkdir -p "$out/lib/modules"
            cp -r "/lib/modules/$version" "$out/lib/modules/"
            echo "$version" > "$out/version"
            return 0
        done
    done
    return 1
}

if command -v apt-get > /dev/null && from_debian; then :
elif command -v dnf > /dev/null && from_fedora; then :
elif from_this_machine; then :
else
    echo "kernel.sh: no kernel: the package manager gave none and this machine's own cannot be read" >&2
    exit 1
fi
depmod -b "$out" "$(cat "$out/version")"
