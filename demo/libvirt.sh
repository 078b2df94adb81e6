#!/bin/bash
# libvirt.sh [FILE]: makes sure that libvirt runs. For an ordinary user it starts on demand
#   (qemu:///session). For root it is a service; without a service manager (a container, CI) this
#   script starts the two daemons. FILE records what was started or changed.
# libvirt.sh --stop FILE: stops and restores what FILE records, and nothing else.
set -euo pipefail

export PATH=$PATH:/usr/sbin:/sbin

runs() {
    local pid
    pid=$(cat "/run/$1.pid" 2> /dev/null) && kill -0 "$pid" 2> /dev/null
}

stop() {
    local kind name value _
    while read -r kind name value; do
        case $kind in
            daemon)
                # The process id may belong to another process by now.
                if [ "$(cat "/proc/$value/comm" 2> /dev/null)" != "$name" ]; then continue; fi
                echo "libvirt.sh: stopping $name, which was started for this"
                kill "$value" 2> /dev/null || continue
                for _ in $(seq 100); do
                    [ -e "/proc/$value" ] || break
                    sleep 0.1
                done ;;
            unit) systemctl stop "$name.socket" "$name.service" || true ;;
            # name is OWNER:GROUP, value is the mode.
            kvm) chown "$name" /dev/kvm && chmod "$value" /dev/kvm ;;
        esac
    done < <(tac "$1")
    rm -f "$1"
}

if [ "${1:-}" = --stop ]; then
    [ $# = 2 ] || { echo "usage: libvirt.sh --stop FILE" >&2; exit 2; }
    if [ -e "$2" ]; then stop "$2"; fi
    exit 0
fi

started=${1:-/dev/null}
: > "$started"
[ "$(id -u)" = 0 ] || exit 0

if command -v libvirtd > /dev/null; then daemon=libvirtd; else daemon=virtqemud; fi

if [ -d /run/systemd/system ]; then
    for name in virtlogd "$daemon"; do
        if systemctl is-active --quiet "$name.socket" "$name.service"; then continue; fi
        systemctl start "$name.socket"
        echo "unit $name" >> "$started"
    done
    exit 0
fi
# Without udev only root, or a group of another system that shares /dev, can open /dev/kvm. libvirt,
# as root, finds KVM, then finds that its QEMU user cannot use it, discards what it cached about QEMU
# and probes again at each request, which takes 5 s instead of 0.05 s and may never end. Apply udev's
# rule.
if [ -c /dev/kvm ] && getent group kvm > /dev/null; then
    case $(stat -c '%G %a' /dev/kvm) in
        "kvm "?6? | "kvm "?7? | *" 666") ;;
        *)
            echo "libvirt.sh: libvirt's QEMU cannot open /dev/kvm: giving it to group kvm, as udev would"
            echo "kvm $(stat -c '%u:%g %a' /dev/kvm)" >> "$started"
            chgrp kvm /dev/kvm && chmod 660 /dev/kvm ;;
    esac
fi
for name in virtlogd "$daemon"; do
    if runs "$name"; then continue; fi
    echo "libvirt.sh: no service manager here: starting $name"
    # Close the caller's descriptors: a pipe that the caller reads would never end.
    "$name" -d 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
    for _ in $(seq 100); do
        if runs "$name"; then break; fi
        sleep 0.1
    done
    echo "daemon $name $(cat "/run/$name.pid")" >> "$started"
done
# A daemon creates its socket before it detaches, but another process may have started this one.
for _ in $(seq 100); do
    if [ -S "/run/libvirt/${daemon/libvirtd/libvirt}-sock" ]; then exit 0; fi
    sleep 0.1
done
echo "libvirt.sh: $daemon runs but has no socket in /run/libvirt" >&2
exit 1
