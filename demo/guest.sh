#!/bin/bash
# Builds the small guest of the demonstration and the tests, without root:
#   OUTDIR/vm-kernels/VERSION/{vmlinuz,initramfs,default-kernelopts-*.txt}   a kernel as Qubes keeps it
#   OUTDIR/root.img                                                          a root volume: ext4 with busybox and one script
#   OUTDIR/kernel-version                                                    VERSION
# The kernel comes from the distribution's own package, downloaded and unpacked here, never installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: guest.sh OUTDIR" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
# What decides the result; the guest is built anew when any of it changed.
stamp=$(cat "$here/guest.sh" "$here/kernel.sh" "$here/vmlinux.sh" "$here"/guest/* | cksum)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
export PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d "$out/build.XXXXXX")
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT

busybox=$(command -v busybox) || { echo "guest.sh: busybox is missing; run demo/dependencies.sh demo" >&2; exit 1; }

"$here/kernel.sh" "$out/download" "$work/kernel"
version=$(cat "$work/kernel/version")
kernel_dir=$out/vm-kernels/$version
rm -rf "$out/vm-kernels"
mkdir -p "$kernel_dir"

# --- the kernel, uncompressed: an emulated processor needs seconds to unpack it at every start -----------------------
image=$work/kernel/vmlinuz
"$here/vmlinux.sh" "$image" "$kernel_dir/vmlinuz" || cp "$image" "$kernel_dir/vmlinuz"

# --- the initramfs: busybox and the modules for the disk and the power button, where they are modules ----------------
tree=$work/initramfs
mkdir -p "$tree"/{bin,dev,root,modules}
cp "$busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
install -m 755 "$here/guest/initramfs-init" "$tree/init"
: > "$tree/modules/order"
for module in virtio_pci virtio_blk ext4 button evdev; do
    modprobe -d "$work/kernel" -S "$version" --show-depends "$module" 2> /dev/null
done | awk '$1 == "insmod" { print $2 }' | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file")
    case $name in
        *.xz)  xz -dc "$file" > "$tree/modules/${name%.xz}" ;;
        *.zst) zstd -dcq "$file" > "$tree/modules/${name%.zst}" ;;
        *.gz)  gzip -dc "$file" > "$tree/modules/${name%.gz}" ;;
        *)     cp "$file" "$tree/modules/$name" ;;
    esac
    echo "${name%.ko*}.ko" >> "$tree/modules/order"
done
( cd "$tree" && find . | "$busybox" cpio -o -H newc 2> /dev/null ) > "$kernel_dir/initramfs"

# What goes on the kernel's command line; the common part ends in a blank because Qubes appends without one.
# mitigations=off, nokaslr and no tests at start: what an emulated processor would spend seconds on.
printf 'root=/dev/vda console=ttyS0 quiet loglevel=3 mitigations=off nokaslr panic=-1 tsc=reliable no_timer_check cryptomgr.notests random.trust_cpu=on ' \
    > "$kernel_dir/default-kernelopts-common.txt"
printf 'reboot=t' > "$kernel_dir/default-kernelopts-nopci.txt"

# --- the root volume --------------------------------------------------------------------------------------------------
tree=$work/root
mkdir -p "$tree"/{bin,dev,etc,proc,rw,sbin,sys,var}
cp "$busybox" "$tree/bin/busybox"
ln -s busybox "$tree/bin/sh"
install -m 755 "$here/guest/init" "$tree/sbin/init"
echo tiny-linux > "$tree/etc/template-name"
truncate -s 32M "$work/root.img"
mke2fs -q -t ext4 -L root -E root_owner=0:0,lazy_itable_init=1 -d "$tree" "$work/root.img"
mv "$work/root.img" "$out/root.img"

echo "$version" > "$out/kernel-version"
echo "$stamp" > "$out/stamp"
echo "guest.sh: kernel $version and a root volume of $(du -k "$out/root.img" | cut -f1) KiB are in $out"
