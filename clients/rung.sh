#!/bin/sh
# A Rung client of curl and jq:  sh rung.sh URL USER-OR-TOKEN CURSOR-FILE
# Sends each line "to<TAB>text" of stdin, prints "seq<TAB>from<TAB>text" for each
# message; \t \n \r \\ stand for a tab, a line's end, a return and a backslash.

url=$1 who=$2 file=$3
umask 077 # the token lies in a file, so that ps(1) does not show it
newline='
'

# call PATH [JSON]: ask until the answer is definite and leave it in $answer;
# false when the server refused.
call() {
    attempt=0
    while :; do
        answer=$(printf %s "$2" | curl -sS -m 40 -w '\n%{http_code}' \
            -H "@$file.auth" ${2:+--data-binary @-} "$url$1") ||
            answer="${newline}000"
        status=${answer##*"$newline"} answer=${answer%"$newline"*}
        case $status in
        2??) printf %s "$answer" | jq -e . >/dev/null 2>&1 && return 0 ;;
        000 | 429 | 5??) ;;   # nobody there, too much, its fault: again later
        *) return 1 ;;        # the next attempt would be told the same
        esac
        after=$(printf %s "$answer" | jq '(.error.retry_after_ms)? // 0' 2>/dev/null)
        # Full jitter: evenly from 0 to a ceiling that doubles up to 32 s.
        ceiling=$((500 << (attempt < 6 ? attempt : 6))) attempt=$((attempt + 1))
        pause_ms $((${after:-0} + $(od -An -N2 -tu2 /dev/urandom) * ceiling / 65536))
    done
}

pause_ms() { sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"; }
refused() { echo "refused: $answer" >&2; }

send() {
    while IFS= read -r line || [ -n "$line" ]; do
        id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') # once for each message,
        message=$(printf %s "$line" | jq -Rc --arg id "$id" 'split("\t") as $field |
            {to: $field[0], client_msg_id: $id, body: {text: ($field[1:] | join("\t") |
            gsub("\\\\(?<c>[\\\\tnr])"; {"\\": "\\", t: "\t", n: "\n", r: "\r"}[.c]))}}')
        call /v1/message.send "$message" && continue # however often it is sent
        refused
        [ "$status" != 401 ] || kill "$follower" # no token, no client
    done
}

follow() {
    cursor=$(cat "$file" 2>/dev/null)
    while call "/v1/longpoll?wait=25&cursor=${cursor:-0}"; do
        printf %s "$answer" | jq -r '.events[] | select(.event == "message") |
            [.seq, .from, (.body.text? | strings) // "[\(.type)]"] | @tsv'
        # gap: retention took some. reset: another log. bye: come back later.
        printf %s "$answer" | jq -c '.events[] |
            select(.event == ("gap", "reset", "bye"))' >&2
        cursor=$(printf %s "$answer" | jq -r .cursor)
        echo "$cursor" >"$file.new" && mv "$file.new" "$file" # handled: never again
        pause_ms "$(printf %s "$answer" |
            jq '[.events[] | select(.event == "bye").retry_after_ms] | add // 0')"
    done
    refused
}

: >"$file.auth"
case $who in
eyJ*.*.*) token=$who ;;
*)
    call /v1/demo.login "$(jq -nc --arg user "$who" '{$user}')" || { refused; exit 1; }
    token=$(printf %s "$answer" | jq -r .token)
    ;;
esac
echo "Authorization: Bearer $token" >"$file.auth"

exec 3<&0 # what runs beside us would get an empty stdin
follow &
follower=$!
send <&3 &
sender=$!
trap 'kill $sender $follower 2>/dev/null; rm -f "$file.auth"' EXIT
trap 'exit 0' INT TERM
wait $follower
exit 1
