"""A project and a world of stand-ins in which the launch scripts really run."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

TESTS = Path(__file__).parent
LAUNCH = TESTS.parent.parent / "launch"

_ENVIRONMENT = """
environment() {
  mkdir -p .venv/bin
  echo "$1" >>.venv/extras
  : >.venv/bin/activate
}
"""

# Stands in for the check of a run's command, which imports all of the project.
_CHECK = """
import json, os, pathlib
print(json.loads(pathlib.Path(os.environ["WORLD"], "world.json").read_text())["needed"])
"""

# -S: a fast start, for there are many. The one command that a host runs by -c copies
# its log into the bucket.
_PYTHON = f"""
case "$1" in
  -c)
    target="$WORLD/buckets/${{4#gs://}}"
    mkdir -p "${{target%/*}}" && cp "$3" "$target" ;;
  *) exec {sys.executable} -S -E "$@" ;;
esac
"""

SLICE = ["--name=first", "--zone=us-east5-a"]
OFFER = [*SLICE, "--type=v6e-8", "--spot", "--bucket=bucket"]
TRAIN = ["--", "--config=configs/shapes3d.py:quick", "--config.seeds=(1,2)"]

_WORLD = {
    "login": True,
    "project": "mine",
    "zone": "us-east5-a",
    "accelerator-types": ["v6e-1", "v6e-8"],
    "versions": ["tpu-ubuntu2204-base", "v2-alpha-tpuv6e"],
    "quota": "",
    "capacity": True,
    "num_hosts": 2,
    "preemptions": 0,
    "refusals": 0,
    "first_exit": 0,
    "endless": False,
    "needed": "",
    "creations": 0,
    "queued": None,
    "node": None,
}


def git(project: Path, *arguments: str) -> None:
    who = ["-c", "user.name=me", "-c", "user.email=me@example.org"]
    subprocess.run(["git", "-C", project, *who, *arguments], check=True)


def make_project(root: Path) -> Path:
    """A committed project of the true launch scripts around a stand-in for training."""
    project = root / "project"
    (project / "cfasl_jax").mkdir(parents=True)
    shutil.copytree(LAUNCH, project / "launch")
    (project / "launch" / "environment.sh").write_text(_ENVIRONMENT)
    (project / "launch" / "tpu" / "check.py").write_text(_CHECK)
    for name in ("main", "study"):
        shutil.copy(TESTS / "fake_main.py", project / "cfasl_jax" / f"{name}.py")
    (project / ".gitignore").write_text(".venv/\nruns/\n__pycache__/\n")
    git(project, "init", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=first")
    return project


@dataclasses.dataclass
class World:
    """A project, the folder of its cloud or cluster, and the PATH of stand-ins."""

    root: Path
    project: Path

    def __post_init__(self) -> None:
        (self.root / "bin").mkdir()
        (self.root / "buckets" / "bucket").mkdir(parents=True)
        self.set(**_WORLD)
        self.command("python", _PYTHON)
        self.command("hostname", 'echo "host-${HOST:-0}"')
        self.command("python3.13", "exit 0")

    def command(self, name: str, body: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def stand_in(self, name: str, file: str, *arguments: str) -> None:
        words = " ".join([str(TESTS / file), *arguments])
        self.command(name, f'exec {sys.executable} -S -E {words} "$@"')

    def set(self, **values: object) -> None:
        path = self.root / "world.json"
        old = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(old | values))

    def __getitem__(self, name: str) -> object:
        return json.loads((self.root / "world.json").read_text())[name]

    def environment(self, **values: str) -> dict[str, str]:
        path = f"{self.root / 'bin'}:/usr/bin:/bin"
        return {
            "PATH": path,
            "WORLD": str(self.root),
            "HOME": str(self.root),
            "LAUNCH_PAUSE": "0.01",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **values,
        }

    def start(self, *command: object, **values: str) -> subprocess.Popen:
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=self.project,
            env=self.environment(**values),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *command: object, answer: str = "", **values: str):
        """The finished command, with its output."""
        process = self.start(*command, **values)
        out, err = process.communicate(answer, timeout=120)
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def lines(self, name: str) -> list:
        path = self.root / name
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def tpu_vm(world, verb, *options, **kwargs):
    return world.run("./launch/tpu_vm.sh", verb, *options, **kwargs)


def calls(world, *words):
    """The calls of gcloud that have these words, in this order of words."""
    return [
        call
        for call in world.lines("calls")
        if [word for word in call if word in words] == list(words)
    ]


def has_one_sentence(result, *words):
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    return len(errors) == 1 and all(word in errors[0] for word in words)
