# awk -f classic_script.awk -v root=web -v entry=rung.js -v name=Rung
#
# The ES modules that `entry` imports as one classic script, which leaves what entry
# exports in the global `name`. Each module becomes a function that is called once,
# after those it imports. It knows the forms that web/ uses: import { a, b as c } from
# './x.js'; export class, function, const, { a }. Anything else ends it.

BEGIN {
    print "/* Written by tools/classic_script.awk from " entry " and its modules. MIT licence. */"
    print "(function () {\n'use strict';\nconst modules = {};"
    module(entry)
    print "globalThis." name " = modules['" entry "'];\n})();"
    exit # because of END, it would else read a terminal to its end
}

function fail(path, line) {
    print "classic_script: " path ": " line > "/dev/stderr"
    failed = 1
    exit 1
}

END { exit failed }

# "rung/link.js" and "./error.js" are "rung/error.js"; "../carry/ws.js" climbs
function resolve(from, to,    folder) {
    folder = from
    if (!sub(/\/[^\/]*$/, "", folder)) folder = ""
    while (sub(/^\.\.?\//, "&", to)) {
        if (to ~ /^\.\.\//) {
            if (folder == "") fail(from, "imports from above " root)
            if (!sub(/\/[^\/]*$/, "", folder)) folder = ""
        }
        sub(/^\.\.?\//, "", to)
    }
    return folder == "" ? to : folder "/" to
}

function imported(path, line,    names, from) {
    if (line !~ /^import \{[^}]*\} from '\.[^']*';$/) fail(path, line)
    names = line
    sub(/^import /, "", names)
    sub(/ from .*/, "", names)
    gsub(/ as /, ": ", names)
    from = line
    sub(/.* from '/, "", from)
    sub(/';$/, "", from)
    from = resolve(path, from)
    module(from)
    return "const " names " = modules['" from "'];"
}

# The name that `line` exports; it becomes an ordinary declaration
function exported(path, line,    found) {
    if (line ~ /^export \{[^}]*\};$/) {
        gsub(/^export \{ *| *\};$/, "", line)
        return line
    }
    if (line !~ /^export (async )?(class|const|function\*?) [A-Za-z0-9_]+/) fail(path, line)
    sub(/^export (async )?(class|const|function\*?) /, "", line)
    match(line, /^[A-Za-z0-9_]+/)
    return substr(line, RSTART, RLENGTH)
}

function module(path,    line, text, names, file, status) {
    if (path in begun) return
    begun[path] = 1
    file = root "/" path
    while ((status = (getline line < file)) > 0) {
        if (line ~ /^import /) {
            line = imported(path, line)
        } else if (line ~ /^export /) {
            names = names (names == "" ? "" : ", ") exported(path, line)
            if (line ~ /^export \{/) line = ""
            sub(/^export /, "", line)
        }
        text = text line "\n"
    }
    if (status < 0) fail(path, "cannot be read")
    close(file)
    printf "\nmodules['%s'] = (function () {\n%sreturn { %s };\n})();\n", path, text, names
}
