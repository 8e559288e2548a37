#!/bin/bash
# Build and test in a tree of Debian's unstable suite: MySQL's server and client
# library, a newer nginx, a newer compiler.  As root.
#
#     t/mysql.sh DIR tree           lay the tree, where it is not there yet
#     t/mysql.sh DIR run COMMAND    copy the sources into it and run that there
#
# Nothing of the host is mounted into the tree.  What runs there has namespaces
# of its own for mounts, processes and network, and ends with this script.

set -e

cd "$(dirname "$0")/.."
tree=$1; what=$2; shift 2

# the mirror that the system uses
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' \
         2> /dev/null | head -n 1)
mirror=${mirror:-http://deb.debian.org/debian}
packages="gcc make pkg-config libc6-dev libsodium-dev libmysqlclient-dev
    libcurl4-openssl-dev libjansson-dev libidn2-dev libutf8proc-dev
    libpcre2-dev zlib1g-dev libssl-dev nginx nginx-dev mysql-server
    mysql-client openssl ca-certificates curl util-linux procps iproute2 perl
    libtest-base-perl libtest-longstring-perl liblist-moreutils-perl
    libhttp-message-perl libipc-run-perl liburi-perl python3 python3-aiosmtpd
    dpkg-dev universal-ctags"

inside()
{
    unshare --mount --pid --net --ipc --uts --fork --kill-child \
        chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -ec '
            mount -t proc proc /proc
            ip link set lo up
            cd /otpreg; exec "$@"' sh "$@"
}

# the network of the host, for packages only
outside()
{
    chroot "$tree" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C \
        DEBIAN_FRONTEND=noninteractive "$@"
}

lay()
{
    mkdir -p "$(dirname "$tree")"

    [ "$(cat "$tree/etc/otpreg" 2> /dev/null)" = "$packages" ] && return

    if [ ! -f "$tree/etc/apt/apt.conf.d/otpreg" ]; then
        rm -rf --one-file-system "$tree"
        echo "laying a tree of Debian unstable: $tree"
        debootstrap --variant=minbase unstable "$tree" "$mirror" \
            > "$tree.log" 2>&1 || { tail -n 15 "$tree.log" >&2; exit 1; }

        # the lists of unstable are often older than they say they may be
        echo 'Acquire::Check-Valid-Until "false";' \
            > "$tree/etc/apt/apt.conf.d/otpreg"
    fi

    printf '#!/bin/sh\nexit 101\n' > "$tree/usr/sbin/policy-rc.d"
    chmod 755 "$tree/usr/sbin/policy-rc.d"
    cp -L /etc/resolv.conf "$tree/etc/resolv.conf"

    echo "installing packages into $tree"
    { outside apt-get update \
          && outside apt-get install -y --no-install-recommends $packages; } \
        > "$tree.log" 2>&1 || { tail -n 15 "$tree.log" >&2; exit 1; }

    mkdir -p "$tree/otpreg"
    printf '%s\n' "$packages" > "$tree/etc/otpreg"
}

lay
[ "$what" = tree ] && exit

# what make knows by the times of files stays known; build/ there is its own
for old in "$tree"/otpreg/*; do
    [ "${old##*/}" = build ] || rm -rf --one-file-system "$old"
done
tar -cf - --exclude=./build --exclude=./.git . | tar -xf - -C "$tree/otpreg"

inside "$@"
