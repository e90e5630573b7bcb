"""Screenshots of the pages for docs/images, from a running Airflow whose store tests/support/page_history.py filled.

Needs Chromium and Playwright: ``python scripts/make_screenshots.py http://localhost:8080 USER PASSWORD``.
"""

from __future__ import annotations

import sys
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "docs" / "images"
RUN = "scheduled__2026-11-28T02%3A00%3A00%2B00%3A00"
PAGES = {
    "attempts": (f"/autoremed/dags/nightly_sales/runs/{RUN}/tasks/join_orders", "light"),
    "task": ("/autoremed/dags/nightly_sales/tasks/join_orders", "light"),
    "overview": ("/autoremed/overview", "dark"),
}


def main(address: str, user: str, password: str) -> None:
    """Write one image for each page."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 820})
        page.goto(f"{address}/")
        page.fill("input[name=username]", user)
        page.fill("input[name=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/")
        for name, (path, scheme) in PAGES.items():
            page.emulate_media(color_scheme=scheme)
            page.goto(address + path, wait_until="networkidle")
            page.screenshot(path=IMAGES / f"page-{name}.png")
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
