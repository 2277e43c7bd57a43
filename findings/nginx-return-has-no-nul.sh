#!/bin/sh
# nginx's `return` cannot end a policy with a NUL: `\0` is sent as a backslash and a zero.
#
# Expected: `return "<cross-domain-policy>…</cross-domain-policy>\0";` in a stream server, the common
# recipe, sends the policy and a NUL.
# What happens: of the escapes for bytes nginx knows \t, \r and \n. `\0` and `\x00` are sent as they
# stand, as text behind the root element, and `nginx -t` finds nothing.
# Why it matters: text behind the root is a fault of the XML, for which Flash Player drops the whole
# policy. Without the escape the policy has no NUL, and works only since nginx closes after it.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages nginx=1.22.1-9+deb12u11 libnginx-mod-stream=1.22.1-9+deb12u11

zero=$(free_port)
hexadecimal=$(free_port)
newline=$(free_port)
cat >nginx.conf <<END
load_module $ROOT/usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
pid $TEMP/nginx.pid;
error_log stderr error;
events { worker_connections 64; }
stream {
    server { listen 127.0.0.1:$zero; return "<cross-domain-policy/>\\0"; }
    server { listen 127.0.0.1:$hexadecimal; return '<cross-domain-policy/>\\x00'; }
    server { listen 127.0.0.1:$newline; return '<cross-domain-policy/>\\n'; }
}
END
nginx() {
    LD_LIBRARY_PATH=$LIBRARIES "$ROOT/usr/sbin/nginx" -p "$TEMP" -c "$TEMP/nginx.conf" -e stderr "$@"
}
{
    nginx -t 2>&1 | sed 's/.*test is/nginx -t: test is/; /syntax is ok/d'
    start nginx.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/sbin/nginx" -p "$TEMP" -c "$TEMP/nginx.conf" -e stderr
    listening "$zero" "$hexadecimal" "$newline"
    for port in "$zero" "$hexadecimal" "$newline"; do
        ask "$port"
    done | sed 's/, [a-z]*:/:/' # it closes or resets, which is a matter of time
} >seen
as_stated 'nginx 1.22.1-9+deb12u11 (Debian 12)' <<'END'
nginx -t: test is successful
24 bytes: '<cross-domain-policy/>\\0'
26 bytes: '<cross-domain-policy/>\\x00'
23 bytes: '<cross-domain-policy/>\n'
END
