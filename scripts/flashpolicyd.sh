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

# Starts and stops flashpolicyd in the background; 'flashpolicyd.sh help' says how. It runs where it
# is, and copied or linked into /etc/init.d. Its exit codes are those of the LSB.
#
# For any POSIX sh with the tools of a minimal host; whatever else is used has a fallback.

usage() {
    cat <<'END'
usage: flashpolicyd.sh start|stop|restart|reload|status

settings, from the environment, else from /etc/default/flashpolicyd:
  FLASHPOLICYD_BIN      the server; else flashpolicyd beside this script or one folder up, or
                        ../target/release/flashpolicyd, or in $PATH, /usr/local or /usr
  FLASHPOLICYD_CONFIG   else /etc/flashpolicy.conf, else flashpolicy.conf beside this script or
                        one folder up, else the server's built-in defaults
  FLASHPOLICYD_PIDFILE  else /run/flashpolicyd.pid; not as root: ~/.flashpolicyd.pid
  FLASHPOLICYD_DIR      the folder to run in, where flashpolicy.log goes unless the configuration
                        says otherwise; else the configuration's folder, but instead of /etc:
                        /var/log, or ~ where that cannot be written
  FLASHPOLICYD_ARGS     more options for the server, split at blanks: --log-level debug
  FLASHPOLICYD_START_SECONDS  time it has to bind its ports (10)
  FLASHPOLICYD_STOP_SECONDS   time its last clients have, before it ends at once (15)
  FLASHPOLICYD_DEFAULTS       another file than /etc/default/flashpolicyd
END
}

SETTINGS='BIN CONFIG PIDFILE DIR ARGS START_SECONDS STOP_SECONDS'

# How long a second SIGTERM, which asks for the end at once, may take.
AT_ONCE_SECONDS=5

TAB=$(printf '\t')

say() {
    printf 'flashpolicyd %s\n' "$*"
}

complain() {
    printf 'flashpolicyd.sh: %s\n' "$*" >&2
}

# ---- settings ------------------------------------------------------------------------------------

# The environment wins over the file: what is typed for one call is meant for that call.
load_settings() {
    for name in $SETTINGS; do
        eval "given_$name=\${FLASHPOLICYD_$name-}"
    done
    defaults=$(absolute "${FLASHPOLICYD_DEFAULTS:-/etc/default/flashpolicyd}")
    if [ -r "$defaults" ]; then
        # shellcheck source=/dev/null
        . "$defaults"
    fi
    for name in $SETTINGS; do
        eval "FLASHPOLICYD_$name=\${given_$name:-\${FLASHPOLICYD_$name-}}"
    done

    self=$(resolve "$0")
    here=$(dirname "$self")
    # All absolute: the server runs in another folder than this script.
    bin=$(find_binary)
    config=$(find_config)
    pid_file=$(find_pid_file) || return 2
    work_dir=$(find_work_dir)
    start_seconds=${FLASHPOLICYD_START_SECONDS:-10}
    stop_seconds=${FLASHPOLICYD_STOP_SECONDS:-15}
    case $start_seconds$stop_seconds in
        *[!0-9]*)
            complain "FLASHPOLICYD_START_SECONDS and FLASHPOLICYD_STOP_SECONDS are whole numbers"
            return 2
            ;;
    esac
    # Not before the file of settings, which may not expect it.
    set -u
}

absolute() {
    case $1 in
        /*) printf '%s\n' "$1" ;;
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

find_binary() {
    if [ -n "$FLASHPOLICYD_BIN" ]; then
        absolute "$FLASHPOLICYD_BIN"
        return
    fi
    for file in "$here/flashpolicyd" "$here/../flashpolicyd" \
        "$here/../target/release/flashpolicyd" "$(command -v flashpolicyd)" \
        /usr/local/sbin/flashpolicyd /usr/local/bin/flashpolicyd \
        /usr/sbin/flashpolicyd /usr/bin/flashpolicyd; do
        # As /etc/init.d/flashpolicyd, this script has the server's name.
        if [ -f "$file" ] && [ -x "$file" ] && [ "$(resolve "$file")" != "$self" ]; then
            resolve "$file"
            return
        fi
    done
}

# What somebody put into /etc wins over the template that comes with the sources.
find_config() {
    if [ -n "$FLASHPOLICYD_CONFIG" ]; then
        absolute "$FLASHPOLICYD_CONFIG"
        return
    fi
    for file in /etc/flashpolicy.conf "$here/flashpolicy.conf" "$here/../flashpolicy.conf"; do
        if [ -f "$file" ]; then
            resolve "$file"
            return
        fi
    done
}

find_pid_file() {
    if [ -n "$FLASHPOLICYD_PIDFILE" ]; then
        absolute "$FLASHPOLICYD_PIDFILE"
    elif [ "$(id -u)" -eq 0 ]; then
        printf '%s\n' /run/flashpolicyd.pid
    elif [ -n "${HOME-}" ]; then
        # Not XDG_RUNTIME_DIR: that is emptied at log-out, and the server goes on.
        printf '%s\n' "$HOME/.flashpolicyd.pid"
    else
        complain "there is no \$HOME for a pid file; set FLASHPOLICYD_PIDFILE"
        return 1
    fi
}

# A log path that nobody set is relative to where the server runs, and init runs this in '/'.
find_work_dir() {
    if [ -n "$FLASHPOLICYD_DIR" ]; then
        absolute "$FLASHPOLICYD_DIR"
        return
    fi
    case $config in
        '' | /etc/*)
            if [ -w /var/log ]; then
                printf '%s\n' /var/log
            else
                printf '%s\n' "${HOME:-/}"
            fi
            ;;
        *) dirname "$config" ;;
    esac
}

# ---- processes -----------------------------------------------------------------------------------

# 'sleep 0.1' is not POSIX.
nap() {
    sleep 0.1 2>/dev/null || sleep 1
}

# Sets 'now', in hundredths of a second.
look_at_the_clock() {
    if [ -r /proc/uptime ] && read -r now _ </proc/uptime; then
        now=${now%.*}${now#*.}
    else
        now=$(date +%s)00
    fi
}

# Whether process $1 lives; sets 'name' to the name of its program, as far as the system says it.
# Every user may read /proc/PID/status, unlike /proc/PID/exe, and 'kill -0'.
lives() {
    name='' state=''
    if [ -r /proc/self/status ]; then
        {
            while IFS=$TAB read -r key value; do
                case $key in
                    Name:) name=$value ;;
                    State:) state=$value && break ;;
                esac
            done <"/proc/$1/status"
        } 2>/dev/null
        # A zombie has ended; its parent has not noticed yet.
        case $state in
            '' | Z* | X*) return 1 ;;
        esac
    elif name=$(ps -p "$1" -o comm= 2>/dev/null); then
        name=${name##*/}
    else
        kill -0 "$1" 2>/dev/null
    fi
}

# Whether process $1 is a server, and no other program that got the number of one. The system cuts
# names to 15 bytes.
is_server() {
    lives "$1" || return 1
    case $(printf '%.15s' "$name") in
        '' | flashpolicyd | "$(printf '%.15s' "${bin##*/}")") return 0 ;;
        *) return 1 ;;
    esac
}

# Sets 'pid' to what the pid file says. 1: there is none; 2: it holds no process id; 4: unreadable.
read_pid_file() {
    pid=''
    if [ ! -e "$pid_file" ]; then
        return 1
    elif [ ! -f "$pid_file" ] || [ ! -r "$pid_file" ]; then
        return 4
    fi
    { read -r pid <"$pid_file"; } 2>/dev/null
    case $pid in
        # 0 would mean this script's own process group.
        '' | 0* | *[!0-9]* | ???????????*)
            pid=''
            return 2
            ;;
    esac
}

# Sets 'pid', and gives the LSB's exit code of 'status'.
find_server() {
    read_pid_file
    case $? in
        0) is_server "$pid" ;;
        1) return 3 ;;
        2) return 1 ;;
        *) return 4 ;;
    esac
}

# Waits up to $2 seconds for the end of server $1.
wait_for_end() {
    look_at_the_clock
    deadline=$((now + $2 * 100))
    while is_server "$1"; do
        look_at_the_clock
        [ "$now" -lt "$deadline" ] || return 1
        nap
    done
}

cannot_read_pid_file() {
    complain "cannot read the pid file $pid_file, so whether flashpolicyd runs is unknown"
    return 4
}

# ---- the server's own commands -------------------------------------------------------------------

can_call_server() {
    if [ ! -x "$bin" ] || [ ! -f "$bin" ]; then
        complain "there is no server ${bin:-to be found}; set FLASHPOLICYD_BIN"
        return 5
    fi
    if [ ! -d "$work_dir" ]; then
        complain "there is no folder $work_dir to run in; set FLASHPOLICYD_DIR"
        return 1
    fi
}

# Calls the server by $1 (words such as 'exec') with its command $2, and with the configuration and
# the options of the settings. For a subshell: it goes to the folder where the server runs.
call_server() {
    by=$1 command=$2
    shift 2
    # Split at blanks, but '*' stays '*'.
    set -f
    # shellcheck disable=SC2086
    set -- "$@" $FLASHPOLICYD_ARGS
    set +f
    if [ -n "$config" ]; then
        set -- --config "$config" "$@"
    fi
    cd "$work_dir" || exit 1
    # shellcheck disable=SC2086
    $by "$bin" "$command" "$@"
}

# Whether the server would start with the configuration as it is now; shows what is wrong with it.
check() {
    can_call_server || return
    findings=$(call_server '' check 2>&1) && return
    printf '%s\n' "$findings" >&2
    complain "the running server is left as it is"
    return 2
}

# ---- actions: each gives the exit code -----------------------------------------------------------

start() {
    find_server
    case $? in
        0)
            say "is already running (process $pid)"
            return 0
            ;;
        # The number in a stale file may be the one that the new server gets, and then it would
        # seem to be up. Emptied and not removed: a lock on it, whosever it is, goes on to count.
        1) (: >"$pid_file") 2>/dev/null ;;
        4)
            cannot_read_pid_file
            return
            ;;
    esac
    can_call_server || return

    # A file, and not this script's own standard error: a server that kept that open would keep
    # 'ssh host flashpolicyd.sh start' from ending.
    errors=$pid_file.$$.errors
    rm -f "$errors"
    if ! (: >"$errors") 2>/dev/null; then
        complain "cannot write the pid file $pid_file; set FLASHPOLICYD_PIDFILE"
        return 1
    fi
    child=''
    trap 'kill "$child" 2>/dev/null; rm -f "$errors"; exit 1' HUP INT TERM
    (
        # A session of its own, so that a closing terminal does not take it along.
        if command -v setsid >/dev/null; then
            call_server 'exec setsid' serve --pid-file "$pid_file"
        else
            trap '' HUP
            call_server exec serve --pid-file "$pid_file"
        fi
    ) </dev/null >/dev/null 2>"$errors" &
    child=$!
    wait_for_ports
    outcome=$?
    trap - HUP INT TERM
    rm -f "$errors"
    return "$outcome"
}

# Waits until the server that was just started has written its pid file: its ports are bound.
wait_for_ports() {
    look_at_the_clock
    deadline=$((now + start_seconds * 100))
    until read_pid_file && [ "$pid" = "$child" ]; do
        if ! lives "$child"; then
            wait "$child"
            outcome=$?
            if [ -s "$errors" ]; then
                cat "$errors" >&2
            else
                complain "the server ended with exit code $outcome and without a word; its log" \
                    "in $work_dir may say why, or try: $bin${config:+ --config $config}"
            fi
            case $outcome in
                1 | 2) return "$outcome" ;;
                *) return 1 ;;
            esac
        fi
        look_at_the_clock
        if [ "$now" -ge "$deadline" ]; then
            kill -KILL "$child"
            # The shell would announce its end.
            wait "$child" 2>/dev/null
            cat "$errors" >&2
            complain "the server had not bound its ports after $start_seconds s and was ended"
            return 1
        fi
        nap
    done
    cat "$errors" >&2
    say "started (process $child)"
}

stop() {
    find_server
    case $? in
        0) ;;
        1)
            rm -f "$pid_file"
            say "is already stopped; removed its stale pid file $pid_file"
            return 0
            ;;
        3)
            say "is already stopped"
            return 0
            ;;
        *)
            cannot_read_pid_file
            return
            ;;
    esac
    server=$pid
    look_at_the_clock
    begun=$now
    how=''
    if ! kill -TERM "$server" 2>/dev/null && is_server "$server"; then
        complain "this user may not stop process $server"
        return 4
    fi
    if ! wait_for_end "$server" "$stop_seconds"; then
        kill -TERM "$server" 2>/dev/null
        how=', by a second SIGTERM'
        if ! wait_for_end "$server" "$AT_ONCE_SECONDS"; then
            complain "process $server is still there after two SIGTERM; the last resort is:" \
                "kill -KILL $server"
            return 1
        fi
    fi
    look_at_the_clock
    took=$((now - begun))
    # A server that may not remove the file, or was ended at once, leaves it behind.
    if read_pid_file && [ "$pid" = "$server" ]; then
        rm -f "$pid_file"
    fi
    say "stopped after $((took / 100)).$((took % 100 / 10)) s$how (process $server)"
}

# A mistake in the configuration is no reason to be without a server.
restart() {
    check && stop && start
}

reload() {
    find_server
    case $? in
        0) ;;
        1 | 3)
            complain "flashpolicyd is not running; there is nothing to reload"
            return 7
            ;;
        *)
            cannot_read_pid_file
            return
            ;;
    esac
    check || return
    if ! kill -HUP "$pid" 2>/dev/null; then
        complain "this user may not signal process $pid"
        return 4
    fi
    say "reloads (process $pid); its log tells the outcome"
}

# The essential figures, where the configuration names a file for the statistics. The server writes
# it every 15 seconds.
show_figures() {
    [ -r "$config" ] || return 0
    figures=$(sed -n 's/^[[:blank:]]*stats_file[[:blank:]]*=[[:blank:]]*//p' "$config" | tr -d '\r')
    case $figures in
        '' | none) return 0 ;;
        /*) ;;
        *) figures=$(dirname "$config")/$figures ;;
    esac
    [ -r "$figures" ] || return 0
    # A label may hold blanks: the value is what stands behind the last one.
    sed -n 's/^flashpolicyd_\(.*\) \([^ ]*\)$/\1|\2/p' "$figures" | awk -F'|' '
        { figure[$1] = $2 }
        function row(text, name) { printf "  %-30s %12d\n", text, figure[name] }
        function now_and_most(text, name) {
            printf "  %-30s %12d (at most %d)\n", text, figure[name], figure[name "_most"]
        }
        END {
            row("connections accepted", "connections_accepted_total")
            row("policies served", "connections_ended_total{end=\"served\"}")
            row("not a request", "connections_ended_total{end=\"not a request\"}")
            row("timed out", "connections_ended_total{end=\"timed out\"}")
            row("evicted", "connections_ended_total{end=\"evicted\"}")
            row("refused", "connections_ended_total{end=\"refused\"}")
            row("log lines lost", "log_lines_lost_total")
            now_and_most("workers busy", "workers_busy")
            now_and_most("connections pending", "connections_pending")
        }
    '
}

status() {
    find_server
    outcome=$?
    case $outcome in
        0)
            say "is running (process $pid)"
            show_figures
            ;;
        1) say "is not running, but its pid file is there: $pid_file" ;;
        3) say "is not running (no pid file $pid_file)" ;;
        *) cannot_read_pid_file ;;
    esac
    return "$outcome"
}

# --------------------------------------------------------------------------------------------------

if [ $# -ne 1 ]; then
    usage >&2
    exit 2
fi
case $1 in
    start) load_settings && start ;;
    stop) load_settings && stop ;;
    restart) load_settings && restart ;;
    reload | force-reload) load_settings && reload ;;
    status) load_settings && status ;;
    help | -h | --help) usage ;;
    *)
        complain "unknown action '$1'"
        usage >&2
        exit 2
        ;;
esac
