#!/bin/sh
# The crate ctrlc 3.5.2 takes signals that its parent wanted ignored.
#
# Expected: a server that a script started with `&`, or with nohup, lives on when ctrl-c ends the
# script, or the terminal closes: both have these signals ignored, and a program inherits that.
# What happens: `set_handler` puts its handler in place of "ignored", for SIGINT, and with the feature
# `termination` for SIGHUP too. So ctrl-c in the script's terminal also ends the server, and nohup is
# without effect. `try_set_handler` is no way out: it wants the default and fails with MultipleHandlers.
# Why it matters: the policy server that was started by the game's own start script goes with the
# script. A supervisor, setsid, or a look at the old disposition first keeps it.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
rust_program 'ctrlc = { version = "=3.5.2", features = ["termination"] }' <<'END'
fn main() {
    if std::env::args().nth(1).as_deref() == Some("try") {
        println!("try_set_handler: {:?}", ctrlc::try_set_handler(|| ()));
        return;
    }
    ctrlc::set_handler(|| std::process::exit(7)).unwrap();
    println!("ready");
    std::thread::sleep(std::time::Duration::from_secs(5));
}
END
for signal in INT HUP; do
    for run in "$PROGRAM" 'sleep 2'; do
        # shellcheck disable=SC2086 # a program, or one with its argument
        (trap '' $signal; exec $run) >ready &
        child=$!
        tries=0
        until [ "$run" = 'sleep 2' ] || grep -qs ready ready || [ "$tries" = 50 ]; do
            tries=$((tries + 1))
            sleep 0.1
        done
        sleep 0.5
        kill -$signal $child
        status=0
        wait $child || status=$?
        case $status in
        0) end='went on to its end' ;;
        *) end="ended, status $status" ;;
        esac
        echo "SIG$signal ignored by the parent, then sent: ${run##*/}: $end"
    done
done >seen
(trap '' INT; exec "$PROGRAM" try) >>seen
as_stated 'ctrlc 3.5.2' <<'END'
SIGINT ignored by the parent, then sent: finding: ended, status 7
SIGINT ignored by the parent, then sent: sleep 2: went on to its end
SIGHUP ignored by the parent, then sent: finding: ended, status 7
SIGHUP ignored by the parent, then sent: sleep 2: went on to its end
try_set_handler: Err(MultipleHandlers)
END
