"""The kernels on which a program spends its time, read from JAX's profiler."""

import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.profiler import ProfileData

# Operations that contain others; the contained ones are counted instead.
_CONTAINERS = re.compile(r"(while|call|conditional)(\.\d+)?$")


class Kernel(NamedTuple):
    """One kernel of a program.

    Attributes:
        name: as the compiler calls it.
        share: of the time of all kernels, in [0, 1].
        seconds: total time, on one device or summed over a CPU's threads.
        times: the number of times that it ran.
    """

    name: str
    share: float
    seconds: float
    times: int


def costliest(run: Callable[[], Any], count: int = 10) -> list[Kernel]:
    """The kernels that take most of a call's time, the costliest first.

    Args:
        run: calls a compiled program; its result is waited for.
        count: how many kernels.
    """
    with tempfile.TemporaryDirectory(prefix="cfasl-profile-") as folder:
        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # Python's own calls are not asked for
        with jax.profiler.trace(folder, profiler_options=options):
            jax.block_until_ready(run())
        files = sorted(Path(folder).rglob("*.xplane.pb"))
        seconds: defaultdict[str, float] = defaultdict(float)
        times: Counter[str] = Counter()
        for file in files:
            for name, duration in _events(ProfileData.from_file(str(file))):
                seconds[name] += duration
                times[name] += 1
    whole = sum(seconds.values())
    return [
        Kernel(name, taken / whole, taken, times[name])
        for name, taken in sorted(seconds.items(), key=lambda x: -x[1])[:count]
    ]


def _events(profile: ProfileData) -> Iterator[tuple[str, float]]:
    """Name and seconds of each run of a kernel on the first device that reports any.

    In the profile, an accelerator has a plane of its own, whose streams hold kernels;
    further lines repeat them. A CPU's kernels are among other events of the host.
    """
    planes = sorted(profile.planes, key=lambda plane: plane.name)
    devices = [plane for plane in planes if plane.name.startswith("/device:")]
    for plane in devices:
        lines = [
            line for line in plane.lines if line.name.startswith(("Stream", "XLA Ops"))
        ]
        found = [(e.name, e.duration_ns / 1e9) for line in lines for e in line.events]
        found = [event for event in found if not _CONTAINERS.match(event[0])]
        if found:
            yield from found
            return
    for plane in planes:
        if plane.name != "/host:CPU":
            continue
        for line in plane.lines:
            for event in line.events:
                is_kernel = any(name == "hlo_op" for name, _ in event.stats)
                if is_kernel and not _CONTAINERS.match(event.name):
                    yield event.name, event.duration_ns / 1e9
