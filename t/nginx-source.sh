#!/bin/sh
# Fetch the source of Debian's nginx into a directory, by apt (which checks
# signatures), with lists and cache of our own: the system's are not touched.

set -e

to=$1
work=$to.apt

rm -rf "$to" "$work"
mkdir -p "$to" "$work/lists/partial" "$work/cache/archives/partial"

. /etc/os-release

# the mirror that the system uses
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' \
         2> /dev/null | head -n 1)

cat > "$work/sources" <<END
deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $VERSION_CODENAME main
END

apt()
{
    apt-get -q -o Dir::Etc::SourceList="$work/sources" \
        -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
        -o APT::Sandbox::User=root "$@"
}

abs=$(cd "$work" && pwd)
work=$abs

{
    apt update
    (cd "$work" && apt source --download-only --tar-only nginx)
} > "$work/log" 2>&1 || { tail -n 15 "$work/log" >&2; exit 1; }

tar -xf "$work"/nginx_*.orig.tar.* -C "$to" --strip-components=1
rm -rf "$work"
