"""Commands as a person types them, against the real API on a real database; no worker runs."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import actsearch
from actsearch.cli import app
from actsearch.cli.demo import next_steps, program
from actsearch.cli.find_job import matches

OPTIONS = ["--task", "digits", "--families", "relu,gelu", "--trials", "4", "--learning-rate", "1e-4..1e-1"]


class Terminal:
    """Runs commands against one service."""

    def __init__(self, url: str) -> None:
        self._environment = {"ACTSEARCH_URL": url}

    def run(self, *arguments: str, code: int = 0, **options: Any) -> Result:
        """Run `actsearch ARGUMENTS`, expecting an exit code and no traceback."""
        result = CliRunner().invoke(app, arguments, env=self._environment, **options)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    def json(self, *arguments: str, **options: Any) -> Any:
        """What the command prints with `--json`."""
        # The API runs in this process too: its log lines come before.
        lines = self.run(*arguments, "--json", **options).stdout.splitlines()
        return json.loads("\n".join(line for line in lines if not re.match(r"\S+ \S+ \[\w+", line)))


@pytest.fixture
def terminal(api_url: str) -> Terminal:
    """A terminal whose service is the running one."""
    return Terminal(api_url)


def test_submit_from_options_and_see_it_everywhere(terminal: Terminal) -> None:
    options = ("--name", "mine", "--seed", "3", "--optimizer", "sgd", "--epochs", "2", "--precision", "bfloat16")
    result = terminal.run("submit", *OPTIONS, *options)
    assert "no worker is online" in result.stderr

    [listed] = terminal.json("jobs")
    job = terminal.json("show", listed["id"])
    assert job["id"] in result.stdout
    assert job["request"]["space"]["training"]["learning_rate"] == {"low": 1e-4, "high": 0.1, "log": True, "step": None}
    assert job["request"]["training"]["optimizer"] == "sgd"
    assert job["request"]["training"]["precision"] == "bfloat16"
    assert (job["name"], job["request"]["seed"], job["progress"]["budget"]) == ("mine", 3, 4)
    for command in (["jobs"], ["show", "last"], ["rank", "last"], ["rank", "last", "--by", "trial"]):
        assert "mine" in terminal.run(*command).stdout
    assert job["id"] in terminal.run("show", "last").stdout
    assert terminal.json("rank", "last")["by"] == "family"
    assert terminal.json("rank", "last", "--by", "trial", "--top", "3")["by"] == "trial"


def test_submit_from_a_file_with_options_over_it(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("task: digits\nspace: {families: [relu, gelu]}\nbudget: {trials: 9}\n")
    job = terminal.json("submit", str(file), "--trials", "2", "--name", "over")
    assert (job["progress"]["budget"], job["name"]) == (2, "over")
    assert [family["name"] for family in job["request"]["space"]["families"]] == ["relu", "gelu"]

    piped = terminal.json("submit", "-", input='{"task": "digits"}')
    assert piped["request"]["space"]["families"] == "all"


def test_trials_are_listed_and_shown(terminal: Terminal) -> None:
    terminal.run("submit", *OPTIONS)
    [baseline] = terminal.json("trials", "last")
    assert baseline["is_baseline"]
    assert "relu" in terminal.run("trials", "last").stdout
    assert terminal.json("show", "last", "--trial", "0")["id"] == baseline["id"]
    assert "trial 0 (baseline)" in terminal.run("show", "last", "--trial", "0").stdout
    assert "no trial '7'" in terminal.run("show", "last", "--trial", "7", code=1).stderr
    assert terminal.json("trials", "last", "--state", "failed") == []


def test_jobs_are_named_by_the_ends_of_their_ids(terminal: Terminal) -> None:
    ids = [terminal.json("submit", *OPTIONS)["id"] for _ in range(3)]
    assert terminal.json("show", "last")["id"] == ids[2]
    for job_id in ids:
        assert terminal.json("show", job_id)["id"] == job_id
        assert terminal.json("show", job_id[-8:])["id"] == job_id
    common = ids[0][:4]  # the time that a UUIDv7 begins with
    assert ids[1][-8:] in terminal.run("show", common, code=1).stderr
    assert "no job 'zzz'" in terminal.run("show", "zzz", code=1).stderr
    terminal.run("show", ids[0][:-1] + ("0" if ids[0][-1] != "0" else "1"), code=1)


def test_jobs_and_trials_are_found_by_what_they_are(terminal: Terminal) -> None:
    first = terminal.json("submit", *OPTIONS, "--label", "ablation", "--label", "b")
    second = terminal.json("submit", "--task", "wine", "--trials", "9")
    assert "ablation, b" in terminal.run("show", first["id"]).stdout
    assert [job["id"] for job in terminal.json("jobs", "--filter", '"b" in labels')] == [first["id"]]
    assert [job["id"] for job in terminal.json("jobs", "--sort", "trials")] == [first["id"], second["id"]]
    assert [trial["job_id"] for trial in terminal.json("trials")] == [second["id"], first["id"]]
    assert first["id"][-8:] in terminal.run("trials", "--filter", 'job.task == "digits"', "--sort", "-number").stdout
    assert terminal.json("trials", "last", "--filter", "number > 0") == []
    assert "write == to compare" in " ".join(terminal.run("trials", "--filter", "number = 0", code=2).stderr.split())
    assert "say it in --filter" in terminal.run("trials", "--state", "failed", code=2).stderr
    assert terminal.json("change", "last", "--label", "c")["labels"] == ["c"]


def test_last_of_none(terminal: Terminal) -> None:
    assert "no job 'last'" in terminal.run("show", "last", code=1).stderr
    assert terminal.json("jobs") == []


@pytest.mark.parametrize("option", ["--families", "--learning-rate", "--architecture", "--task", "--name", "--sampler"])
@pytest.mark.parametrize("value", ["", " ", ","])
def test_an_unset_shell_variable_is_not_everything(terminal: Terminal, option: str, value: str) -> None:
    told = terminal.run("submit", *OPTIONS, option, value, code=2).stderr
    assert f"{option} is empty (an unset shell variable?)" in " ".join(re.sub("[│╭╰─╮╯]", " ", told).split())
    assert terminal.json("jobs") == []


def test_a_job_is_paused_resumed_and_changed(terminal: Terminal) -> None:
    terminal.run("submit", *OPTIONS)
    assert "paused" in terminal.run("pause", "last").stdout
    assert "actsearch resume" in " ".join(terminal.run("jobs").stdout.split())
    refused = terminal.run("pause", "last", code=1).stderr
    assert "a job that is paused cannot be paused; it can be cancelled or resumed" in refused
    assert "queued" in terminal.run("resume", "last").stdout
    assert "cannot be resumed" in terminal.run("resume", "last", code=1).stderr
    changed = terminal.json("change", "last", "--add-trials", "6", "--priority", "3", "--name", "longer")
    assert (changed["progress"]["budget"], changed["request"]["priority"], changed["name"]) == (10, 3, "longer")
    assert "0 of 7 trials" in terminal.run("change", "last", "--trials", "7").stdout
    assert "longer" in terminal.run("jobs").stdout
    told = terminal.run("events", "last").stdout
    assert all(word in told for word in ("queued", "paused", "name longer", "priority 3", "trials 10", "trials 7"))
    assert [event["kind"] for event in terminal.json("events", "last")] == ["state"] * 3 + ["changed"] * 2
    terminal.run("cancel", "last")
    followed = terminal.run("events", "last", "--follow").stdout
    assert all(word in followed for word in ("paused", "trials 10", "cancelled", "longer: cancelled"))
    assert "say what to change" in terminal.run("change", "last", code=2).stderr
    assert "--name is empty" in terminal.run("change", "last", "--name", "", code=2).stderr
    assert "not both" in terminal.run("change", "last", "--trials", "7", "--add-trials", "1", code=2).stderr


def test_cancel_and_watch_tell_by_exit_code(terminal: Terminal) -> None:
    terminal.run("submit", *OPTIONS)
    assert "cancelled" in terminal.run("cancel", "last").stdout
    assert "cancelled" in terminal.run("watch", "last", code=1).stdout
    assert "cancelled" in terminal.run("cancel", "last", code=1).stderr
    assert [job["state"] for job in terminal.json("jobs", "--state", "cancelled")] == ["cancelled"]
    assert terminal.json("jobs", "--state", "running") == []


@pytest.mark.parametrize("command", ["activations", "architectures", "tasks", "workers"])
def test_catalogues(terminal: Terminal, command: str) -> None:
    listed = terminal.json(command)
    shown = terminal.run(command).stdout
    assert all(item["name"] in shown for item in listed)
    assert bool(listed) == (command != "workers")


def test_a_task_is_shown_and_takes_parameters(terminal: Terminal) -> None:
    assert "handwritten digits" in " ".join(terminal.run("tasks", "digits").stdout.lower().split())
    assert terminal.json("tasks", "image_fit", "-p", "size=32")["name"] == "image_fit"
    job = terminal.json("submit", "--task", "wine", "--task-parameter", "split_seed=3", "--trials", "2")
    assert job["request"]["task"] == {"name": "wine", "parameters": {"split_seed": 3}}
    assert "needs --task" in terminal.run("submit", "--task-parameter", "split_seed=3", code=2).stderr


def test_an_activation_is_shown_with_its_plot(terminal: Terminal) -> None:
    page = terminal.run("activations", "leaky_relu", "--parameter", "slope=0.25").stdout
    assert "x if x > 0 else slope x" in page
    assert "leaky_relu(slope=0.25)" in page
    assert "nn.LeakyReLU(0.25)" in page
    assert sum(0x2800 < ord(character) < 0x2900 for character in page) > 100
    shown = terminal.json("activations", "leaky_relu", "-p", "slope=0.25", "--low", "-1", "--high", "1")
    assert shown["curve"]["value"][0] == -0.25
    assert "c0 to c31 [-10, 10]" in " ".join(terminal.run("activations", "spline").stdout.split())
    assert "sin(x)^2" in terminal.run("activations", "--expression", "sin( x )^2").stdout


@pytest.mark.parametrize(
    ("arguments", "hints"),
    [
        (["submit"], ["--task"]),
        (["submit", "none.yaml"], ["No such file"]),
        (["submit", "--task", "digit"], ["task", "digits"]),
        (["submit", "--task", "digits", "--families", "relo"], ["space.families.0", "relu"]),
        (["submit", "--task", "digits", "--trials", "-3"], ["budget.trials", "greater"]),
        (["submit", "--task", "digits", "--learning-rate", "fast"], ["1e-4..1e-1"]),
        (["submit", "--task", "digits", "--sampler", "best"], ["sampler", "tpe"]),
        (["jobs", "--state", "asleep"], ["queued"]),
        (["rank", "last", "--by", "luck"], ["family"]),
        (["activations", "leaky_relu", "-p", "slope"], ["slope=0.2"]),
        (["activations", "leaky_relu", "-p", "slope=9"], ["parameter:", "0.5"]),
        (["activations", "--expression", "x + sine(x)"], ["sine", "    ^"]),
        (["fly"], ["fly"]),
    ],
)
def test_wrong_use_says_what_is_right(terminal: Terminal, arguments: list[str], hints: list[str]) -> None:
    message = terminal.run(*arguments, code=2).stderr
    assert [hint for hint in hints if hint not in message] == []


def test_nobody_at_the_address() -> None:
    message = Terminal("http://127.0.0.1:9").run("jobs", code=1).stderr
    assert "actsearch up" in message
    assert "http://127.0.0.1:9" in message


def test_a_setting_that_is_wrong_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTSEARCH_PORT", "many")
    assert "ACTSEARCH_PORT" in Terminal("http://127.0.0.1:9").run("serve", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "hints"),
    [
        (["serve", "--host", "not.a.host"], {}, ["host", "cannot listen on not.a.host", "--host"]),
        (["serve"], {"ACTSEARCH_PORT": "{taken}"}, ["port", "cannot listen on 127.0.0.1 port {taken}", "--port"]),
        (["serve"], {"ACTSEARCH_LOG_LEVEL": "loud"}, ["ACTSEARCH_LOG_LEVEL", "warning"]),
        (["worker"], {"ACTSEARCH_LOG_FORMAT": "xml"}, ["ACTSEARCH_LOG_FORMAT", "json"]),
        (["worker", "--devices", "tpu"], {}, ["devices", "tpu", "auto, cpu"]),
        (["worker"], {"ACTSEARCH_STALL_TIMEOUT": "-1"}, ["ACTSEARCH_STALL_TIMEOUT"]),
    ],
)
def test_a_service_that_cannot_run_says_why_before_it_starts_anything(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], hints: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        taken = str(busy.getsockname()[1])
        given = {key: value.format(taken=taken) for key, value in environment.items()}
        result = CliRunner().invoke(app, [*arguments, "--data-dir", str(tmp_path)], env=given)
    assert result.exit_code == 2, result.output
    assert [hint for hint in hints if hint.format(taken=taken) not in result.stderr] == []
    assert list(tmp_path.iterdir()) == []


def test_version() -> None:
    for asked in ("version", "--version"):
        assert actsearch.__version__ in CliRunner().invoke(app, [asked]).stdout


def test_help_is_a_letter_away() -> None:
    assert "submit" in CliRunner().invoke(app, ["-h"]).stdout
    assert "--trials" in CliRunner().invoke(app, ["submit", "-h"]).stdout


def test_what_to_try_after_the_demo_is_told_as_it_must_be_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sys.executable).parent
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert program() == f"{folder.name}/actsearch"
    monkeypatch.chdir("/")
    assert Path("/", program()).is_file()
    monkeypatch.setenv("PATH", str(folder))
    assert program() == "actsearch"
    commands = [line.split()[1:] for line in next_steps("actsearch").splitlines()[1:]]
    assert [command[0] for command in commands] == ["up", "submit", "report"]
    for command in commands:  # all that they say is there
        told = CliRunner().invoke(app, [command[0], "--help"]).stdout
        assert all(part in told for part in command if part.startswith("--"))


def test_an_empty_word_names_no_job() -> None:
    from uuid import uuid4

    assert not matches(uuid4(), "")
    assert not matches(uuid4(), "-")
