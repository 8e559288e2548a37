#!/bin/bash
# A sign-up to try: a private MariaDB (unix socket only) and nginx on
# 127.0.0.1, everything under build/demo; Ctrl-C stops what was started here.
#
# Environment: PORT (8080, or the next free one), OTPREG_DEMO_DIR, NGINX, MODULE
# (empty: it is linked into NGINX).

set -eu

top=$(cd "$(dirname "$0")/../.." && pwd)
dir=${OTPREG_DEMO_DIR:-$top/build/demo}
module=${MODULE-$top/build/ngx_http_otpreg_module.so}
nginx=${NGINX:-nginx}
PATH=$PATH:/usr/sbin:/usr/local/sbin

fail()
{
    echo "demo: $*" >&2
    exit 1
}

# what we start ends with us, however we end
child()
{
    setpriv --pdeathsig TERM "$@" < /dev/null &
}

stop()
{
    trap '' INT TERM HUP
    trap - EXIT
    for pid in ${tail_pid:-} ${nginx_pid:-} ${db_pid:-}; do
        kill -TERM "$pid" 2> /dev/null || true
        wait "$pid" 2> /dev/null || true
    done
    echo "stopped"
}

port_is_free()
{
    ! (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

[ ${#dir} -le 98 ] \
    || fail "the path $dir is too long for the database's unix socket"
[ -z "$module" ] || [ -f "$module" ] || fail "$module is missing, run make"

mkdir -p "$dir/tmp"
chmod 700 "$dir"

exec 9> "$dir/lock"
flock -n 9 || fail "another demo runs in $dir"

trap stop EXIT
trap 'exit 0' INT TERM HUP

port=${PORT:-8080}
while ! port_is_free "$port"; do
    [ -z "${PORT:-}" ] || fail "port $port is in use"
    port=$((port + 1))
done


# ----- the database

own=
[ "$(id -u)" != 0 ] || own=--user=root
small='--innodb-buffer-pool-size=16M --innodb-log-file-size=16M'

# a demo's database is made anew when the schema is another one
schema=$(md5sum < "$top/sql/schema.sql")
[ "$(cat "$dir/db/ready" 2> /dev/null)" = "$schema" ] || rm -f "$dir/db/ready"

if [ ! -f "$dir/db/ready" ]; then
    echo "making a database in build/demo/db"
    rm -rf "$dir/db"
    mariadb-install-db --no-defaults $own $small --datadir="$dir/db" \
        --skip-test-db --auth-root-authentication-method=socket \
        > "$dir/install-db.log" 2>&1 \
        || fail "mariadb-install-db failed, see $dir/install-db.log"
fi

child mariadbd --no-defaults $own $small --datadir="$dir/db" \
    --socket="$dir/db.sock" --pid-file="$dir/db.pid" --skip-networking \
    > "$dir/db.log" 2>&1 9>&-
db_pid=$!

sql()
{
    mariadb --no-defaults --socket="$dir/db.sock" "$@"
}

tries=0
until sql -e 'select 1' > /dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -le 300 ] && kill -0 $db_pid 2> /dev/null \
        || fail "mariadbd does not start, see $dir/db.log"
    sleep 0.1
done

umask 077

if [ ! -f "$dir/db/ready" ]; then
    openssl rand -hex 16 > "$dir/db-password"
    sql -e "create database otpreg character set utf8mb4;
            create user otpreg@localhost
                identified by '$(cat "$dir/db-password")';
            grant select, insert, update, delete on otpreg.*
                to otpreg@localhost;"
    sql otpreg < "$top/sql/schema.sql"
    echo "$schema" > "$dir/db/ready"
fi

[ -f "$dir/keys" ] || echo "k1 $(openssl rand -base64 32)" > "$dir/keys"


# ----- nginx

user=
[ "$(id -u)" != 0 ] || user='user root;'
load=
[ -z "$module" ] || load="load_module $module;"

sed -e "s|@USER@|$user|g; s|@DIR@|$dir|g; s|@PORT@|$port|g" \
    -e "s|@LOAD@|$load|g; s|@EXAMPLES@|$top/conf-examples|g" \
    "$top/conf-examples/demo/nginx.conf" > "$dir/nginx.conf"

: > "$dir/error.log"

child "$nginx" -e "$dir/error.log" -p "$dir/" -c "$dir/nginx.conf" 9>&-
nginx_pid=$!

tries=0
while port_is_free "$port"; do
    tries=$((tries + 1))
    [ $tries -le 100 ] && kill -0 $nginx_pid 2> /dev/null || {
        cat "$dir/error.log" >&2
        fail "nginx does not start"
    }
    sleep 0.1
done

cat << END

    Open  http://127.0.0.1:$port/register  and sign up.
    The mail with the code is shown here.  Ctrl-C stops the demo.

    The same with JSON:
        curl -c cookies -H 'Content-Type: application/json' \\
            -H 'Accept: application/json' \\
            -d '{"username":"bob","email":"bob@example.com",
                 "password":"seven green umbrellas sing",
                 "confirm_password":"seven green umbrellas sing"}' \\
            http://127.0.0.1:$port/register
        curl -b cookies -c cookies -H 'Content-Type: application/json' \\
            -H 'Accept: application/json' -d '{"otp":"the code"}' \\
            http://127.0.0.1:$port/verify-otp

    Who has signed up:
        mariadb --socket=$dir/db.sock otpreg \\
            -e 'select username, email, is_active from users'

END

child tail -n +1 -F "$dir/error.log" 2> /dev/null 9>&- \
    > >(sed -un 's/.*otpreg console: /    | /p')
tail_pid=$!

wait $nginx_pid || fail "nginx ended, see $dir/error.log"
