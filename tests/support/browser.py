"""A page in a headless browser: driven by a script, asked for what it then shows."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no headless browser: install Debian's package chromium"
)

# Before the page's own scripts: whatever goes wrong in them is kept.
_WATCH = """<head><script>
window.problems = [];
addEventListener("error", (event) => problems.push(event.message));
addEventListener("unhandledrejection", (event) => problems.push(`${event.reason}`));
console.error = (...words) => problems.push(words.join(" "));
</script>"""

# After them: what the driver puts into `seen` is written where Python finds it.
_DRIVER = """
<script>
const seen = {};
const move = (selector, value = null) => {
  const input = document.querySelector(selector);
  if (value === null) input.click(); else {
    input.value = value;
    const kind = input.tagName === "SELECT" ? "change" : "input";
    input.dispatchEvent(new Event(kind, { bubbles: true }));
  }
};
%s
seen.errors = window.problems;
const note = document.createElement("pre");
note.id = "seen";
note.textContent = JSON.stringify(seen);
document.body.append(note);
</script></body>
"""


def drive(path: Path, script: str) -> dict:
    """What a script finds in a page: its object `seen`, and all "errors"."""
    page = path.read_text("utf-8")
    page = page.replace("<head>", _WATCH, 1)
    page = page.replace("</body>\n", _DRIVER % script, 1)
    driven = path.with_name("driven.html")
    driven.write_text(page, encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    profile = f"--user-data-dir={path.parent / 'profile'}"
    done = subprocess.run(
        [BROWSER, *options, profile, driven.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return json.loads(done.stdout.split('<pre id="seen">')[1].split("</pre>")[0])
