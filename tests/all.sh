#!/bin/bash
# all.sh: runs rustfmt, clippy, rustdoc and all tests, continuing after failures, and reports at the
# end what failed, what was skipped and why. The output of the tests is also in target/test.log.
#   CARGO   the cargo to use
set -euo pipefail

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
export RUST_BACKTRACE=${RUST_BACKTRACE:-0}
mkdir -p target
log=target/test.log
daemons=$(mktemp)
QUBES_SKIPPED=$(mktemp)
export QUBES_SKIPPED
clean_up() {
    local code=$?
    demo/libvirt.sh --stop "$daemons" || true
    rm -f "$QUBES_SKIPPED" "$daemons"
    exit $code
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

demo/guest.sh target/guest
demo/libvirt.sh "$daemons"

failed=()
step() {
    local name=$1
    shift
    echo "\$ $*"
    "$@" || failed+=("$name")
}
step rustfmt "$cargo" fmt --all --check
step clippy "$cargo" clippy --locked --workspace --all-targets -- -D warnings
# The library builds without its commands, and then needs no crate for command lines or terminals.
library() {
    "$cargo" clippy --locked --lib --no-default-features -- -D warnings &&
        ! "$cargo" tree --locked --no-default-features --edges normal --prefix none \
            | grep -E '^(anstyle|clap|console|indicatif|strsim|terminal_size|unicode-width) '
}
step library library
documents() { RUSTDOCFLAGS="-D warnings" "$cargo" doc --locked --no-deps --workspace --lib; }
step documents documents
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-always}; fi
tests() { "$cargo" test --locked --workspace --no-fail-fast 2>&1 | tee "$log"; }
step tests tests

# sum WORD: adds up the number before WORD in the result lines of all test programs.
sum() {
    sed -n "s/.*test result:.* \([0-9][0-9]*\) $1[;.].*/\1/p" "$log" \
        | awk '{ sum += $1 } END { print sum + 0 }'
}
passed=$(sum passed) not_passed=$(sum failed) ignored=$(sum ignored)
echo
if [ "$not_passed" != 0 ]; then
    echo "Tests that failed:"
    sed -n 's/^test \(.*\) \.\.\. .*FAILED.*/  \1/p' "$log"
fi
skipped=$(sort -u "$QUBES_SKIPPED" | wc -l)
if [ "$skipped" != 0 ]; then
    echo "$skipped parts were skipped on this machine (number, reason):"
    sort -u "$QUBES_SKIPPED" | cut -f 2- | sort | uniq -c | sort -rn
fi
[ ${#failed[@]} = 0 ] || echo "FAILED: ${failed[*]}"
echo "$passed passed, $not_passed failed, $ignored skipped"
[ ${#failed[@]} = 0 ]
