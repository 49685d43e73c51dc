#!/bin/sh
# The arrows of who may know whom: an include that points the wrong way, or a
# library away from its home, fails. Prints each offence, then a count.
#
#   server/base <- store <- server <- transports <- main, front_door, worker,
#                                                   table

cd "$(dirname "$0")/.." || exit 1
passed=0
failed=0

# rule TEXT PATTERN FILE...: no FILE may include what matches PATTERN
rule() {
    text=$1 pattern=$2
    shift 2
    found=$([ $# -eq 0 ] ||
        grep -nE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($pattern)" \
            /dev/null "$@")
    if [ -n "$found" ]; then
        echo "not ok $text"
        printf '%s\n' "$found" | sed 's/^/    /'
        failed=$((failed + 1))
    else
        echo "ok $text"
        passed=$((passed + 1))
    fi
}

# files FIND-EXPRESSION...: our C files of server, store and transports, chosen
files() {
    find server store transports -name '*.[ch]' "$@" 2>/dev/null | sort
}

# Who puts the parts together may know them all.
assembly='server/(main|front_door|worker|cli/[a-z_]+)\.[ch]'

# shellcheck disable=SC2046  # no file of ours has a space in its name
{
rule 'server/base knows nothing of the rest' \
    '(server/([^b]|b[^a]|base[^/])|store/|transports/)' \
    $(files -path 'server/base/*')
rule 'store knows only server/base' \
    '(server/([^b]|b[^a]|base[^/])|transports/)' $(files -path 'store/*')
rule 'server knows of transports only their interface' \
    'transports/(transport[^.]|[^t]|t[^r])' \
    $(files -path 'server/*' | grep -vE "^$assembly$")
rule 'a transport takes from store only the types that it reads' \
    'store/(store|env|append|apply|dedup|trim|check|rebuild)\.h' \
    $(files -path 'transports/*')
rule 'transports do not know the parts above them' \
    'server/(main|front_door|cli/.*)\.h' $(files -path 'transports/*')
rule 'what only --demo has is asked for in few places' 'server/demo_(rungs|again)\.h' \
    $(files | grep -vE '^server/(demo_(rungs|again)\.[ch]|methods/demo\.c|carrier\.c|cli/serve\.c)$|^transports/(demo_wall|duplex)\.c$')
rule 'nothing but tests includes tests' 'tests/' $(files)

rule '<lmdb.h> lives in store/' 'lmdb\.h' \
    $(files | grep -vE '^store/[a-z_]+\.c$|^store/(env|lmdb_[a-z]+|private|internal)\.h$')
http='transports/http_((host|connection|request|reply)\.c|inside\.h)'
rule '<microhttpd.h> lives in the files of transports/http_host.h, not in it' \
    'microhttpd\.h' $(files | grep -vE "^$http$")
rule 'what these files share stays among them' 'transports/http_inside\.h' \
    $(files | grep -vE "^$http$")
direct='transports/direct(_read\.c|_reply\.c|_inside\.h|\.c)'
rule 'what the direct host shares stays in its files' \
    'transports/direct_inside\.h' $(files | grep -vE "^$direct$")
rule 'what the files of duplex.h share stays among them' \
    'transports/duplex_inside\.h' \
    $(files | grep -vE '^transports/duplex(_calls)?\.c$')
rule 'what is spoken both ways does not know what carries it' \
    'transports/(ws|tcp)_' $(files -path 'transports/duplex*')
rule 'what the files of the WebSocket host share stays among them' \
    'transports/ws_host_inside\.h' \
    $(files | grep -vE '^transports/ws_(host|receive)\.c$')
rule 'what the files of the TCP host share stays among them' \
    'transports/tcp_host_inside\.h' \
    $(files | grep -vE '^transports/tcp_(host|receive)\.c$')
rule 'what the files of a Socket.IO client share stays among them' \
    'transports/sio_inside\.h' \
    $(files | grep -vE '^transports/sio_(client|connect|hear)\.c$')
rule 'only the hosts and request.c look into a request' \
    'transports/request_inside\.h' \
    $(files ! -path 'transports/request.c' | grep -vE "^($http|$direct)$")
rule '<libwebsockets.h> lives in transports/ws_host.c, and in the client of tail' 'libwebsockets\.h' \
    $(files ! -path 'transports/ws_host.c' ! -path 'server/cli/ws_client.c')
eio='transports/eio_[a-z]+\.[ch]'
rule 'what the Engine.IO files share stays among them' \
    'transports/eio_(inside|carry|door)\.h' $(files | grep -vE "^$eio$")
rule 'Engine.IO knows nothing of Socket.IO, nor either of a Rung session' \
    '(transports/(sio[_a-z]*|socketio)\.h|server/(session|hub|method)\.h)' \
    $(files | grep -E '^transports/eio[_a-z]*\.[ch]$')
rule 'Socket.IO knows nothing of a Rung session' \
    'server/(session|hub|method)\.h|transports/transport\.h' \
    $(files | grep -E '^transports/sio_[a-z]*\.[ch]$|^transports/sio\.h$')
rule 'what the Rung session over Socket.IO shares stays among its files' \
    'transports/socketio_(inside|pid)\.h' \
    $(files | grep -vE '^transports/socketio[a-z_]*\.[ch]$')
rule '<jwt.h> lives in server/auth.c' 'jwt\.h' $(files ! -path 'server/auth.c')
rule '<curl/curl.h> lives in server/cli/' 'curl/' $(files ! -path 'server/cli/*')
rule '<jansson.h> lives where JSON is read' 'jansson\.h' \
    $(files ! -path 'server/methods/*' \
        ! -path 'server/event.c' ! -path 'server/jtext_number.c' \
        ! -path 'server/config_file.c' ! -path 'server/auth.c' \
        ! -path 'server/cli/*' ! -path 'server/base/trace.c')
}

echo "# pass $passed"
echo "# fail $failed"
[ "$failed" -eq 0 ]
