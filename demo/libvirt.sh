#!/bin/bash
# Sees to it that libvirt answers. For an ordinary user it starts by itself (qemu:///session); as root it is a service,
# and where no service manager runs (a container, CI) somebody has to start its two daemons: this does, and says so.
# The names of the daemons that were started are written to the file named as the argument, for whoever wants to stop them.
set -euo pipefail

export PATH=$PATH:/usr/sbin:/sbin
started=${1:-/dev/null}
: > "$started"
[ "$(id -u)" = 0 ] || exit 0

if command -v libvirtd > /dev/null; then daemon=libvirtd; else daemon=virtqemud; fi
runs() {
    local pid
    pid=$(cat "/run/$1.pid" 2> /dev/null) && kill -0 "$pid" 2> /dev/null
}

if [ -d /run/systemd/system ]; then
    systemctl start virtlogd.socket "$daemon.socket"
    exit 0
fi
# No udev either: then /dev/kvm is root's alone. libvirt looks for KVM as root, finds that its QEMU user has none, throws away
# what it learnt of QEMU and asks again at each request: five seconds instead of a twentieth. udev's own rule heals that.
if [ -c /dev/kvm ] && getent group kvm > /dev/null && [ "$(stat -c %a%G /dev/kvm)" = 600root ]; then
    echo "libvirt.sh: /dev/kvm is root's alone: giving it to group kvm, as udev would"
    chgrp kvm /dev/kvm && chmod 660 /dev/kvm
fi
for name in virtlogd "$daemon"; do
    runs "$name" && continue
    echo "libvirt.sh: no service manager here: starting $name"
    "$name" -d
    echo "$name" >> "$started"
done
# The socket is there before the daemon has let go of the terminal, but another starter may have been quicker.
for _ in $(seq 100); do
    if [ -S "/run/libvirt/${daemon/libvirtd/libvirt}-sock" ]; then exit 0; fi
    sleep 0.1
done
echo "libvirt.sh: $daemon runs but has no socket in /run/libvirt" >&2
exit 1
