"""The command line as a newcomer meets it."""

import importlib
import subprocess
import sys

import pytest

from keras_lite import cli
from keras_lite.cli import command_line
from recipes import places

pytestmark = pytest.mark.tensorflow_only


def help_of(capsys, run, *arguments):
    with pytest.raises(SystemExit) as stopped:
        run(list(arguments))
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_the_list_of_commands_needs_no_keras():
    program = (
        "import sys; from keras_lite import cli\n"
        "try: cli.main(['--help'])\n"
        "finally: assert not {'keras', 'numpy', 'absl'} & set(sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert all(f"\n  {command} " in finished.stdout for command in cli.COMMANDS)


def test_python_m_is_the_same():
    finished = subprocess.run([sys.executable, "-m", "keras_lite", "fly"], capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stderr.startswith("error: Expected a command, one of finetune, train")
    assert finished.stderr.count("\n") == 1


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_fits_on_a_screen_and_shows_an_example(command, capsys):
    text = help_of(capsys, cli.main, command, "--help")
    assert len(text.splitlines()) <= 40
    assert f"\n    keras-lite {command} " in text
    everything = help_of(capsys, cli.main, command, "--help-all")
    flags = importlib.import_module(f"keras_lite.cli.{command}").FLAGS
    for name in flags:
        if name == flags[name].name:
            assert f"\n  --{name}: " in everything
            assert name in text


@pytest.mark.parametrize("module", sorted({place.module for place in places().values()}))
def test_help_of_a_recipe_fits_on_a_screen(module, capsys):
    row = next(row for row, place in places().items() if place.module == module)
    text = help_of(capsys, cli.main, "train", row, "--help")
    assert len(text.splitlines()) <= 40
    assert f"\n    keras-lite train {module}" in text
    assert "\n  --mixup: " in help_of(capsys, cli.main, "train", row, "--help-all")


def test_a_hidden_flag_is_a_flag(capsys):
    values = command_line.new_flags()
    command_line.flags.DEFINE_integer("seldom", 1, "Hardly ever.", flag_values=values)
    command_line.hide(values, "seldom")
    received = []
    with pytest.raises(SystemExit):
        command_line.run(lambda values, positional: received.append(values.seldom), values, "usage", ["--seldom=3"])
    assert received == [3]
