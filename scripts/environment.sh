# Sourced by the other scripts: makes an environment of the project's own, and makes it anew only when something changed.
# Needs nothing but a POSIX shell and Python 3.11 or newer with its venv module.

say() { printf '%s\n' "$*" >&2; }

# Prints the first Python that will do. PYTHON names one to use instead.
find_python() {
    too_old='' no_venv=''
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        # A version manager's stand-in exists for versions that are not installed, and fails when called.
        "$candidate" -c '' >/dev/null 2>&1 || continue
        if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            too_old="$too_old $candidate ($("$candidate" -c 'import platform; print(platform.python_version())'))"
        elif ! "$candidate" -c 'import venv, ensurepip' >/dev/null 2>&1; then
            no_venv="$no_venv $candidate"
        else
            command -v "$candidate"
            return 0
        fi
    done
    say "Error: no usable Python 3.11 or newer was found"
    [ -z "$too_old" ] || say "  too old:$too_old"
    [ -z "$no_venv" ] || say "  without the venv module:$no_venv"
    if [ -n "$no_venv" ]; then
        say "  hint: on Debian and Ubuntu, \`apt install python3-venv\`; elsewhere set PYTHON to another interpreter"
    else
        say "  hint: install Python 3.11 or newer, or set PYTHON to the path of one"
    fi
    return 1
}

# Prints one line that differs whenever the environment made from these things would.
fingerprint() {
    "$1" -c 'import sys; print(sys.version, sys.base_prefix)'
    shift
    find "$@" -type f ! -name '*.pyc' -exec cksum {} + | LC_ALL=C sort
}

# make_environment FOLDER REQUIREMENTS...: FOLDER gets the pinned requirements (paths below requirements/) and the
# project, built as a wheel: what runs and what is tested is what is shipped. Called in the project's root.
make_environment() {
    folder=$1
    shift
    python=$(find_python) || return 1
    files=requirements/build.txt
    options='-r requirements/build.txt'
    for name; do
        files="$files requirements/$name"
        options="$options -r requirements/$name"
    done
    # shellcheck disable=SC2086 -- lists of words
    tools=$(fingerprint "$python" $files | cksum)
    project=$(fingerprint "$python" pyproject.toml README.md LICENSE src | cksum)
    stamp="$folder/sindri-stamp"
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$tools $project" ]; then
        return 0
    fi
    case $(cat "$stamp" 2>/dev/null) in
    "$tools "*) ;; # only our own code changed
    *)
        say "Making the environment $folder with $python ..."
        rm -rf "$folder"
        "$python" -m venv "$folder" || { say "Error: $python cannot make the environment $folder"; return 1; }
        # pip first: an old one would write a console script that costs every command 4 ms.
        install "$folder" --require-hashes -r requirements/build.txt || return 1
        # shellcheck disable=SC2086 -- a list of words
        install "$folder" --require-hashes $options || return 1
        ;;
    esac
    rm -f "$stamp"
    # The build back end's program is looked for on PATH. The folder it builds in is not the project's.
    PATH="$PWD/$folder/bin:$PATH" install "$folder" --no-deps --no-index --no-build-isolation --force-reinstall . ||
        return 1
    printf '%s\n' "$tools $project" >"$stamp"
}

# install FOLDER PIP-ARGUMENTS...
install() {
    environment=$1
    shift
    "$environment/bin/python" -m pip --disable-pip-version-check --no-input --quiet install "$@" || {
        say "Error: pip could not install: $*"
        return 1
    }
}
