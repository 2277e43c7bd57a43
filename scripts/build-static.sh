#!/bin/sh
# Builds flashpolicyd as one static binary, to be copied to any Linux host of the same processor:
# target/static/flashpolicyd. It builds in target/static/build, apart from everything else.
#
# usage: scripts/build-static.sh [--target TRIPLE] [options for cargo build, such as --offline]
#
# For another processor, on Debian 13 (its cargo; with rustup: rustup target add TRIPLE):
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install cargo gcc-aarch64-linux-gnu libc6-dev-arm64-cross libstd-rust-dev:arm64
#   scripts/build-static.sh --target aarch64-unknown-linux-gnu
set -eu

complain() {
    printf 'build-static.sh: %s\n' "$*" >&2
    exit 1
}

case ${1-} in
    -h | --help)
        sed -n '2,10s/^# \{0,1\}//p' "$0"
        exit
        ;;
esac
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}/static
host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
# The last one counts, and none reaches cargo as it is: which binary is made has to be known here.
triple=$host
count=$#
while [ "$count" -gt 0 ]; do
    case $1 in
        --target)
            [ "$count" -gt 1 ] || complain "--target needs a TRIPLE, such as aarch64-unknown-linux-gnu"
            triple=$2 && shift && count=$((count - 1))
            ;;
        --target=*) triple=${1#*=} ;;
        --target-dir | --target-dir=*) complain "set CARGO_TARGET_DIR in place of --target-dir" ;;
        *) set -- "$@" "$1" ;;
    esac
    shift
    count=$((count - 1))
done
case $triple in
    *-linux-*) ;;
    *) complain "there are static binaries on Linux only, and this is $triple" ;;
esac
# Debian's name for the linker of another processor.
linker=$(printf 'CARGO_TARGET_%s_LINKER' "$triple" | tr 'a-z-' 'A-Z_')
gcc=$(printf %s "$triple" | sed 's/-[a-z]*-linux-/-linux-/; s/^armv7-/arm-/; s/^riscv64[a-z]*-/riscv64-/')-gcc
if [ "$triple" != "$host" ] && eval "[ -z \"\${$linker-}\" ]"; then
    if command -v "$gcc" >/dev/null; then
        export "$linker=$gcc"
    elif [ "${triple%%-*}" != "${host%%-*}" ]; then
        complain "there is no linker for $triple: install $gcc (--help has the steps), or set $linker"
    fi
fi

# It would win over RUSTFLAGS.
unset CARGO_ENCODED_RUSTFLAGS
# The triple is named even though it may be the host's: without --target, cargo would hand the flags
# to build scripts and procedural macros too, and those are loaded by the compiler, so they cannot be
# static.
log=$target/build.log
mkdir -p "$target"
rm -f "$log.failed"
{
    RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }-C target-feature=+crt-static" \
        "$cargo" build --release --locked --bin flashpolicyd --target "$triple" \
        --target-dir "$target/build" "$@" 2>&1 || echo "$?" >"$log.failed"
} | tee "$log" >&2
if [ -e "$log.failed" ]; then
    rm -f "$log.failed"
    if grep -qE 'cannot find -lc\b|libc\.a' "$log"; then
        complain "there is no libc.a: the package of the C library's development files has it" \
            "(Debian: libc6-dev, Fedora: glibc-static)"
    elif grep -q "can't find crate for \`\(std\|core\)\`" "$log"; then
        complain "there is no standard library for $triple: --help has the steps"
    fi
    complain "the build failed"
fi
built=$target/build/$triple/release/flashpolicyd

# A position-independent static binary has a dynamic section too, but nothing in it is NEEDED.
if command -v readelf >/dev/null; then
    if readelf -l "$built" | grep -q INTERP || readelf -d "$built" | grep NEEDED >&2; then
        complain "$built is not static"
    fi
elif command -v ldd >/dev/null && [ "$triple" = "$host" ]; then
    # It fails for a binary that is static and not position-independent.
    linked=$(LC_ALL=C ldd "$built" 2>&1) || :
    case $linked in
        *'statically linked'* | *'not a dynamic'* | *'not a valid dynamic'*) ;;
        *) complain "$built is not static: $linked" ;;
    esac
else
    complain "neither readelf nor ldd is here to check that $built is static"
fi

# Not copied over the old one: that may be running.
cp "$built" "$target/flashpolicyd.new"
mv "$target/flashpolicyd.new" "$target/flashpolicyd"
printf '%s: static, for %s, %d bytes\n' "$target/flashpolicyd" "$triple" "$(wc -c <"$target/flashpolicyd")"
