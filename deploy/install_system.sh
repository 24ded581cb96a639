#!/bin/sh
# Install the Debian packages the appliance itself uses, where root may. Without them it runs; what is missing is said.
# WeasyPrint prints the letter of an evidence package with these libraries; a package made without them has its letter
# as text alone.
set -eu
packages="libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
command -v dpkg-query >/dev/null || exit 0
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
say() {
    echo "letters of evidence packages are made as text alone until you run: sudo apt-get install$missing" >&2
}
if [ "$(id -u)" != 0 ]; then
    say
    exit 0
fi
# shellcheck disable=SC2086
if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; }; then
    say
fi
