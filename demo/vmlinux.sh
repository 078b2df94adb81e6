#!/bin/bash
# vmlinux.sh IMAGE FILE: writes the kernel in IMAGE (a bzImage) to FILE as plain ELF, which an emulated processor need not
# unpack. Ends with 1, and writes nothing, where it cannot.
set -euo pipefail

[ $# = 2 ] || { echo "usage: vmlinux.sh IMAGE FILE" >&2; exit 2; }
image=$1 file=$2
# Where the payload lies: Documentation/arch/x86/boot.rst of the kernel, fields setup_sects, payload_offset, payload_length.
number_at() { od -An -v -t "u$2" -j "$1" -N "$2" "$image" | tr -d ' '; }
setup=$(number_at $((0x1f1)) 1)
offset=$(( (setup + 1) * 512 + $(number_at $((0x248)) 4) ))
length=$(number_at $((0x24c)) 4)
payload() { dd if="$image" iflag=skip_bytes,count_bytes bs=64K skip="$offset" count="$1" status=none; }
case $(payload 4 | od -An -v -t x1 | tr -d ' ') in
    # All but gzip have the unpacked size appended as four bytes that the unpacker does not know.
    28b52ffd) unpack="zstd -dcq"; length=$((length - 4)) ;;
    fd377a58) unpack="xz -dcq"; length=$((length - 4)) ;;
    1f8b*)    unpack="gzip -dcq" ;;
    02214c18) unpack="lz4 -dcq"; length=$((length - 4)) ;;
    *)        exit 1 ;;
esac
trap 'rm -f "$file.part"' EXIT
set +o pipefail
payload "$length" | $unpack > "$file.part" 2> /dev/null || exit 1
[ "$(head -c 4 "$file.part" | od -An -c | tr -d ' ')" = '177ELF' ] || exit 1
mv "$file.part" "$file"
