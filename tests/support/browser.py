"""A page as its reader has it: its outline, and what it shows in a headless browser."""

import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")

needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="no headless browser: install Debian's package chromium"
)

VOID = {"meta", "img", "input", "br", "link"}


class Outline(HTMLParser):
    """Checks that tags nest, and keeps what a page refers to, its ids and its text."""

    def __init__(self, page):
        super().__init__()
        self.open, self.references, self.ids, self.words = [], [], [], []
        self.tags = []
        self.feed(page)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs, tuple(self.open)))
        self.references += [attrs[k] for k in ("src", "href") if k in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


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
    seen = done.stdout.split('<pre id="seen">')[1].split("</pre>")[0]
    return json.loads(html.unescape(seen))
