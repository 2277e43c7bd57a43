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
# shellcheck source=/dev/null
. "$HERE/inspircd"
need python3
debian_packages inspircd=3.15.0-1

printf '<cross-domain-policy>\n<allow-access-from domain="*" to-ports="6667"/>\n</cross-domain-policy>' >end
{ cat end; printf '\n'; } >lf.xml
sed "s/\$/$(printf '\r')/" lf.xml >crlf.xml
{ cat end; printf '\0'; } >nul.xml
irc=$(free_port)
for file in lf.xml crlf.xml nul.xml ''; do
    policies=$(free_port)
    serve_policies "$policies" "$irc" "$file"
    server=${PIDS##* }
    printf '%s: ' "${file:-no file}"
    # Not every player is answered: see inspircd-leaves-players-out.sh.
    ask "$policies" 5 | grep -v '^0 bytes' | head -n 1
    kill "$server"
    wait "$server" || :
done | sed "s/\"$irc\"/\"IRC\"/; s/^no file: [0-9]* bytes/no file: some bytes/" >seen
as_stated 'InspIRCd 3.15.0-1 (Debian 12)' <<'END'
lf.xml: 96 bytes, closed: '<cross-domain-policy>\r\n<allow-access-from domain="*" to-ports="6667"/>\r\n</cross-domain-policy>\r\n'
crlf.xml: 99 bytes, closed: '<cross-domain-policy>\r\r\n<allow-access-from domain="*" to-ports="6667"/>\r\r\n</cross-domain-policy>\r\r\n'
nul.xml: 97 bytes, closed: '<cross-domain-policy>\r\n<allow-access-from domain="*" to-ports="6667"/>\r\n</cross-domain-policy>\x00\r\n'
no file: some bytes, closed: '<?xml version="1.0"?><!DOCTYPE cross-domain-policy SYSTEM "/xml/dtds/cross-domain-policy.dtd"><cross-domain-policy><site-control permitted-cross-domain-policies="master-only"/><allow-access-from domain="*" to-ports="IRC" /></cross-domain-policy>'
END
