"""A page as headless Chromium has it, after a script of the test's has used it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not on PATH")


def browse(
    page: str, folder: Path, script: str, *, width: int = 1280, dark: bool = False
) -> tuple[Any, str]:
    """(what `script` returns, what the browser complained about).

    `script` is the body of an async function; it runs once the page has loaded.
    """
    probe = (
        "<script>addEventListener('load', async () => {"
        f"const seen = await (async () => {{{script}}})();"
        "const pre = document.createElement('pre'); pre.id = 'seen';"
        "pre.textContent = JSON.stringify(seen); document.body.append(pre); });</script></body>"
    )
    head, end, tail = page.rpartition("</body>")
    assert end
    path = folder / "page.html"
    path.write_text(head + probe + tail, encoding="utf-8")
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
        f"--user-data-dir={folder / 'browser'}", f"--window-size={width},1000",
        *(["--force-dark-mode"] if dark else []), "--dump-dom",
        path.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    found = re.findall(r'<pre id="seen">(.*?)</pre>', done.stdout, flags=re.DOTALL)
    complaints = "\n".join(re.findall(r".*CONSOLE.*", done.stderr))
    assert found, f"the script did not end; the browser said: {complaints}"
    return json.loads(html.unescape(found[-1])), complaints


def framed(*pages: str, width: int) -> str:
    """A page that shows others at a phone's width, which a window cannot be made as narrow as."""
    frames = (
        f'<iframe width="{width}" height="800" srcdoc="{html.escape(p, quote=True)}"></iframe>'
        for p in pages
    )
    return f"<!doctype html><body>{''.join(frames)}</body>"
