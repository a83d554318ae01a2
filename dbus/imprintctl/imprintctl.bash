# SPDX-License-Identifier: Apache-2.0
# bash completion for imprintctl(1)
_imprintctl() {
    local commands='status personalize enter-operating enter-personalization export-backup recover restore update-central link cancel'
    local options='--json --quiet --help --version' command='' word
    local current=${COMP_WORDS[COMP_CWORD]}
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word == -* ]] || { command=$word && break; }
    done
    case $command in
    '') mapfile -t COMPREPLY < <(compgen -W "$commands $options" -- "$current") ;;
    personalize) mapfile -t COMPREPLY < <(compgen -W "--no-switch --proxy-command $options" -- "$current") ;;
    export-backup | restore | update-central)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current") ;;
    esac
}
complete -F _imprintctl imprintctl
