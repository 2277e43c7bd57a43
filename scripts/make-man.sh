#!/bin/sh
# Makes the manual page flashpolicy.conf(5) from flashpolicy.conf, so that each key is described in
# one place only: scripts/flashpolicy.conf.5. A test compares them.
#
# usage: scripts/make-man.sh
set -eu

case ${1-} in
    '') ;;
    -h | --help)
        sed -n '2,5s/^# \{0,1\}//p' "$0"
        exit
        ;;
    *)
        printf 'make-man.sh: usage: scripts/make-man.sh\n' >&2
        exit 2
        ;;
esac
cd "$(dirname "$0")/.."

awk '
# The collected comment as text for mdoc: a sentence begins a line, and no line is long.
function paragraph(   words, count, i, line, word) {
    count = split(comment, words, " ")
    comment = ""
    line = ""
    for (i = 1; i <= count; i++) {
        word = words[i]
        gsub(/\\/, "\\e", word)
        gsub(/--/, "\\-\\-", word)
        if (line != "" && length(line) + length(word) > 76) { put(line); line = "" }
        line = line (line == "" ? "" : " ") word
        if (word ~ /[.?]$/) { put(line); line = "" }
    }
    if (line != "") put(line)
}
# Nothing that would begin a macro.
function put(line) {
    if (line ~ /^[.\047]/) line = "\\&" line
    print line
}
BEGIN {
    print ".\\\" Made by scripts/make-man.sh from flashpolicy.conf."
    print ".Dd November 26, 2026"
    print ".Dt FLASHPOLICY.CONF 5"
    print ".Os"
    print ".Sh NAME"
    print ".Nm flashpolicy.conf"
    print ".Nd configuration of flashpolicyd"
    print ".Sh DESCRIPTION"
}
NR == 1 { next }
/^#$/ && !listed { next }
/^# / { comment = comment " " substr($0, 3); next }
/^$/ { if (!listed) paragraph(); next }
# A key with its default; its text stands before it.
/^#[a-z_]+ = / {
    if (!listed) {
        listed = 1
        print ".Pp"
        print "The keys, with their defaults:"
        print ".Bl -tag -width Ds"
    }
    print ".It Li \"" substr($0, 2) "\""
    paragraph()
}
END {
    print ".El"
    print ".Sh FILES"
    print ".Bl -tag -width Ds"
    print ".It Pa /etc/flashpolicy.conf"
    print "Read where no other file is named and the current folder has none."
    print ".El"
    print ".Sh EXAMPLES"
    print "A game on two ports, for players from anywhere:"
    print ".Bd -literal -offset indent"
    print "allow = * 9339,5000"
    print "meta_policy = master-only"
    print ".Ed"
    print ".Sh SEE ALSO"
    print ".Xr flashpolicyd 8"
}' flashpolicy.conf >scripts/flashpolicy.conf.5.new
mv scripts/flashpolicy.conf.5.new scripts/flashpolicy.conf.5
