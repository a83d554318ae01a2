# SPDX-License-Identifier: Apache-2.0
# bash completion for @program@: what its --help says, so that nothing can be missing here.

# The help of a command, a line each: "command NAME", "flag NAME" or "option NAME" (that takes a value).
_@program@_help() {
    LC_ALL=C "$@" --help 2>/dev/null | awk '
        /^ *[A-Z][a-z]+:$/ { section = $1 } # those of a group are indented
        section == "Subcommands:" && /^  [a-z]/ { print "command", $1 }
        section == "Options:" && /^(  )?  -/ {
            kind = $2 ~ /^([A-Z]+([:=[].*)?)$/ || $1 == "--config" ? "option" : "flag"
            count = split($1, names, ",")
            for (i = 1; i <= count; ++i) print kind, names[i]
        }'
}

_@program@() {
    local current=${COMP_WORDS[COMP_CWORD]} word value='' arguments=0 kind name
    local -a path=(@program@)
    local -A commands=() options=()
    COMPREPLY=()
    while read -r kind name; do
        [[ $kind == command ]] && commands[$name]=1 || options[$name]=$kind
    done < <(_@program@_help "${path[@]}")
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -n $value ]]; then
            value=''
        elif [[ ${options[$word]-} == option ]]; then
            value=$word
        elif [[ -n ${commands[$word]-} ]]; then
            path+=("$word")
            commands=()
            while read -r kind name; do
                [[ $kind == command ]] && commands[$name]=1 || options[$name]=$kind
            done < <(_@program@_help "${path[@]}")
        elif [[ $word != -* ]]; then
            arguments=$((arguments + 1))
        fi
    done
    if [[ $value == --identity ]]; then
        mapfile -t COMPREPLY < <(compgen -W 'imei: eui48: eui64: serial: uuid:' -- "$current")
    elif [[ -z $value && $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${!options[*]}" -- "$current")
    elif [[ -z $value && ${#commands[@]} != 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${!commands[*]}" -- "$current")
    elif [[ -z $value && ${path[*]} == 'imprintctl key '* && $arguments == 0 ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(imprintctl key list 2>/dev/null | cut -d' ' -f1)" -- "$current")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -F _@program@ @program@
