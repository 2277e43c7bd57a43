#!/bin/sh
# Builds flashpolicyd for Windows 10 and later on 64 bit, where it has every command but the server's:
# target/windows/flashpolicyd.exe. It builds in target/windows/build, apart from everything else.
#
# usage: scripts/build-windows.sh [options for cargo build, such as --offline]
#        scripts/build-windows.sh --test [options for cargo test]     runs tests under Wine instead
#        scripts/build-windows.sh --chroot [...]      builds in a Debian 13 even if the tools are here
#        scripts/build-windows.sh --packages          what it takes of Debian 13, for apt-get install
#
# It builds on this host if gcc-mingw-w64-x86-64-posix is here, and Rust's standard library for
# Windows (rustup target add x86_64-pc-windows-gnu) or its sources (Debian's rust-src). Otherwise it
# makes a Debian 13 with them in target/windows/debian-13 and builds there: that takes root,
# debootstrap, unshare, and 2 GB.
set -eu

said() { printf 'build-windows.sh: %s\n' "$*" >&2; }
complain() {
    said "$@"
    exit 1
}

packages='ca-certificates cargo gcc gcc-mingw-w64-x86-64-posix libc6-dev rust-src'
triple=x86_64-pc-windows-gnu
command=build place=''
while :; do
    case ${1-} in
        --test) command='test' ;;
        --chroot) place=chroot ;;
        *) break ;;
    esac
    shift
done
for option in "$@"; do
    case $option in
        -h | --help)
            sed -n '2,13s/^# \{0,1\}//p' "$0"
            exit
            ;;
        --packages)
            printf '%s\n' "$packages"
            exit
            ;;
        --target | --target=*) complain "it builds for $triple alone" ;;
        --target-dir | --target-dir=*) complain "set CARGO_TARGET_DIR in place of --target-dir" ;;
        --) break ;;
    esac
done
cd "$(dirname "$0")/.."
sources=$PWD
cargo=${CARGO:-cargo}
rustc=${RUSTC:-rustc}
target=${CARGO_TARGET_DIR:-target}
case $target in /*) ;; *) target=$sources/$target ;; esac
windows=$target/windows
mkdir -p "$windows"
began=$(date +%s)

# ---- what is here --------------------------------------------------------------------------------

missing='' std=''
command -v x86_64-w64-mingw32-gcc >/dev/null || missing="x86_64-w64-mingw32-gcc"
# A cargo that is too old cannot even read Cargo.toml.
if ! "$cargo" metadata --no-deps --offline --format-version 1 >/dev/null 2>&1; then
    missing="${missing:+$missing, }a cargo that reads this Cargo.toml"
elif ! library=$("$rustc" --print sysroot)/lib/rustlib; then
    missing="${missing:+$missing, }rustc"
elif ls "$library/$triple/lib"/libstd-*.rlib >/dev/null 2>&1; then
    std=compiled
elif [ -e "$library/src/rust/library/std/Cargo.toml" ]; then
    std=sources
else
    missing="${missing:+$missing, }Rust's standard library for $triple or its sources"
fi

# ---- elsewhere: a Debian 13 ----------------------------------------------------------------------

if [ "$place" = chroot ] || [ -n "$missing" ]; then
    [ "$command" = build ] || complain "the tests are run on this host only; not here: ${missing:-all is}"
    [ -z "$missing" ] || said "not here: $missing; so it builds in a Debian 13"
    [ "$(id -u)" = 0 ] || complain "a Debian 13 is made by root only: start it as root, or install on" \
        "Debian 13: $packages"
    for tool in debootstrap unshare; do
        command -v "$tool" >/dev/null || complain "there is no $tool, which a Debian 13 takes" \
            "(Debian's packages debootstrap and util-linux have them)"
    done
    system=$windows/debian-13
    if [ ! -d "$system" ]; then
        said "making a Debian 13 with $packages in $system: 2 GB, a minute or two"
        rm -rf "$system.new"
        debootstrap --variant=minbase "--include=$(echo "$packages" | tr ' ' ,)" trixie "$system.new" \
            >"$system.log" 2>&1 || {
            tail -n 20 "$system.log" >&2
            complain "debootstrap failed, see $system.log"
        }
        mkdir -p "$system.new$sources" "$system.new$target"
        mv "$system.new" "$system"
        said "made after $(($(date +%s) - began)) s"
    fi
    # The network, and whom to trust there, as on this host.
    for file in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
        if [ -e "$file" ]; then cp -L "$file" "$system$file"; fi
    done
    mkdir -p "$system$sources" "$system$target"
    # Both at their own paths, so that what is said there holds here.
    # shellcheck disable=SC2016 # these are for the inner shells
    exec unshare --mount --pid --fork --kill-child sh -euc '
        system=$0 sources=$1 target=$2
        shift 2
        mount --bind "$sources" "$system$sources"
        mount -o remount,bind,ro "$system$sources"
        mount --bind "$target" "$system$target"
        mount -t proc proc "$system/proc"
        for name in $(env | sed -n "s/^\(CARGO_PROFILE_[A-Z_]*\|CARGO_NET_OFFLINE\|[a-zA-Z]*_proxy\|[A-Z]*_PROXY\)=.*/\1/p"); do
            eval "set -- \"$name=\$$name\" \"\$@\""
        done
        exec chroot "$system" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin \
            CARGO_TARGET_DIR="$target" "$@"
    ' "$system" "$sources" "$target" "$sources/scripts/build-windows.sh" "$@"
fi

# ---- here ----------------------------------------------------------------------------------------

if [ "$std" = sources ]; then
    # What the standard library's own build makes: the objects at both ends of each .exe.
    for object in rsbegin rsend; do
        RUSTC_BOOTSTRAP=1 "$rustc" --target "$triple" --emit obj -o "$windows/$object.o" \
            "$library/src/rust/library/rtstartup/$object.rs"
    done
    # Encoded, since a path may hold blanks.
    separator=$(printf '\037')
    flags=${CARGO_ENCODED_RUSTFLAGS-$(printf %s "${RUSTFLAGS-}" | tr ' ' '\037')}
    export CARGO_ENCODED_RUSTFLAGS="${flags:+$flags$separator}-Lnative=$windows" RUSTC_BOOTSTRAP=1
    set -- -Z build-std=std,panic_abort,test "$@"
    said "compiling Rust's standard library and flashpolicyd for Windows: 1 to 3 minutes"
else
    said "compiling flashpolicyd for Windows: about a minute"
fi
set -- --release --locked --target "$triple" --target-dir "$windows/build" "$@"
if [ "$command" = test ]; then
    runner=CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER
    if eval "[ -z \"\${$runner-}\" ]"; then
        wine=$(command -v wine) || wine=/usr/lib/wine/wine64
        [ -x "$wine" ] || complain "there is no wine to run the tests (Debian's package wine has it)," \
            "and no $runner is set"
        export "$runner=$wine"
    fi
    WINEDEBUG=${WINEDEBUG--all} exec "$cargo" test "$@"
fi
"$cargo" build --bin flashpolicyd "$@" || complain "the build failed"
built=$windows/build/$triple/release/flashpolicyd.exe

# The other DLLs are those of the compiler, which no Windows has.
if x86_64-w64-mingw32-objdump -p "$built" | grep -i 'DLL Name: lib' >&2; then
    complain "$built needs DLLs that no Windows has"
fi
cp "$built" "$windows/flashpolicyd.exe.new"
mv "$windows/flashpolicyd.exe.new" "$windows/flashpolicyd.exe"
printf '%s: for Windows 10 and later, 64 bit, %d bytes, made in %d s\n' "$windows/flashpolicyd.exe" \
    "$(wc -c <"$windows/flashpolicyd.exe")" "$(($(date +%s) - began))"
