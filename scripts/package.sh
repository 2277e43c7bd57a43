#!/bin/sh
# Builds what is installed elsewhere, all of it from one static binary, offline from the lock file:
#   target/package/flashpolicyd-VERSION-ARCHITECTURE.tar.gz   a folder to copy to any Linux host
#   target/package/flashpolicyd_VERSION-1_ARCHITECTURE.deb    a Debian package
#   target/package/image/                                     the folder that scripts/Dockerfile needs
#
# usage: scripts/package.sh [--tarball-only]
# It needs cargo-deb ('cargo install cargo-deb'); with --tarball-only it does not.
set -eu

complain() {
    printf 'package.sh: %s\n' "$*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
deb=yes
case $* in
    '') ;;
    --tarball-only) deb=no ;;
    -h | --help)
        sed -n '2,8s/^# \{0,1\}//p' scripts/package.sh
        exit
        ;;
    *) complain "usage: scripts/package.sh [--tarball-only]" ;;
esac
if [ "$deb" = yes ] && ! "$cargo" deb --version >/dev/null 2>&1; then
    complain "there is no cargo-deb; 'cargo install cargo-deb' installs it," \
        "and with --tarball-only it is not needed"
fi

# The only step that may use the network, and only where something is not there yet.
"$cargo" fetch --locked --quiet 2>/dev/null ||
    printf 'package.sh: no crates were fetched; trying with those that are here\n' >&2
scripts/build-static.sh --offline

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
[ -n "$version" ] || complain "Cargo.toml names no version"
folder=flashpolicyd-$version-$(uname -m)
# Not under another CARGO_TARGET_DIR: Cargo.toml names the files of the Debian package.
out=target/package
rm -rf "$out"
mkdir -p "$out/$folder/scripts" "$out/files" "$out/image"

# ---- the tarball: as in the sources, with the binary beside the configuration --------------------

cp "$target/static/flashpolicyd" flashpolicy.conf LICENSE "$out/$folder/"
# The pictures and the chapter for developers need the sources.
sed -e '/^!\[/d' -e 's/\[\([^]]*\)\](tests[^)]*)/"\1" in the sources/g' -e '/^## How to develop/,$d' \
    README.md >"$out/$folder/README.md"
for file in flashpolicyd.sh flashpolicyd.service flashpolicyd.socket flashpolicyd.openrc \
    flashpolicyd.logrotate flashpolicyd.8 flashpolicy.conf.5 check_flashpolicy.cfg Dockerfile; do
    cp "scripts/$file" "$out/$folder/scripts/"
done
cp -R scripts/haproxy scripts/completions "$out/$folder/scripts/"
# Nobody's name in it, and the time of the last change instead of now.
changed=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
# Only GNU tar can do that. No pipe: the exit code of its first program would be lost.
if tar --version 2>/dev/null | grep -q 'GNU tar'; then
    tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+w,go-w --mtime="@$changed" \
        -C "$out" -cf "$out/$folder.tar" "$folder"
else
    tar -C "$out" -cf "$out/$folder.tar" "$folder"
fi
gzip -9nf "$out/$folder.tar"

# ---- what a package and an image have otherwise than the sources ---------------------------------

# $1: a line of flashpolicy.conf as it is there; $2: what stands in its place.
configured() {
    grep -qxF "$1" flashpolicy.conf || complain "flashpolicy.conf has no line '$1'"
    set_lines="${set_lines}s|^$1\$|$2|;"
}

set_lines=''
configured '#log_file = flashpolicy.log' 'log_file = /var/log/flashpolicyd/flashpolicy.log'
configured '#user = none' 'user = flashpolicyd'
sed "$set_lines" flashpolicy.conf >"$out/files/flashpolicy.conf"
sed 's|/var/log/flashpolicy.log|/var/log/flashpolicyd/flashpolicy.log|' \
    scripts/flashpolicyd.logrotate >"$out/files/flashpolicyd.logrotate"
gzip -9nc scripts/flashpolicyd.8 >"$out/files/flashpolicyd.8.gz"
gzip -9nc scripts/flashpolicy.conf.5 >"$out/files/flashpolicy.conf.5.gz"
# What the README calls scripts/ are examples here.
mkdir -p "$out/files/examples"
sed 's|scripts/\([a-zA-Z_]\)|examples/\1|g' "$out/$folder/README.md" >"$out/files/README.md"
for file in flashpolicyd.sh flashpolicyd.service flashpolicyd.socket flashpolicyd.openrc \
    check_flashpolicy.cfg Dockerfile haproxy; do
    cp -R "scripts/$file" "$out/files/examples/"
done
mv "$out/files/flashpolicyd.logrotate" "$out/files/examples/"
# cargo-deb takes the units of every name from one folder.
cp scripts/flashpolicyd.service scripts/flashpolicyd.socket "$out/files/"

set_lines=''
configured '#log_file = flashpolicy.log' 'log_file = none'
configured '#log_console = auto' 'log_console = yes'
sed "$set_lines" flashpolicy.conf >"$out/image/flashpolicy.conf"
cp "$target/static/flashpolicyd" "$out/image/"

# ---- the Debian package --------------------------------------------------------------------------

if [ "$deb" = yes ]; then
    cp "$target/static/flashpolicyd" "$out/files/"
    SOURCE_DATE_EPOCH=$changed "$cargo" deb --no-build --no-strip --offline --locked --quiet \
        --output "$out/" >/dev/null
fi
rm -rf "$out/${folder:?}"
ls -l "$out"/*.tar.gz "$out"/*.deb 2>/dev/null || :
