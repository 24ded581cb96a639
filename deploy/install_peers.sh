#!/bin/sh
# Install the real peers the tests talk to, where this machine is Debian and we are root. Elsewhere the tests
# that need a missing peer are skipped by name.
set -eu
peers="rsyslog syslog-ng-core rsyslog-relp rsyslog-gnutls softflowd nfdump nfdump-sflow tshark freeradius-utils slapd ldap-utils conntrack nftables iproute2
chromium fonts-noto-core strace procps openssl zstd tcpdump bsdutils libatomic1"
missing=""
for package in $peers; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing test peers:$missing"
    # Peers are started by the tests, on loopback; none of them may run as a service of this machine.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.phayan
    chmod 755 /usr/sbin/policy-rc.d.phayan
    [ -e /usr/sbin/policy-rc.d ] || { ln -s policy-rc.d.phayan /usr/sbin/policy-rc.d; remove=1; }
    apt-get update -q
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
    [ "${remove:-0}" = 1 ] && rm -f /usr/sbin/policy-rc.d
    rm -f /usr/sbin/policy-rc.d.phayan
else
    echo "these test peers are not installed, tests that need them are skipped:$missing" >&2
fi
