# bash completion for trapline(1). Install as /usr/share/bash-completion/completions/trapline.

_trapline() {
    local word=${COMP_WORDS[COMP_CWORD]}
    local before=${COMP_WORDS[COMP_CWORD - 1]}
    local options='-e -D -G -p -l -L -c -x --lab --gdb --kernel --smp --module --keep --clean -T
        --suppress-handler-errors --strict-faults -o --json -t -v -w -h --help -V --version'
    COMPREPLY=()

    case $before in
    -p) COMPREPLY=($(compgen -W '1 2 3 4 5' -- "$word")) ; return ;;
    -x) COMPREPLY=($(compgen -W "$(cd /proc && echo [0-9]*)" -- "$word")) ; return ;;
    -c) COMPREPLY=($(compgen -c -- "$word")) ; return ;;
    -o | --kernel) compopt -o filenames 2>/dev/null ; COMPREPLY=($(compgen -f -- "$word")) ; return ;;
    -D)
        compopt -o nospace 2>/dev/null
        COMPREPLY=($(compgen -S = -W 'HIST_ELISION HIST_WIDTH MAXACTION MAXACTION_INTERRUPTIBLE MAXCANCELLED
            MAXERRORS MAXFAULT MAXHITS MAXMAPENTRIES MAXNESTING MAXSKIPPED MAXSTRINGLEN STP_MAX_BUCKETS' -- "$word"))
        return
        ;;
    -e | -G | -l | -L | -T | --gdb | --smp | --module) return ;;
    esac

    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$options" -- "$word"))
        return
    fi
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$word"))
    if ((COMP_CWORD == 1)); then COMPREPLY+=($(compgen -W 'doctor' -- "$word")); fi
}

complete -F _trapline trapline
