#!/bin/sh
# Install Debian packages without starting any service of theirs: what a
# package would start is held back by a policy-rc.d of our own, removed after.

set -e

policy=/usr/sbin/policy-rc.d

if [ ! -e $policy ]; then
    trap 'rm -f $policy' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod 755 $policy
fi

export DEBIAN_FRONTEND=noninteractive

echo "installing Debian packages:" "$@"

log=$(mktemp)

install()
{
    apt-get install -y --no-install-recommends "$@" > "$log" 2>&1
}

# the lists of packages may be missing, or older than the mirror
if ! install "$@" && ! { apt-get update > "$log" 2>&1 && install "$@"; }; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    exit 1
fi

rm -f "$log"
