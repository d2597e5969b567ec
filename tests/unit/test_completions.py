"""The shipped completion scripts in the shells they are for: each loads without a word and offers what can be typed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sindri.cli.completion import SHELLS
from tests.needs import need_program

COMPLETIONS = Path(__file__).parents[2] / "src/sindri/cli/completions"

BASH = """
source {script}
complete -p sindri >/dev/null || exit 9
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
_shtab_sindri sindri "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""

# zsh completes in its line editor only, so it gets a terminal. Its first line is typed by the start-up file, which also
# notes what compadd offers.
ZSHRC = """
fpath=("$FOLDER/functions" $fpath)
autoload -Uz compinit && compinit -u -D
{load} 2>>"$FOLDER/errors"
compadd() {{
  local -a found
  if [[ ${{argv[(I)-[OAD]*]}} -eq 0 ]]; then
    builtin compadd -O found "$@"
    print -rl -- $found >>"$FOLDER/found"
  fi
  builtin compadd "$@"
}}
zle-line-init() {{
  BUFFER=$TYPED CURSOR=$#TYPED
  zle complete-word
  BUFFER=exit
  zle .accept-line
}}
zle -N zle-line-init
"""


MANIFEST = "secrets:\n  - name: DATABASE_URL\n    source: env\n  - name: OTHER\n    source: env\n"
PROGRAM = f'#!/bin/sh\nexec {sys.executable} -m sindri "$@"\n'


def make_project(folder: Path, program: str = PROGRAM) -> dict[str, str]:
    """Return the environment in which `sindri` is *program*, and the folder has a manifest."""
    (folder / "sindri.yaml").write_text(MANIFEST)
    (folder / "sindri").write_text(program)
    (folder / "sindri").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "dumb"}


def complete(shell: str, typed: str, folder: Path, environment: dict[str, str] | None = None) -> set[str]:
    """Return what *shell* offers for *typed*, with the cursor at its end."""
    program = need_program(shell)
    environment = environment or make_project(folder)
    script = COMPLETIONS / f"sindri.{shell}"
    if shell == "zsh":
        (folder / "functions").mkdir()
        shutil.copy(script, folder / "functions/_sindri")
        return complete_in_zsh(program, typed, folder, environment, load=":")
    if shell == "bash":
        words = " ".join(f"'{word}'" for word in typed.split(" "))
        arguments = [program, "--norc", "--noprofile", "-c", BASH.format(script=script, words=words)]
    else:
        arguments = [program, "--no-config", "-c", f"source {script}; or exit 9; complete -C '{typed}'"]
    done = subprocess.run(
        arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {line.split("\t")[0] for line in done.stdout.splitlines() if line}


def complete_in_zsh(program: str, typed: str, folder: Path, environment: dict[str, str], *, load: str) -> set[str]:
    (folder / ".zshrc").write_text(ZSHRC.format(load=load))
    environment |= {"ZDOTDIR": str(folder), "FOLDER": str(folder), "TYPED": typed}
    ours, its = os.openpty()
    with subprocess.Popen(
        [program, "-d", "-i"], cwd=folder, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
    ) as shell:
        os.close(its)
        shown = b"".join(iter(lambda: read_terminal(ours), b""))
    os.close(ours)
    assert shell.returncode == 0, shown
    assert (folder / "errors").read_text() == ""
    found = folder / "found"
    return set(found.read_text().split()) if found.exists() else set()


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # EIO is how Linux says that nobody is at the other end any more
        return b""


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_loads_and_completes_a_command(shell, tmp_path):
    assert complete(shell, "sindri sec", tmp_path) == {"secrets"}


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_of_a_group_are_completed(shell, tmp_path):
    assert complete(shell, "sindri secrets va", tmp_path) == {"validate"}


@pytest.mark.parametrize("shell", SHELLS)
def test_options_are_completed(shell, tmp_path):
    assert complete(shell, "sindri secrets list --js", tmp_path) == {"--json"}


@pytest.mark.parametrize("shell", SHELLS)
def test_names_of_declared_secrets_are_completed(shell, tmp_path):
    assert complete(shell, "sindri secrets get DATA", tmp_path) == {"DATABASE_URL"}


def test_zsh_may_also_load_the_script_from_its_start_up_file(tmp_path):
    program = need_program("zsh")
    environment = make_project(tmp_path)
    load = f". {COMPLETIONS / 'sindri.zsh'}"
    assert complete_in_zsh(program, "sindri sec", tmp_path, environment, load=load) == {"secrets"}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_manifest_cannot_put_anything_into_the_shell(shell, tmp_path):
    # No manifest with such names loads; so a program answers in the place of ours.
    hostile = "#!/bin/sh\ncat <<'END'\n  - DATA$(touch owned)\n  - DATB`touch owned`\n  - DATC\nEND\n"
    environment = make_project(tmp_path, hostile)
    assert complete(shell, "sindri secrets get DAT", tmp_path, environment) == {"DATA", "DATB", "DATC"}
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_the_script_as_it_is_shipped(shell, sindri):
    done = sindri("completion", shell)
    assert done.returncode == 0
    assert done.stdout == (COMPLETIONS / f"sindri.{shell}").read_bytes()
