#compdef @program@
# SPDX-License-Identifier: Apache-2.0
# zsh completion for @program@: what its --help says, so that nothing can be missing here.

# The help of a command, a line each: "command NAME:TEXT", "flag NAME:TEXT" or "option NAME:TEXT" (that takes a value).
_@program@_help() {
    LC_ALL=C "$@" --help 2>/dev/null | awk '
        function trimmed(text) { sub(/^ +/, "", text); return text }
        function flush() { # the options of a line; what they mean may stand in the next one
            for (i = 1; i <= count; ++i) print kind, names[i] ":" text
            count = 0
        }
        /^ *[A-Z][a-z]+:$/ { section = $1 } # those of a group are indented
        section == "Subcommands:" && /^  [a-z]/ { print "command", $1 ":" trimmed(substr($0, 3 + length($1))) }
        section == "Options:" && /^(  )?  -/ {
            flush()
            kind = $2 ~ /^([A-Z]+([:=[].*)?)$/ || $1 == "--config" ? "option" : "flag"
            count = split($1, names, ",")
            text = match($0, /  +[A-Z][^=]*$/) ? trimmed(substr($0, RSTART)) : ""
            next
        }
        text == "" && /^          / { text = trimmed($0) }
        END { flush() }'
}

_@program@() {
    local word value='' arguments=0 line item
    local -a called=(@program@) commands=()
    local -aU options=()
    local -A known=() takes=()
    local read_help='
        commands=() known=()
        for line in ${(f)"$(_@program@_help $called)"}; do
            item=${line#* }
            if [[ $line == command\ * ]]; then
                commands+=($item) known[${item%%:*}]=1
            else
                options+=($item) takes[${item%%:*}]=${line%% *}
            fi
        done'
    eval $read_help
    for word in ${words[2,CURRENT-1]}; do
        if [[ -n $value ]]; then
            value=''
        elif [[ ${takes[$word]-} == option ]]; then
            value=$word
        elif [[ -n ${known[$word]-} ]]; then
            called+=($word)
            eval $read_help
        elif [[ $word != -* ]]; then
            ((arguments += 1))
        fi
    done
    if [[ $value == --identity ]]; then
        compadd -S '' imei: eui48: eui64: serial: uuid:
    elif [[ -n $value ]]; then
        _files
    elif [[ ${words[CURRENT]} == -* ]]; then
        _describe -o option options
    elif (( ${#commands} )); then
        _describe command commands
    elif [[ "$called" == 'imprintctl key '* ]] && ((arguments == 0)); then
        compadd -- ${${(f)"$(imprintctl key list 2>/dev/null)"}%% *}
    else
        _files
    fi
}

_@program@ "$@"
