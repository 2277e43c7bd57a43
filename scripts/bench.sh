#!/bin/sh
# Measures flashpolicyd: beside other policy servers (cargo bench --bench speed), and under attack
# (cargo bench --bench attack).
#
# usage: scripts/bench.sh [PART...] [OPTION...]
#        scripts/bench.sh attack [PART...] [OPTION...]
#        scripts/bench.sh --install
set -eu

say() { printf 'bench.sh: %s\n' "$*"; }
skip() { printf 'bench.sh: skipped: %s\n' "$*" >&2; }

usage() {
    cat <<'end'
usage: scripts/bench.sh [PART...] [OPTION...]
       scripts/bench.sh attack [PART...] [OPTION...]
       scripts/bench.sh --install

Without any word it builds the server and the measurements and runs all of them, which takes about
20 minutes, and stores the results in tests/bench/results and in the tables of the READMEs.

With parts or options, it measures these beside the other servers: 'cargo bench --bench speed'. The
parts are summary clients latency late silent sizes start. Options: --rounds N, --seconds S for each
run, --only SERVER,SERVER (floor ours gevent nginx nginx-log haproxy node go ruby pool), --dry to
store nothing. What is not installed is not measured.

'attack' measures flashpolicyd alone under attack: 'cargo bench --bench attack', about 6 minutes.
The parts are late held flat-out crowds few ten million operate. Options: --check to fail where a
promise is broken, --seconds S for each run, --requests N for the million, --dry to store nothing.

--install installs the other servers, where they are not there yet: nginx with its stream module,
HAProxy, gevent, Go and Ruby as packages of Debian (or of what has apt-get), Node as well, and the
npm package policyfile below target/bench. With sudo when it is not root. What cannot be installed
is said and skipped. Where systemd runs, the packages of nginx and HAProxy start these as services,
nginx on port 80: the measurement does not need that, 'systemctl disable --now nginx haproxy'.
end
}

have() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        skip "$* needs root, and there is no sudo"
        return 1
    fi
}

updated=
# $@: packages
apt() {
    if ! have apt-get; then
        skip "$*: there is no apt-get here; install it in this system's own way"
        return 1
    fi
    # Even an old list may have what is needed.
    if [ -z "$updated" ]; then
        as_root apt-get update -qq || skip 'apt-get update'
        updated=yes
    fi
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null || {
        skip "$*: apt-get cannot install it"
        return 1
    }
}

has_gevent() {
    for python in python3 /usr/bin/python3 "$bench/venv/bin/python3"; do
        if "$python" -c 'import gevent' 2>/dev/null; then
            return 0
        fi
    done
    return 1
}

gevent_from_pypi() {
    say "installing gevent from PyPI into $bench/venv"
    python3 -m venv "$bench/venv" && "$bench/venv/bin/pip" install --quiet gevent
}

policyfile() {
    say "installing the npm package policyfile into $bench"
    cp tests/bench/peers/node/package.json "$bench/" &&
        (cd "$bench" && npm install --silent --ignore-scripts --no-audit --no-fund --no-package-lock)
}

# Each step may fail without ending the others.
install_peers() {
    mkdir -p "$bench"
    have nginx || apt nginx-light || :
    if have nginx && [ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ]; then
        apt libnginx-mod-stream || :
    fi
    have haproxy || apt haproxy || :
    has_gevent || apt python3-gevent || :
    has_gevent || gevent_from_pypi || skip 'gevent'
    have go || apt golang-go || :
    if have go; then
        go build -o "$bench/go-policyd" tests/bench/peers/policyd.go || skip 'the server in Go'
    fi
    have ruby || apt ruby || :
    have node || apt nodejs || :
    have npm || apt npm || :
    if [ ! -d "$bench/node_modules/policyfile" ]; then
        policyfile || skip 'the npm package policyfile'
    fi
}

cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
bench=${CARGO_TARGET_DIR:-target}/bench
case ${1-} in
    -h | --help) usage ;;
    --install) install_peers ;;
    attack)
        shift
        exec "$cargo" bench --locked --bench attack -- "$@"
        ;;
    '')
        "$cargo" bench --locked --bench speed
        exec "$cargo" bench --locked --bench attack
        ;;
    *) exec "$cargo" bench --locked --bench speed -- "$@" ;;
esac
