#!/bin/sh
# docs/CLIENTS.md shows each file of clients/ in full: below a line
# "<!-- clients/FILE as LANGUAGE -->" the fenced block is that file. This puts
# the files in; with --check it only says whether they are in already.

cd "$(dirname "$0")/.." || exit 1
page=docs/CLIENTS.md

render() {
    awk '
        /^```/ && waiting { waiting = 0; within = 1; next }
        /^```/ && within  { within = 0; next }
        within { next }
        { print }
        /^<!-- clients\/.* as .* -->$/ {
            print "```" $4
            while ((got = (getline line < $2)) > 0)
                print line
            if (got < 0) {
                print "no such file: " $2 >"/dev/stderr"
                exit 1
            }
            print "```"
            waiting = 1
        }' "$page"
}

if [ "$1" = --check ]; then
    render | cmp - "$page" && exit
    echo "$page is not what the files say: make docs/CLIENTS.md" >&2
    exit 1
fi
new=$(mktemp) && render >"$new" && cat "$new" >"$page"
status=$?
rm -f "$new"
exit $status
