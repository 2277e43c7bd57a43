#!/bin/sh
# Builds what is installed elsewhere, all of it from one static binary, offline from the lock file:
#   target/package/flashpolicyd-VERSION-PROCESSOR.tar.gz      a folder to copy to any Linux host
#   target/package/flashpolicyd_VERSION-1_ARCHITECTURE.deb    a Debian package
#   target/package/image/                                     the folder that scripts/Dockerfile needs
# and with --windows, from scripts/build-windows.sh:
#   target/package/flashpolicyd-VERSION-windows-x86_64.zip    the program for players' computers
#
# usage: scripts/package.sh [--tarball-only] [--target TRIPLE] [--windows]
# The Debian package needs dpkg-deb, which every Debian has; with --tarball-only it is left out. For
# --target, see scripts/build-static.sh --help. The .zip needs Info-ZIP's zip.
set -eu

complain() {
    printf 'package.sh: %s\n' "$*" >&2
    exit 1
}

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
deb=yes triple='' windows=no
while [ $# -gt 0 ]; do
    case $1 in
        --tarball-only) deb=no ;;
        --windows) windows=yes ;;
        --target)
            [ $# -gt 1 ] || complain "--target needs a TRIPLE, such as aarch64-unknown-linux-gnu"
            triple=$2 && shift
            ;;
        --target=?*) triple=${1#*=} ;;
        -h | --help)
            sed -n '2,11s/^# \{0,1\}//p' scripts/package.sh
            exit
            ;;
        *) complain "not understood: '$1'; usage: scripts/package.sh [--tarball-only] [--target TRIPLE]" \
            "[--windows]" ;;
    esac
    shift
done
if [ "$deb" = yes ] && ! command -v dpkg-deb >/dev/null; then
    complain "there is no dpkg-deb, which makes the Debian package (Debian's package dpkg has it);" \
        "with --tarball-only it is not needed"
fi
if [ "$windows" = yes ] && ! command -v zip >/dev/null; then
    complain "there is no zip, which makes the .zip for Windows (Debian's package zip has it)"
fi
processor=${triple:+${triple%%-*}}
processor=${processor:-$(uname -m)}
# Debian's names for Rust's triples.
case ${triple:-$processor-} in
    x86_64-*) architecture=amd64 ;;
    aarch64-*) architecture=arm64 ;;
    armv7*hf) architecture=armhf ;;
    i?86-*) architecture=i386 ;;
    riscv64*) architecture=riscv64 ;;
    *-*-*) [ "$deb" = no ] || complain "Debian's name for $triple is unknown; use --tarball-only" ;;
    *) [ "$deb" = no ] || architecture=$(dpkg --print-architecture) ;;
esac

# The only step that may use the network, and only where something is not there yet.
"$cargo" fetch --locked --quiet 2>/dev/null ||
    printf 'package.sh: no crates were fetched; trying with those that are here\n' >&2
scripts/build-static.sh --offline ${triple:+--target "$triple"}
if [ "$windows" = yes ]; then scripts/build-windows.sh; fi

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
[ -n "$version" ] || complain "Cargo.toml names no version"
folder=flashpolicyd-$version-$processor
case $target in /*) ;; *) target=$PWD/$target ;; esac
out=$target/package
rm -rf "$out"
mkdir -p "$out/$folder/scripts" "$out/image"
# Nobody's name in the packages, and the time of the last change instead of now.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

# ---- the tarball: as in the sources, with the binary beside the configuration --------------------

cp "$target/static/flashpolicyd" flashpolicy.conf LICENSE "$out/$folder/"
# The pictures and the chapter for developers need the sources.
sed -e '/^!\[/d' -e 's/\[\([^]]*\)\](tests[^)]*)/"\1" in the sources/g' -e '/^## How to develop/,$d' \
    README.md >"$out/$folder/README.md"
examples='flashpolicyd.sh flashpolicyd.service flashpolicyd.socket flashpolicyd.openrc
    flashpolicyd.logrotate check_flashpolicy.cfg Dockerfile compose.yaml haproxy'
# shellcheck disable=SC2086 # a list of words
(cd scripts && cp -R $examples flashpolicyd.8 flashpolicy.conf.5 completions "$out/$folder/scripts/")
# Only GNU tar can do that. No pipe: the exit code of its first program would be lost.
if tar --version 2>/dev/null | grep -q 'GNU tar'; then
    tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u+w,go-w \
        --mtime="@$SOURCE_DATE_EPOCH" -C "$out" -cf "$out/$folder.tar" "$folder"
else
    tar -C "$out" -cf "$out/$folder.tar" "$folder"
fi
gzip -9nf "$out/$folder.tar"

# ---- the .zip ------------------------------------------------------------------------------------

# Line ends stay as they are: each Windows that runs the program has an editor that reads them.
if [ "$windows" = yes ]; then
    zipped=flashpolicyd-$version-windows-x86_64
    mkdir "$out/$zipped"
    cp "$target/windows/flashpolicyd.exe" LICENSE "$out/$folder/README.md" "$out/$zipped/"
    find "$out/$zipped" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    # A .zip holds times without their zone.
    (cd "$out" && TZ=UTC zip -9qX "$zipped.zip" "$zipped"/*)
    rm -rf "${out:?}/$zipped"
fi

# ---- what a package and an image have otherwise than the sources ---------------------------------

# $1: a line of flashpolicy.conf as it is there; $2: what stands in its place.
configured() {
    grep -qxF "$1" flashpolicy.conf || complain "flashpolicy.conf has no line '$1'"
    set_lines="${set_lines}s|^$1\$|$2|;"
}

set_lines=''
configured '#log_file = flashpolicy.log' 'log_file = /dev/stdout'
configured '#pid_file = none' 'pid_file = /dev/shm/flashpolicyd.pid'
sed "$set_lines" flashpolicy.conf >"$out/image/flashpolicy.conf"
cp "$target/static/flashpolicyd" "$out/image/"

# ---- the Debian package --------------------------------------------------------------------------

if [ "$deb" = yes ]; then
    root=$out/deb
    share=$root/usr/share
    doc=$share/doc/flashpolicyd
    umask 022
    mkdir -p "$root/DEBIAN" "$root/etc/init.d" "$root/usr/lib/systemd/system" "$root/usr/sbin" \
        "$share/bash-completion/completions" "$share/fish/vendor_completions.d" \
        "$share/flashpolicyd" "$share/lintian/overrides" "$share/man/man5" "$share/man/man8" \
        "$share/zsh/vendor-completions" "$doc/examples"

    install -m 755 "$target/static/flashpolicyd" "$root/usr/sbin/"
    install -m 755 scripts/flashpolicyd.sh "$root/etc/init.d/flashpolicyd"
    for unit in flashpolicyd.service flashpolicyd.socket; do
        # The manual is there.
        sed '/^Description=/a Documentation=man:flashpolicyd(8)' "scripts/$unit" \
            >"$root/usr/lib/systemd/system/$unit"
    done
    # The first installation copies it to /etc; what is there later is the administrator's alone, so
    # that no upgrade asks a question.
    set_lines=''
    configured '#log_file = flashpolicy.log' 'log_file = /var/log/flashpolicyd/flashpolicy.log'
    configured '#user = none' 'user = flashpolicyd'
    sed "$set_lines" flashpolicy.conf >"$share/flashpolicyd/flashpolicy.conf"
    gzip -9nc scripts/flashpolicyd.8 >"$share/man/man8/flashpolicyd.8.gz"
    gzip -9nc scripts/flashpolicy.conf.5 >"$share/man/man5/flashpolicy.conf.5.gz"
    cp scripts/completions/flashpolicyd.bash "$share/bash-completion/completions/flashpolicyd"
    cp scripts/completions/flashpolicyd.fish "$share/fish/vendor_completions.d/"
    cp scripts/completions/_flashpolicyd "$share/zsh/vendor-completions/"
    cp scripts/debian/lintian-overrides "$share/lintian/overrides/flashpolicyd"
    # What the README calls scripts/ are examples here.
    sed 's|scripts/\([a-zA-Z_]\)|examples/\1|g' "$out/$folder/README.md" >"$doc/README.md"
    # shellcheck disable=SC2086 # a list of words
    (cd scripts && cp -R $examples "$doc/examples/")
    chmod -R u=rwX,go=rX "$share"
    chmod -x "$doc/examples/"*.*

    author=$(sed -n 's/^authors = \["\(.*\)"\]$/\1/p' Cargo.toml)
    mail='authors@flashpolicyd.example'
    {
        printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n'
        printf 'Files: *\nCopyright: 2026 %s\nLicense: Expat\n' "$author"
        sed -e '1,/^Copyright/d' -e '/^$/s/^/./' -e 's/^/ /' LICENSE | sed 1d
    } >"$doc/copyright"
    # A version without an entry of its own gets one.
    {
        if ! head -n 1 scripts/debian/changelog | grep -qF "($version-1)"; then
            printf 'flashpolicyd (%s-1) unstable; urgency=medium\n\n  * Version %s.\n\n -- %s <%s>  %s\n\n' \
                "$version" "$version" "$author" "$mail" \
                "$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %H:%M:%S +0000')"
        fi
        cat scripts/debian/changelog
    } | gzip -9n >"$doc/changelog.Debian.gz"

    for script in postinst prerm postrm; do
        install -m 755 "scripts/debian/$script" "$root/DEBIAN/"
    done
    echo /etc/init.d/flashpolicyd >"$root/DEBIAN/conffiles"
    (cd "$root" && find usr -type f -exec md5sum {} + | LC_ALL=C sort -k 2 >DEBIAN/md5sums)
    cat >"$root/DEBIAN/control" <<END
Package: flashpolicyd
Version: $version-1
Architecture: $architecture
Maintainer: $author <$mail>
Installed-Size: $(du -sk "$root" | cut -f 1)
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: passwd
Section: net
Priority: optional
Description: Flash socket policy server
 Before a SWF may open a TCP socket, Flash Player asks port 843 of that host for
 a policy. flashpolicyd gives that answer, also under attack, and says why a
 player is refused.
END
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group --build "$root" "$out/flashpolicyd_$version-1_$architecture.deb" >/dev/null
    rm -rf "$root"
fi
rm -rf "${out:?}/$folder"
ls -l "$out"/*.tar.gz "$out"/*.deb "$out"/*.zip 2>/dev/null || :
