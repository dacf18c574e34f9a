"""Stands in for gcloud and its cloud; launch tests put it on the PATH.

The cloud is a folder, $WORLD: world.json (what exists, and what is to go wrong), calls
(a JSON list a line), buckets/ and hosts/N, the home directories of a slice's hosts, in
which the commands sent by ssh really run. Messages and states are gcloud's own words.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

WORLD = Path(os.environ["WORLD"])
NO_LOGIN = (
    "You do not currently have an active account selected.\n"
    "Please run:\n\n  $ gcloud auth login"
)
QUOTA = "Quota limit 'TPUV6EPerProjectPerRegionForTPUAPI' has been exceeded. Limit: 0"


def main(argv):
    with open(WORLD / "calls", "a") as calls:
        calls.write(json.dumps(argv) + "\n")
    before = (WORLD / "world.json").read_text()
    world = json.loads(before)
    words = [word for word in argv if not word.startswith("-")]
    flags = dict(word[2:].partition("=")[::2] for word in argv if word[:2] == "--")
    try:
        code = answer(world, words, flags)
    finally:
        if json.dumps(world) != before:
            part = WORLD / f"world.{os.getpid()}"
            part.write_text(json.dumps(world))
            part.replace(WORLD / "world.json")
    return code


def answer(world, words, flags):
    if words[:2] == ["auth", "list"]:
        return show("me@example.org" if world["login"] else "")
    if words[:2] == ["config", "get-value"]:
        return show(world["project"])
    if not world["login"]:
        fail(NO_LOGIN)
    if words[0] == "storage":
        return storage(world, words, flags)
    if flags["zone"] != world["zone"]:
        zone = flags["zone"]
        fail(f"PERMISSION_DENIED: Permission denied on 'locations/{zone}' (or it may "
             "not exist).")  # fmt: skip
    if words[-1] == "list":
        return show("\n".join(world[words[3]]))
    if words[2] == "queued-resources":
        return queued_resources(world, words[3], flags)
    return tpu_vm(world, words[3], words[4:], flags)


def queued_resources(world, verb, flags):
    if verb == "create":
        world["creations"] += 1
        if world["quota"] == "refused":
            fail(f"RESOURCE_EXHAUSTED: {QUOTA} in region us-east5.")
        assert world["queued"] is None, "it exists already"
        world["queued"] = "WAITING_FOR_RESOURCES"
        return 0
    if world["queued"] is None:
        fail("NOT_FOUND: Resource 'queuedResources/first' was not found.")
    if verb == "delete":
        assert "force" in flags, "refused while it holds a node"
        world.update(queued=None, node=None)
        clear_hosts()
        return 0
    if "failedData" in flags["format"]:
        return show(QUOTA)
    advance(world)
    return show(world["queued"])


def advance(world):
    """What the cloud does between two looks at it."""
    if world["queued"] == "WAITING_FOR_RESOURCES":
        if world["capacity"]:
            world["queued"] = "PROVISIONING"
    elif world["queued"] == "PROVISIONING" and world["quota"] == "late":
        world["queued"] = "FAILED"
    elif world["queued"] == "PROVISIONING":
        world.update(queued="ACTIVE", node="READY")
        for host in range(world["num_hosts"]):
            (WORLD / "hosts" / str(host)).mkdir(parents=True)
    elif world["preemptions"] and len(waiting()) == world["num_hosts"]:
        world["preemptions"] -= 1
        clear_hosts()
        # Google says it in one of two ways.
        if world["preemptions"] % 2:
            world["node"] = "PREEMPTED"
        else:
            world.update(queued="SUSPENDED", node=None)


def waiting():
    return list(WORLD.glob("waiting-*"))


def clear_hosts():
    for pid in WORLD.glob("hosts/*/cfasl/runs/.host/pid"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(pid.read_text()), signal.SIGKILL)
    shutil.rmtree(WORLD / "hosts", ignore_errors=True)
    for mark in waiting():
        mark.unlink()


def tpu_vm(world, verb, words, flags):
    if verb == "describe":
        if world["node"] is None:
            fail("NOT_FOUND: Resource 'nodes/first' was not found.")
        return show(world["node"])
    if world["node"] != "READY":
        state = world["node"]
        fail(f'This TPU has terminal state "{state}", so it cannot be used anymore.')
    if world["refusals"]:
        world["refusals"] -= 1
        print("ssh: connect to host 10.0.0.1 port 22: refused", file=sys.stderr)
        fail("[/usr/bin/ssh] exited with return code [255].")
    code = 0
    for host in sorted((WORLD / "hosts").iterdir()):
        if flags["worker"] not in ("all", host.name):
            continue
        if verb == "scp":
            shutil.copy(words[0], host / words[1].partition(":")[2])
        else:
            environment = os.environ | {"HOME": str(host), "HOST": host.name}
            command = ["bash", "-c", flags["command"]]
            code = code or subprocess.call(command, cwd=host, env=environment)
    return code


def storage(world, words, flags):
    source = next(word for word in words if word.startswith("gs://"))
    folder = WORLD / "buckets" / source.removeprefix("gs://")
    if not folder.exists() and words[1] == "ls":
        fail("One or more URLs matched no objects.")
    if not folder.exists():
        fail(f"{source} not found: 404.")
    if words[1] == "rsync":
        assert "recursive" in flags
        shutil.copytree(folder, words[-1], dirs_exist_ok=True)
    return 0


def show(text):
    print(text)
    return 0


def fail(message):
    print(f"ERROR: (gcloud) {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
