#!/bin/sh
# InspIRCd 3.15.0 changes the line ends of a policy file that it serves, and never sends a NUL.
#
# Expected: module flashpolicyd with `file=` sends the file's bytes, and the NUL that ends a policy.
# What happens: each line ends in CR LF, whatever it was: LF becomes CR LF, CR LF becomes CR CR LF. A
# NUL at the file's end gets a CR LF behind it. Where the file has none, none is sent, and neither
# with the policy that the module makes itself; it closes after the answer.
# Why it matters: the NUL cannot be added by whoever runs it. Players that wait for it take the
# policy only since the connection closes, and one put into the file has bytes behind it.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages inspircd=3.15.0-1

printf '<cross-domain-policy>\n<allow-access-from domain="*" to-ports="6667"/>\n</cross-domain-policy>' >end
{ cat end; printf '\n'; } >lf.xml
sed 's/$/\r/' lf.xml >crlf.xml
{ cat end; printf '\0'; } >nul.xml
irc=$(free_port)
modules=$(dirname "$(find "$ROOT" -name m_flashpolicyd.so)")
for file in lf.xml crlf.xml nul.xml ''; do
    port=$(free_port)
    cat >irc.conf <<END
<config format="xml">
<server name="irc.example.net" description="a server" network="Example" id="001">
<admin name="admin" nick="admin" email="admin@example.net">
<path configdir="$TEMP" datadir="$TEMP" logdir="$TEMP" moduledir="$modules" runtimedir="$TEMP">
<module name="flashpolicyd">
<flashpolicyd timeout="5" file="${file:+$TEMP/}$file">
<bind address="127.0.0.1" port="$port" type="flashpolicyd">
<bind address="127.0.0.1" port="$irc" type="clients">
<connect allow="*">
<class name="x">
END
    as_root=
    [ "$(id -u)" != 0 ] || as_root=--runasroot
    # shellcheck disable=SC2086 # no option or one
    start irc.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/sbin/inspircd" --nofork --nopid $as_root \
        --config "$TEMP/irc.conf"
    server=${PIDS##* }
    listening "$port"
    printf '%s: ' "${file:-no file}"
    ask "$port"
    kill "$server"
    wait "$server" || :
done | sed "s/\"$irc\"/\"IRC\"/; s/^no file: [0-9]* bytes/no file: some bytes/" >seen
as_stated 'InspIRCd 3.15.0-1 (Debian 12)' <<'END'
lf.xml: 96 bytes, closed: '<cross-domain-policy>\r\n<allow-access-from domain="*" to-ports="6667"/>\r\n</cross-domain-policy>\r\n'
crlf.xml: 99 bytes, closed: '<cross-domain-policy>\r\r\n<allow-access-from domain="*" to-ports="6667"/>\r\r\n</cross-domain-policy>\r\r\n'
nul.xml: 97 bytes, closed: '<cross-domain-policy>\r\n<allow-access-from domain="*" to-ports="6667"/>\r\n</cross-domain-policy>\x00\r\n'
no file: some bytes, closed: '<?xml version="1.0"?><!DOCTYPE cross-domain-policy SYSTEM "/xml/dtds/cross-domain-policy.dtd"><cross-domain-policy><site-control permitted-cross-domain-policies="master-only"/><allow-access-from domain="*" to-ports="IRC" /></cross-domain-policy>'
END
