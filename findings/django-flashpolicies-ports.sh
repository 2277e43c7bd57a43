#!/bin/sh
# django-flashpolicies 1.14 takes a string of ports apart into its digits.
#
# Expected: `allow_domain(domain, to_ports="9339")` grants port 9339, since `to_ports="*"` grants all
# ports, as its documentation says.
# What happens: each character becomes a port of its own, `to-ports="9,3,3,9"`, without an error. A
# list is wanted; `"*"` is right only because it has one character. "5000-5003" becomes 5,0,0,0,-,5,…
# Why it matters: the policy is well-formed and is served, and every player is refused on port 9339.
# Whoever asks why has to see that 9,3,3,9 was one number.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
python_packages django-flashpolicies==1.14 Django==5.2.8

python3 - >seen <<'END'
from flashpolicies.policies import Policy

for ports in ("9339", "*", ["9339", "5000-5003"]):
    policy = Policy()
    policy.allow_domain("www.example.com", to_ports=ports)
    grant = policy.xml_dom.getElementsByTagName("allow-access-from")[0]
    print(f"to_ports={ports!r}: {grant.toxml()}")
END
as_stated 'django-flashpolicies 1.14' <<'END'
to_ports='9339': <allow-access-from domain="www.example.com" to-ports="9,3,3,9"/>
to_ports='*': <allow-access-from domain="www.example.com" to-ports="*"/>
to_ports=['9339', '5000-5003']: <allow-access-from domain="www.example.com" to-ports="9339,5000-5003"/>
END
