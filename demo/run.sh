#!/bin/bash
# run.sh BINDIR: creates a store, qubes and their volumes, starts and stops the qubes, and removes
# them, showing every command and checking every result. All files are in a scratch directory that
# is removed at the end; nothing else on the machine is changed.
#   QUBES_DEMO_DIR   the scratch directory, which must be empty or absent and is kept; default: a
#                    new one below $TMPDIR or /var/tmp
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
[ $# = 1 ] || { echo "usage: run.sh BINDIR" >&2; exit 2; }
bin=$(cd "$1" && pwd)
export PATH=$bin:$PATH
# The caller's settings for other stores must not apply.
unset QUBES_XML_PATH QUBES_OFFLINE QUBES_LIBVIRT_URI
began=$SECONDS

# --- showing and checking -------------------------------------------------------------------------
bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then bold=$'\e[1m' plain=$'\e[0m'; fi
say() { printf '\n# %s\n' "$*"; }
# show WORD...: prints a command as one would type it.
show() {
    local word line=
    for word in "$@"; do
        case $word in '' | *[!A-Za-z0-9_./,=:+-]*) word="'$word'" ;; esac
        line+=" $word"
    done
    printf '%s$%s%s\n' "$bold" "$line" "$plain"
}
run() { show "$@"; "$@"; }
fail() { printf '\nDEMO FAILED: %s\n' "$*" >&2; exit 1; }
# must_print TEXT COMMAND...: shows and runs a command and fails unless it prints TEXT.
must_print() {
    local expected=$1 printed
    shift
    show "$@"
    printed=$("$@") || fail "'$*' ended with $?"
    printf '%s\n' "$printed"
    [ "$printed" = "$expected" ] || fail "'$*' printed '$printed', not '$expected'"
}
# must_end_with CODE COMMAND...: shows and runs a command and fails unless it exits with CODE.
must_end_with() {
    local expected=$1 code=0
    shift
    show "$@"
    "$@" || code=$?
    [ "$code" = "$expected" ] || fail "'$*' ended with $code, not $expected"
}

# --- the scratch directory ------------------------------------------------------------------------
if [ -n "${QUBES_DEMO_DIR:-}" ]; then
    mkdir -p "$QUBES_DEMO_DIR"
    [ -z "$(ls -A "$QUBES_DEMO_DIR")" ] || fail "QUBES_DEMO_DIR=$QUBES_DEMO_DIR is not empty"
    scratch=$(cd "$QUBES_DEMO_DIR" && pwd) keep=yes
else
    scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/qubes-demo.XXXXXX") keep=
fi
# The system's libvirt runs QEMU as another user.
chmod 755 "$scratch"
daemons=$(mktemp)

clean_up() {
    local code=$? log name
    trap - EXIT
    set +e
    if [ $code != 0 ]; then
        for log in "$scratch"/run/qubes/console/*.log "$scratch"/run/qubes/log/*; do
            [ -s "$log" ] || continue
            { echo "--- the end of $log"; tail -n 15 "$log" | tr -cd '[:print:]\n'; } >&2
        done
        [ -e "$scratch/var/lib/qubes/qubes.xml" ] && qvm-kill --all > /dev/null 2>&1
        for name in work sys-net tiny; do qvm-remove --force "$name" > /dev/null 2>&1; done
    fi
    [ -n "$keep" ] || rm -rf "$scratch"
    "$here/libvirt.sh" --stop "$daemons"
    exit $code
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

# --- the console ----------------------------------------------------------------------------------
console() { echo "$scratch/run/qubes/console/$1.log"; }
# wait_for_console QUBE TEXT SECONDS: waits until TEXT is on the console.
wait_for_console() {
    local deadline=$((SECONDS + $3))
    until grep -aqs "$2" "$(console "$1")"; do
        [ $SECONDS -lt $deadline ] || fail "$1 did not print '$2' on its console within $3 s"
        sleep 0.1
    done
}
# must_say QUBE TEXT: fails unless the guest printed exactly TEXT as a line.
must_say() {
    [ "$(tr -d '\r' < "$(console "$1")" | grep -acxF "$2")" != 0 ] \
        || fail "$1 did not print '$2' on its console"
}
show_console() {
    show cat "$(console "$1")"
    tr -cd '[:print:]\n' < "$(console "$1")" | grep -a -E '^(GUEST|ROOT|PRIVATE)' || true
}

# ==================================================================================================
"$here/guest.sh" "$here/../target/guest"
guest=$(cd "$here/../target/guest" && pwd)
kernel=$(cat "$guest/kernel-version")
"$here/libvirt.sh" "$daemons"

say "An empty directory stands for the whole system: every path of Qubes is below it."
show export "QUBES_ROOT=$scratch"
export QUBES_ROOT=$scratch
run qubes-create
run mkdir -p "$scratch/var/lib/qubes/vm-kernels"
run cp -r "$guest/vm-kernels/$kernel" "$scratch/var/lib/qubes/vm-kernels/"
run qubes-prefs default_kernel "$kernel"

say "A template whose root volume is a small Linux, and two qubes made from it."
# One processor: with several emulated ones a kernel that patches its own code sometimes hangs.
run qvm-create --class TemplateVM --label black --root-copy-from "$guest/root.img" \
    --property vcpus=1 tiny
run qubes-prefs default_template tiny
run qvm-create --label red --property provides_network=True --property netvm= sys-net
run qvm-create --label green work
for qube in sys-net work; do must_end_with 0 qvm-check "$qube"; done

say "Preferences: set, and read back."
run qvm-prefs sys-net memory 160
run qvm-prefs work memory 192
run qvm-prefs work netvm sys-net
must_print 192 qvm-prefs work memory
must_print sys-net qvm-prefs work netvm
must_print tiny qvm-prefs work template
say "(sys-net is to ignore the power button: qvm-kill will have something to do.)"
run qvm-prefs sys-net kernelopts ignore-power-button

say "Starting work starts its netvm first."
run qvm-start work
must_end_with 0 qvm-check --running work sys-net
run qvm-ls --fields NAME,STATE,CLASS,LABEL,TEMPLATE,NETVM,MEMORY
must_print $'sys-net|Running|160\ntiny|Halted|-\nwork|Running|192' \
    qvm-ls --raw-data --fields NAME,STATE,MEMORY sys-net tiny work

say "What the guests see: /dev/vda is the template's root, /dev/vdb their own empty private volume."
for qube in sys-net work; do
    wait_for_console "$qube" GUEST-READY 120
    show_console "$qube"
    must_say "$qube" "ROOT boots=1"
    must_say "$qube" "PRIVATE boots=1"
    uuid=$(qvm-prefs "$qube" uuid)
    line="^GUEST-UP uuid=$uuid memory=[0-9]* template=tiny-linux\$"
    [ "$(tr -d '\r' < "$(console "$qube")" | grep -ac "$line")" != 0 ] \
        || fail "the console of $qube does not name its uuid $uuid"
done

say "Restarting work: changes of its root are gone (boots=1), its private volume is kept (boots=2)."
run qvm-shutdown --wait work
must_end_with 1 qvm-check --running work
# The name in RUN is a link to the log.
rm -f "$(readlink -f "$(console work)")"
run qvm-start work
wait_for_console work GUEST-READY 120
show_console work
must_say work "ROOT boots=1"
must_say work "PRIVATE boots=2"

say "One qube answers the power button, the other does not."
run qvm-shutdown --wait work
must_say work GUEST-DOWN
run qvm-kill sys-net
must_end_with 1 qvm-check --running work sys-net
run qvm-ls

say "Removing all of it."
must_end_with 1 qvm-remove --force tiny
run qvm-remove --force work sys-net
run qubes-prefs --default default_template
run qvm-remove --force tiny
must_print dom0 qvm-ls --raw-list
left=$(find "$scratch/var/lib/qubes/appvms" "$scratch/var/lib/qubes/vm-templates" -type f \
    2> /dev/null || true)
[ -z "$left" ] || fail "volumes were left behind: $left"

printf '\nThe demonstration worked and took %d seconds.\n' $((SECONDS - began))
