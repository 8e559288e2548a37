#!/bin/bash
# What a reader would find by looking: layout of the floors, line length,
# directives and variables against README, migrations against the schema.
# Each check prints what is wrong; the exit status says whether anything is.

cd "$(dirname "$0")/.." || exit 1

shopt -s lastpipe
wrong=0

# check "what" < what is wrong, a line each
check()
{
    local found
    found=$(cat)
    [ -z "$found" ] && return
    echo "check: $1:" >&2
    printf '%s\n' "$found" | sed 's/^/    /' >&2
    wrong=1
}

sources=$(ls src/*/*.[ch])
texts="$sources Makefile config $(ls t/*.t t/self/*.t t/*.pl t/*.sh t/unit/*.[ch] \
    t/fuzz/*.[ch] t/lib/*.[ch] t/lib/*.pm t/lib/*/*.pm)"

awk 'length > 80 { print FILENAME ":" FNR ": " length " columns" }' $sources \
    | check 'lines over 80 columns'
wc -l $sources | awk '$1 > 500 && $2 != "total" { print $2 ": " $1 " lines" }' \
    | check 'files of over 500 lines'
grep -nP '\t' $sources | check 'tabs'
grep -nP '[ \t]+$' $texts README.md docs/*.md CHANGES sql/*.sql sql/*/*.sql \
    | check 'space at the end of a line'
grep -nP '(^|[^:"])//' $sources | grep -vP '"[^"]*//[^"]*"|/\*.*//|^\S+ +\*' \
    | check 'comments that begin with //'
grep -rnwE 'TODO|FIXME|XXX|HACK' $texts conf-examples README.md docs \
    | grep -vE '^t/check.sh|mktemp|XXXX' | check 'left open'

t/rooms.pl src build/nginx/*-gcc/objs/addon | check 'what goes up between rooms'
grep -nE '#include *[<"]ngx_' src/core/* src/store/* src/mail/* \
    | check 'nginx headers below the nginx floor'
grep -lE '#include *[<"](mysql|mariadb)' -r src | grep -vx 'src/store/otpreg_db_conn.h' \
    | check 'mysql.h outside of src/store/otpreg_db_conn.h'
grep -lE '#include *[<"]curl/' -r src | grep -v '^src/mail/' \
    | check 'curl.h outside of src/mail'
grep -nE '"[^"]*\b(SELECT|INSERT INTO|UPDATE|DELETE FROM) ' src/*/ngx_* src/mail/* \
    src/core/* | check 'SQL outside of src/store'
grep -LE 'SPDX-License-Identifier: BSD-2-Clause' $sources \
    | check 'files without a licence line'

directives=$(sed -n 's/^ *{ ngx_string("\(otpreg_[a-z_]*\)"),$/\1/p' \
    src/conf/ngx_http_otpreg_directives.c)
variables=$(sed -n 's/^ *{ ngx_string("\(otpreg_[a-z_]*\)"),.*/$\1/p' \
    src/conf/ngx_http_otpreg_variables.c)
for name in $directives $variables; do
    cat docs/directives.md docs/variables.md | grep -qxF "## $name" \
        || echo "$name"
done | check 'not in docs/directives.md or docs/variables.md'
cat docs/directives.md docs/variables.md \
    | sed -n 's/^## \(\$\?otpreg_[a-z_]*\)$/\1/p' | while read -r name; do
    printf '%s\n' $directives $variables | grep -qxF -- "$name" || echo "$name"
done | check 'in docs but not in the code'
for name in $directives; do
    for table in "](#$name) docs/directives.md" \
        "](docs/directives.md#$name) README.md"
    do
        grep '^| [a-zA-Z ]* | \[' ${table#* } | grep -qF "${table% *}" \
            || echo "$name: ${table#* }"
    done
done | check 'directives that a table lacks'

sed -n 's/^ *\[OTPREG_[A-Z_]*\] = {$//; s/^ *[0-9]*, ngx_string("\([a-z0-9_]*\)"),$/\1/p' \
    src/flow/ngx_http_otpreg_outcome.c | while read -r code; do
    grep -q "\`$code\`" docs/http-api.md || echo "$code"
done | check 'error codes that docs/http-api.md lacks'

sed -n 's/^.*"\(otpreg_[a-z_]*_total\)".*$/\1/p' src/base/ngx_http_otpreg_metric.[ch] \
    | sort -u | while read -r metric; do
    grep -q "^| \`$metric\`" docs/operation.md || echo "$metric"
done | check 'metrics that docs/operation.md lacks'

sed -n '/^## Synopsis/,/^## Req/{/^```nginx/,/^```$/p}' README.md \
    | sed '1d;$d' | diff - conf-examples/nginx.conf \
    | check 'the synopsis of README.md is not conf-examples/nginx.conf'

diff <(tail -n +4 sql/schema.sql) <(cat sql/migrations/*.sql) \
    | check 'sql/schema.sql is not its head and sql/migrations/*'

grep -noP '<!--# *echo (?!.*encoding="(entity|none)")[^>]*>' -r conf-examples \
    | check 'SSI echo without encoding='
grep -rnP --include="*.html" '<!--# *echo [^>]*encoding="none"' conf-examples \
    | check 'SSI echo with encoding="none" in HTML'
grep -rnE --include="*.html" --exclude-dir=challenge \
    "='|https?://[^ \"]*\.(js|css)" conf-examples \
    | check 'single quotes round an attribute, or third parties'

for room in conf flow guard outbox base store mail core; do
    n=$(cat src/$room/*.h | grep -c "^ \* The room \"$room\": ")
    [ "$n" = 1 ] || echo "$room: $n"
done | check 'rooms that no header, or more than one, describes'

for n in {1..45}; do
    grep -qE "attack ([0-9]+, )*$n(, [0-9]+)*: " t/*.t t/unit/*_test.c \
        || echo "attack $n"
    grep -q "^| $n | .*\`" docs/attacks.md || echo "attack $n: docs/attacks.md"
done | check 'attacks without a test of that name'
# links: the file, and the headline in it
grep -oP '\]\((?!https?:)[^)]+\)' README.md docs/*.md conf-examples/*/README.md \
    | while IFS= read -r found; do
    from=${found%%:*}; to=${found#*](}; to=${to%)}
    file=${to%%#*}; file=${file:+$(dirname "$from")/$file}
    [ -e "${file:-$from}" ] || { echo "$from: $to"; continue; }
    [[ $to == *'#'* ]] || continue
    sed -n 's/^##* //p' "${file:-$from}" | tr 'A-Z ' 'a-z-' \
        | tr -cd 'a-z0-9_\n-' | grep -qx -- "${to#*#}" || echo "$from: $to"
done | check 'links that lead nowhere'
t/attacks.pl -c 2>&1 | check 'lines that t/attacks.pl does not find once'

[ $wrong = 0 ] && echo 'check: all is well'
exit $wrong
