# SPDX-License-Identifier: Apache-2.0
# bash completion for imprintctl(1)
_imprintctl() {
    local commands='status personalize enter-operating enter-personalization export-backup export-certificate recover restore update-central adopt-root connect key link cancel'
    local options='--json --quiet --help --version' command='' word
    local current=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || { command=$word && break; }
    done
    case $command in
    '') mapfile -t COMPREPLY < <(compgen -W "$commands $options" -- "$current") ;;
    personalize)
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        --ticket-file | --transaction-number-file)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        --identity)
            mapfile -t COMPREPLY < <(compgen -W "imei: eui48: eui64: serial: uuid:" -- "$current")
            ;;
        *)
            mapfile -t COMPREPLY < <(compgen -W "--identity --no-switch --proxy-command --ticket-file \
                --transaction-number-file $options" -- "$current")
            ;;
        esac
        ;;
    connect)
        case ${COMP_WORDS[COMP_CWORD - 1]} in
        --listen)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            ;;
        --central | --alpn) ;;
        *) mapfile -t COMPREPLY < <(compgen -W "--central --alpn --listen $options" -- "$current") ;;
        esac
        ;;
    key)
        local action='' rest=0
        for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
            [[ $word == -* || $word == key ]] && continue
            [[ -z $action ]] && action=$word || rest=$((rest + 1))
        done
        if [[ -z $action ]]; then
            mapfile -t COMPREPLY < <(compgen -W 'list show sign hmac derive agree decrypt open' -- "$current")
        elif [[ $current == -* ]]; then
            mapfile -t COMPREPLY < <(compgen -W "--out --hex --algorithm --context --length $options" -- "$current")
        elif [[ $rest == 0 && $action != list ]]; then
            mapfile -t COMPREPLY < <(compgen -W "$(imprintctl key list 2>/dev/null | cut -d' ' -f1)" -- "$current")
        else
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
        fi
        ;;
    export-certificate)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -W "--chain --public-key $options" -- "$current"; compgen -f -- "$current")
        ;;
    recover | restore)
        [[ ${COMP_WORDS[COMP_CWORD - 1]} == --sequence ]] && return
        [[ $command == recover ]] && options="--check $options"
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -W "--sequence $options" -- "$current"; compgen -f -- "$current")
        ;;
    export-backup | update-central)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current") ;;
    esac
}
complete -F _imprintctl imprintctl
