#!/bin/bash
# debian-template.sh OUTDIR [PACKAGE...]: builds a Debian template from the distribution's packages:
#   OUTDIR/vm-kernels/VERSION/   vmlinuz, initramfs, default-kernelopts-nopci.txt
#   OUTDIR/root.img              the root volume, ext4
#   OUTDIR/kernel-version        VERSION
# Uses this machine's package sources. For an ordinary user it needs user namespaces (sysctl
# kernel.unprivileged_userns_clone, /etc/subuid) and newuidmap (package uidmap). Takes about three
# minutes, 2 GiB of disk below TMPDIR and 600 MiB in OUTDIR.
set -euo pipefail

usage() { echo "usage: debian-template.sh OUTDIR [PACKAGE...]" >&2; exit 2; }
[ $# -ge 1 ] || usage
case $1 in -*) usage ;; esac
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
programs=(mmdebstrap mke2fs)
if [ "$(id -u)" != 0 ]; then programs+=(newuidmap); fi
for program in "${programs[@]}"; do
    command -v "$program" > /dev/null || {
        echo "debian-template.sh: cannot find $program; install it" \
            "(packages mmdebstrap, e2fsprogs, uidmap)" >&2
        exit 1
    }
done
# shellcheck disable=SC1091 # the machine's file
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[ -n "$suite" ] || {
    echo "debian-template.sh: /etc/os-release names no release of Debian" >&2
    exit 1
}
mkdir -p "$1"
out=$(cd "$1" && pwd)
shift
# systemd and udev boot the system, logind (with dbus) handles the power button; the rest are basic
# tools.
packages=systemd-sysv,udev,dbus,initramfs-tools,linux-image-cloud-amd64
packages+=,login,passwd,procps,iproute2,less
for package in "$@"; do packages+=,$package; done

work=$(mktemp -d "${TMPDIR:-/var/tmp}/debian-template.XXXXXX")
trap 'rm -rf "$work"' EXIT
# mmdebstrap reads it as another user of the namespace.
chmod 755 "$work"

# Customises the new system: accounts without password on the serial console, and the private volume
# (/dev/vdb), formatted if empty, as /rw with the home directories.
cat > "$work/customize" << 'CUSTOMIZE'
set -eu
root=$1
echo debian > "$root/etc/hostname"
printf '%s\n' '/dev/vda / ext4 rw,noatime,discard 0 1' '/dev/vdb /rw ext4 noatime,discard,nofail 0 2' \
    '/rw/home /home none bind,nofail 0 0' > "$root/etc/fstab"
mkdir -p "$root/rw"
chroot "$root" passwd -d root > /dev/null
chroot "$root" useradd -m -s /bin/bash -G sudo user 2> /dev/null || chroot "$root" useradd -m -s /bin/bash user
chroot "$root" passwd -d user > /dev/null
cat > "$root/etc/systemd/system/private-volume.service" << 'UNIT'
[Unit]
Description=Format an empty private volume
DefaultDependencies=no
Before=rw.mount
ConditionPathExists=/dev/vdb

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'blkid /dev/vdb > /dev/null || mkfs.ext4 -q -L private /dev/vdb'

[Install]
WantedBy=rw.mount
UNIT
cat > "$root/etc/systemd/system/private-home.service" << 'UNIT'
[Unit]
Description=Keep home directories on the private volume
DefaultDependencies=no
RequiresMountsFor=/rw
Before=home.mount

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c '[ -d /rw/home ] || cp -a /home /rw/home'

[Install]
WantedBy=home.mount
UNIT
chroot "$root" systemctl -q enable private-volume.service private-home.service serial-getty@ttyS0.service
# The initramfs includes the drivers for QEMU's disks, whatever machine builds it.
printf '%s\n' virtio_pci virtio_blk ext4 >> "$root/etc/initramfs-tools/modules"
chroot "$root" update-initramfs -u > /dev/null 2>&1
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
version=$(basename "$(readlink -f "$root/vmlinuz")"); version=${version#vmlinuz-}
mkdir "$root/.template"
echo "$version" > "$root/.template/kernel-version"
cp "$root/boot/vmlinuz-$version" "$root/.template/vmlinuz"
cp "$root/boot/initrd.img-$version" "$root/.template/initramfs"
CUSTOMIZE
# Creates the image inside the namespace, where files have the owners of the new system.
cat > "$work/image" << 'IMAGE'
set -eu
image=$(mktemp)
mv "$1/.template" "$image.parts"
truncate -s 2G "$image"
# A bind mount shows the root without /proc, /sys and /dev.
mkdir "$image.tree"
mount --bind "$1" "$image.tree"
mke2fs -q -t ext4 -L root -E root_owner=0:0,lazy_itable_init=1 -d "$image.tree" "$image"
umount "$image.tree"
rmdir "$image.tree"
mv "$image" "$image.parts/root.img"
tar -C "$image.parts" -Sc -f "$1/.template.tar" .
rm -rf "$image.parts"
IMAGE

echo "debian-template.sh: making a Debian $suite from this machine's package sources"
mmdebstrap --quiet --variant=minbase --format=null --include="$packages" \
    --customize-hook="sh $work/customize \"\$1\"" \
    --customize-hook="sh $work/image \"\$1\"" \
    --customize-hook="download /.template.tar $work/template.tar" \
    "$suite" /dev/null
tar -C "$work" -xSf "$work/template.tar"
version=$(cat "$work/kernel-version")
kernel_dir=$out/vm-kernels/$version
mkdir -p "$kernel_dir"
mv "$work/vmlinuz" "$work/initramfs" "$kernel_dir/"
# No options beyond those of every qube under QEMU.
: > "$kernel_dir/default-kernelopts-nopci.txt"
mv "$work/root.img" "$out/root.img"
echo "$version" > "$out/kernel-version"
size=$(du -k "$out/root.img" | cut -f1)
echo "debian-template.sh: kernel $version and a root volume of $size KiB are in $out"
