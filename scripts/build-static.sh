#!/bin/sh
# Builds flashpolicyd as one static binary, to be copied to any Linux host of the same processor:
# target/static/flashpolicyd. It builds in target/static/build, apart from everything else.
#
# usage: scripts/build-static.sh [options for cargo build, such as --offline]
set -eu

complain() {
    printf 'build-static.sh: %s\n' "$*" >&2
    exit 1
}

case ${1-} in
    -h | --help)
        sed -n '2,5s/^# \{0,1\}//p' "$0"
        exit
        ;;
esac
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}/static
# Named even though it is the host's: without --target, cargo would hand the flags to build scripts
# and procedural macros too, and those are loaded by the compiler, so they cannot be static.
triple=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
case $triple in
    *-linux-*) ;;
    *) complain "there are static binaries on Linux only, and this is $triple" ;;
esac

# It would win over RUSTFLAGS.
unset CARGO_ENCODED_RUSTFLAGS
RUSTFLAGS="${RUSTFLAGS:+$RUSTFLAGS }-C target-feature=+crt-static" \
    "$cargo" build --release --locked --bin flashpolicyd --target "$triple" \
    --target-dir "$target/build" "$@" ||
    complain "the build failed; where libc.a is missing: the package of the C library's" \
        "development files has it (Debian: libc6-dev, Fedora: glibc-static)"
built=$target/build/$triple/release/flashpolicyd

# A position-independent static binary has a dynamic section too, but nothing in it is NEEDED.
if command -v readelf >/dev/null; then
    if readelf -l "$built" | grep -q INTERP || readelf -d "$built" | grep NEEDED >&2; then
        complain "$built is not static"
    fi
elif command -v ldd >/dev/null; then
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
printf '%s: static, %d bytes\n' "$target/flashpolicyd" "$(wc -c <"$target/flashpolicyd")"
