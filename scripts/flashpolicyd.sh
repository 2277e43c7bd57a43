#!/bin/sh
### BEGIN INIT INFO
# Provides:          flashpolicyd
# Required-Start:    $network $remote_fs
# Required-Stop:     $network $remote_fs
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: Flash socket policy server
# Description:       Answers Flash Player's <policy-file-request/> on port 843.
### END INIT INFO

# For /etc/init.d and for habits: finds the server, its configuration and the folder to run in, and
# has the server do the rest ('flashpolicyd start' and so on), with the LSB's exit codes. It runs
# where it is, and copied or linked into /etc/init.d, under any POSIX sh.

usage() {
    cat <<'END'
usage: flashpolicyd.sh start|stop|restart|try-restart|reload|force-reload|status

settings, from the environment, else from /etc/default/flashpolicyd:
  FLASHPOLICYD_BIN      the server; else flashpolicyd beside this script or one folder up, or
                        ../target/release/flashpolicyd, or in $PATH, /usr/local or /usr
  FLASHPOLICYD_CONFIG   else /etc/flashpolicy.conf, else flashpolicy.conf beside this script or
                        one folder up, else the server's built-in defaults
  FLASHPOLICYD_PIDFILE  else the configuration's, else the server's default
  FLASHPOLICYD_DIR      the folder to run in, where flashpolicy.log goes unless the configuration
                        says otherwise; else the configuration's folder, but instead of /etc:
                        /var/log, or ~ where that cannot be written
  FLASHPOLICYD_ARGS     more options for the server, split at blanks: --log-level debug
  FLASHPOLICYD_DEFAULTS another file than /etc/default/flashpolicyd
END
}

fail() {
    code=$1
    shift
    printf 'flashpolicyd.sh: %s\n' "$*" >&2
    exit "$code"
}

absolute() {
    case $1 in
        '' | /*) printf '%s\n' "$1" ;;
        *) printf '%s\n' "$PWD/$1" ;;
    esac
}

# The file that a path leads to through symbolic links; not every system has readlink -f.
resolve() {
    path=$1
    while [ -L "$path" ] && target=$(readlink "$path"); do
        case $target in
            /*) path=$target ;;
            *) path=$(dirname "$path")/$target ;;
        esac
    done
    folder=$(CDPATH='' cd -P "$(dirname "$path")" && pwd -P)
    printf '%s\n' "${folder%/}/$(basename "$path")"
}

case ${1-} in
    start | stop | restart | try-restart | reload | force-reload | status) ;;
    help | -h | --help) usage && exit ;;
    *) usage >&2 && exit 2 ;;
esac
[ $# -eq 1 ] || { usage >&2 && exit 2; }
action=$1

# Debian's functions hand the action to systemd, where that runs.
if [ "${0#/etc/}" != "$0" ] && [ -r /lib/lsb/init-functions ]; then
    # shellcheck source=/dev/null
    . /lib/lsb/init-functions
fi

# The environment wins over the file: what is typed for one call is meant for that call.
for name in BIN CONFIG PIDFILE DIR ARGS; do
    eval "given_$name=\${FLASHPOLICYD_$name-}"
done
defaults=$(absolute "${FLASHPOLICYD_DEFAULTS:-/etc/default/flashpolicyd}")
# shellcheck source=/dev/null
if [ -r "$defaults" ]; then . "$defaults"; fi
for name in BIN CONFIG PIDFILE DIR ARGS; do
    eval "FLASHPOLICYD_$name=\${given_$name:-\${FLASHPOLICYD_$name-}}"
done
self=$(resolve "$0")
here=$(dirname "$self")

bin=$(absolute "$FLASHPOLICYD_BIN") seen=''
if [ -z "$bin" ]; then
    for file in "$here/flashpolicyd" "$here/../flashpolicyd" \
        "$here/../target/release/flashpolicyd" "$(command -v flashpolicyd)" \
        /usr/local/sbin/flashpolicyd /usr/local/bin/flashpolicyd \
        /usr/sbin/flashpolicyd /usr/bin/flashpolicyd; do
        # As /etc/init.d/flashpolicyd, this script has the server's name.
        if [ -f "$file" ] && [ "$(resolve "$file")" != "$self" ]; then
            if [ -x "$file" ]; then bin=$(resolve "$file") && break; fi
            : "${seen:=$file}"
        fi
    done
fi
: "${bin:=$seen}"
[ -f "$bin" ] || fail 5 "there is no server ${bin:-to be found}; set FLASHPOLICYD_BIN"
[ -x "$bin" ] || fail 5 "the server $bin is not executable; try: chmod +x $bin"

config=$(absolute "$FLASHPOLICYD_CONFIG")
if [ -z "$config" ]; then
    # What somebody put into /etc wins over the template that comes with the sources.
    for file in /etc/flashpolicy.conf "$here/flashpolicy.conf" "$here/../flashpolicy.conf"; do
        if [ -f "$file" ]; then config=$(resolve "$file") && break; fi
    done
fi

# A log path that nobody set is relative to where the server runs, and init runs this in '/'.
dir=$(absolute "$FLASHPOLICYD_DIR")
case $dir,$config in
    ,|,/etc/*) if [ -w /var/log ]; then dir=/var/log; else dir=${HOME:-/}; fi ;;
    ,*) dir=$(dirname "$config") ;;
esac

pid_file=$(absolute "$FLASHPOLICYD_PIDFILE")
# Split at blanks, but '*' stays '*'.
set -f
# shellcheck disable=SC2086
set -- $FLASHPOLICYD_ARGS
set +f
set -- ${config:+--config "$config"} ${pid_file:+--pid-file "$pid_file"} "$@"
cd "$dir" 2>/dev/null || fail 1 "there is no folder $dir to run in; set FLASHPOLICYD_DIR"
case $action in
    force-reload) action=reload ;;
    try-restart)
        "$bin" status "$@" >/dev/null 2>&1
        [ $? -ne 3 ] || exit 0
        action=restart
        ;;
esac
exec "$bin" "$action" "$@"
