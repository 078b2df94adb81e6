#!/bin/bash
# place.sh install DESTDIR PREFIX COMMAND...
#       Installs the files that COMMAND puts below $STAGE, an empty directory, below DESTDIR and
#       lists them in DESTDIR/PREFIX/share/qubes/installed-files
# place.sh uninstall DESTDIR PREFIX
#       Removes the listed files
# An existing file that is not listed is foreign and is only replaced with FORCE=1. A file that was
# changed since it was installed is kept, with a warning.
set -euo pipefail

usage() {
    echo "usage: place.sh install DESTDIR PREFIX COMMAND... | uninstall DESTDIR PREFIX" >&2
    exit 2
}
[ $# -ge 3 ] || usage
action=$1 root=${2%/} prefix=${3%/}
shift 3
case $prefix in
    *[[:space:]]*) echo "make $action: cannot use PREFIX='$prefix': it has blanks" >&2; exit 2 ;;
    '' | /*) ;;
    *) echo "make $action: cannot use PREFIX=$prefix: it does not begin with /" >&2; exit 2 ;;
esac
# Tab-separated lines: `file PATH SUM`, `link PATH TARGET`, `directory PATH`; paths
# below DESTDIR.
list=$prefix/share/qubes/installed-files

# describe DIRECTORY PATH...: sets found[PATH] to the type and content of each PATH below DIRECTORY.
declare -A found=()
describe() {
    local directory=$1 path sum files=()
    shift
    found=()
    for path in "$@"; do
        if [ -L "$directory$path" ]; then found[$path]="link $(readlink "$directory$path")"
        elif [ -f "$directory$path" ]; then files+=("$path")
        elif [ -e "$directory$path" ]; then found[$path]=other
        fi
    done
    [ ${#files[@]} != 0 ] || return 0
    while read -r sum path; do
        found[${path#"$directory"}]="file $sum"
    done < <(printf '%s\0' "${files[@]/#/$directory}" | xargs -0 sha256sum --)
}

# package_of PATH: prints the installed package that owns a file, if any.
package_of() {
    if [ -d "$root/var/lib/dpkg/info" ] && command -v dpkg-query > /dev/null; then
        dpkg-query --admindir="$root/var/lib/dpkg" -S "$1" 2> /dev/null | sed 's/: [^:]*$//' \
            && return 0
    fi
    if { [ -d "$root/var/lib/rpm" ] || [ -d "$root/usr/lib/sysimage/rpm" ]; } \
        && command -v rpm > /dev/null; then
        rpm ${root:+--root "$root"} -qf "$1" 2> /dev/null && return 0
    fi
    return 0
}

declare -A was=() directories=()
read_list() {
    local kind path rest
    [ -e "$root$list" ] || return 0
    while IFS=$'\t' read -r kind path rest; do
        case $kind in
            directory) directories[$path]=1 ;;
            *) was[$path]="$kind $rest" ;;
        esac
    done < "$root$list"
}

# remove PATH...: removes the files that are unchanged since they were installed; warns of others.
remove() {
    local path
    describe "$root" "$@"
    for path in "$@"; do
        if [ -z "${found[$path]:-}" ]; then continue; fi
        if [ "${found[$path]}" = "${was[$path]}" ]; then rm -f "$root$path"
        else echo "make $action: $root$path was changed since it was installed: it stays" >&2
        fi
    done
}

remove_directories() {
    local path
    for path in "${!directories[@]}"; do echo "$path"; done | sort -r | while IFS= read -r path; do
        rmdir "$root$path" 2> /dev/null || true
    done
}

uninstall() {
    if [ ! -e "$root$list" ]; then
        echo "make uninstall: cannot find $root$list: nothing was installed below $root$prefix by" \
            "make install" >&2
        exit 1
    fi
    read_list
    remove "${!was[@]}"
    rm -f "$root$list"
    remove_directories
}

# shadowed_by PATH: prints the distribution's file that a unit or configuration file below another
# prefix would override, if any.
shadowed_by() {
    local name=${1#"$prefix"/lib/} directory
    case $name in systemd/system/*.service | sysusers.d/* | tmpfiles.d/*) ;; *) return 0 ;; esac
    for directory in /usr/lib /lib; do
        if [ "$directory/$name" != "$1" ] && [ -e "$root$directory/$name" ]; then
            # Not if both are one file: /lib is usually a link to /usr/lib.
            [ "$root$directory/$name" -ef "$root$1" ] || echo "$root$directory/$name"
            return 0
        fi
    done
}

refuse_foreign() {
    local path owner shadowed foreign=()
    for path in "${paths[@]}"; do
        shadowed=$(shadowed_by "$path")
        if [ -n "$shadowed" ]; then foreign+=("$shadowed, whose place $root$path would take"); fi
        if [ ! -e "$root$path" ] && [ ! -L "$root$path" ]; then continue; fi
        if [ -n "${was[$path]:-}" ]; then continue; fi
        owner=$(package_of "$path")
        foreign+=("$root$path${owner:+ (package $owner)}")
    done
    [ ${#foreign[@]} != 0 ] || return 0
    printf '  %s\n' "${foreign[@]}" >&2
    if [ -n "${FORCE:-}" ]; then
        echo "make install: replacing these ${#foreign[@]} files, because of FORCE" >&2
        return 0
    fi
    echo "make install: cannot replace these ${#foreign[@]} files, which make install did not put" \
        "there: remove the packages that they belong to, install with another PREFIX or without" \
        "units (NO_UNITS=1), see docs/dom0.md, or replace them with FORCE=1; nothing was" \
        "installed" >&2
    exit 1
}

# make_directory PATH: makes a directory and its parents, and adds new ones to `directories`.
make_directory() {
    local path=$1
    if [ -z "$path" ] || [ -d "$root$path" ]; then return 0; fi
    make_directory "${path%/*}"
    install -d -m 0755 "$root$path"
    directories[$path]=1
}

put() {
    local path=$1
    make_directory "${path%/*}"
    # A new file rather than new content: the old one may be running, or be a link.
    cp -P --preserve=mode --remove-destination "$stage$path" "$root$path"
}

write_list() {
    local path
    {
        for path in "${!directories[@]}"; do printf 'directory\t%s\n' "$path"; done | sort
        for path in "${paths[@]}"; do
            printf '%s\t%s\t%s\n' "${found[$path]%% *}" "$path" "${found[$path]#* }"
        done
    } > "$root$list.new"
    chmod 0644 "$root$list.new"
    mv -f "$root$list.new" "$root$list"
}

install_files() {
    local path old=()
    stage=$(mktemp -d)
    trap 'rm -rf "$stage"' EXIT
    chmod 755 "$stage"
    ( umask 022; STAGE=$stage "$@" "STAGE=$stage" )
    mapfile -d '' -t paths < <(cd "$stage" && find . ! -type d -print0 | sort -z)
    paths=("${paths[@]#.}")
    read_list
    refuse_foreign
    # Files of the previous version that this one does not have.
    for path in "${!was[@]}"; do
        if [ ! -e "$stage$path" ] && [ ! -L "$stage$path" ]; then old+=("$path"); fi
    done
    remove ${old[@]+"${old[@]}"}
    describe "$stage" "${paths[@]}"
    # The list is written before the first file, so that the next install after an interruption
    # recognises the files.
    make_directory "${list%/*}"
    write_list
    for path in "${paths[@]}"; do put "$path"; done
    write_list
    if [ -z "$root" ]; then
        case $prefix in
            '' | /usr | /usr/local) ;;
            *)
                echo "Installed below $prefix. systemd reads no units, groups and directories there:"
                echo "copy or link the files in" \
                    "$prefix/lib/{systemd/system,sysusers.d,tmpfiles.d} to /etc."
                return
                ;;
        esac
        echo "Installed below $prefix. The next boot does the following, or do it now:"
        echo "  systemd-sysusers && systemd-tmpfiles --create qubes.conf && systemctl daemon-reload"
    fi
}

case $action in
    install) install_files "$@" ;;
    uninstall) [ $# = 0 ] || usage; uninstall ;;
    *) usage ;;
esac
