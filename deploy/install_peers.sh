#!/bin/sh
# Install the real peers the tests talk to, where this machine is Debian and we are root. Elsewhere the tests
# that need a missing peer are skipped by name.
set -eu
peers="rsyslog rsyslog-relp rsyslog-gnutls softflowd nfdump nfdump-sflow tshark freeradius-utils slapd ldap-utils conntrack nftables iproute2
softhsm2 chrony openssh-server age chromium fonts-noto-core strace procps openssl zstd tcpdump bsdutils libatomic1
libreoffice-calc-nogui poppler-utils libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0
libcap2 libglib2.0-0 libivykis0 libjson-c5 libnet1 libpcre3 libwrap0"
# Debian lets only one of rsyslog and syslog-ng be installed; the second is unpacked beside it.
unpacked=/opt/phayan-peers/syslog-ng
missing=""
for package in $peers; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && [ -x "$unpacked/usr/sbin/syslog-ng" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "installing test peers:$missing syslog-ng"
    # Peers are started by the tests, on loopback; none of them may run as a service of this machine.
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d.phayan
    chmod 755 /usr/sbin/policy-rc.d.phayan
    [ -e /usr/sbin/policy-rc.d ] || { ln -s policy-rc.d.phayan /usr/sbin/policy-rc.d; remove=1; }
    apt-get update -q
    # shellcheck disable=SC2086
    [ -z "$missing" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
    download=$(mktemp -d)
    (cd "$download" && apt-get download -q syslog-ng-core && mkdir -p "$unpacked" && dpkg -x syslog-ng-core_*.deb "$unpacked")
    rm -rf "$download"
    [ "${remove:-0}" = 1 ] && rm -f /usr/sbin/policy-rc.d
    rm -f /usr/sbin/policy-rc.d.phayan
else
    echo "these test peers are not installed, tests that need them are skipped:$missing syslog-ng" >&2
fi
