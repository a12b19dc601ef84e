"""The dashboard as a person sees it: signed in with Chromium, every page, at two widths.

Screenshots go to the folder named by CHALKLINE_SCREENSHOTS, else to a temporary one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import House
from dashboard_publishing import PASSWORD, add_account, give_roster, open_alerts, publish_marketplace

from app.dashboard import inbox
from data.operations.tables import ROLES
from data.settings import PROJECT_ROOT, Settings, get_settings

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTHS = {"wide": (1440, 900), "narrow": (390, 844)}
PATHS = {
    "overview": "",
    "overview-week": "?range=7",
    "alerts": "alerts",
    "tutors": "tutors",
    "tutor": "tutors?tutor=t-002",
    "customers": "customers",
    "customer": "customers?customer=c-004",
    "supply": "supply",
    "supply-subject": "supply?subject=physics",
    "data-health": "data_health",
    "account": "account",
}
NOT_OURS = "404"
"""Streamlit looks for its own address under a deep link first, and is told that it is not there."""

SETTLED = """() => document.querySelector('h1')
  && !document.querySelector('[data-testid=stSkeleton]')
  && document.querySelector('[data-testid=stApp]').dataset.testScriptState !== 'running'
  && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(
       chart => chart.querySelector('canvas, svg'))"""
OVERLAPS = """() => {
  const main = document.querySelector('[data-testid=stMainBlockContainer] > [data-testid=stVerticalBlock]');
  const boxes = [...main.children].map(e => [e, e.getBoundingClientRect()]).filter(([, b]) => b.height > 4);
  const bad = [];
  for (let i = 0; i + 1 < boxes.length; i++) {
    const over = boxes[i][1].bottom - boxes[i + 1][1].top;
    if (over > 14) bad.push([over, boxes[i][0].innerText.slice(0, 60), boxes[i + 1][0].innerText.slice(0, 60)]);
  }
  return bad;
}"""
WIDTHS_SEEN = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  return [document.documentElement.scrollWidth - innerWidth, main.scrollWidth - main.clientWidth];
}"""
CHARTS = """() => [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].map(chart => {
  const box = chart.querySelector('canvas, svg').getBoundingClientRect();
  return [box.width, box.height];
})"""


@dataclass
class Site:
    """A running dashboard and a browser in front of it."""

    address: str
    house: House
    browser: Any
    shots: Path
    complaints: list[str] = field(default_factory=list)

    def sign_in(self, role: str, size: tuple[int, int]) -> Any:
        """Return a page of somebody who has just signed in through the form."""
        context = self.browser.new_context(
            viewport={"width": size[0], "height": size[1]}, timezone_id="America/Los_Angeles"
        )
        page = context.new_page()
        page.on("console", lambda said: self.listen(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{self.address}/login")
        page.fill("#email", f"{role}@example.org")
        page.fill("#password", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_function(SETTLED, timeout=60_000)
        return page

    def listen(self, kind: str, text: str) -> None:
        """Remember what the console complains about."""
        if kind == "error" and NOT_OURS not in text:
            self.complaints.append(text)

    def open(self, page: Any, path: str) -> None:
        """Open a page and wait until it has drawn itself."""
        page.goto(f"{self.address}/{path}")
        page.wait_for_function(SETTLED, timeout=60_000)
        page.wait_for_timeout(400)

    def shoot(self, page: Any, name: str, size: tuple[int, int]) -> None:
        """Keep a picture of the whole page."""
        height = page.evaluate(
            "() => document.querySelector('[data-testid=stMain]')?.scrollHeight || innerHeight"
        )
        page.set_viewport_size({"width": size[0], "height": max(size[1], min(int(height), 6000))})
        page.wait_for_timeout(400)
        page.screenshot(path=str(self.shots / f"{name}.png"))
        page.set_viewport_size({"width": size[0], "height": size[1]})


@pytest.fixture(scope="module")
def site(make_state: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    settings = Settings(state=make_state())
    now = datetime.now(UTC)
    operations = publish_marketplace(settings, now)
    house = House(settings, operations, now, {role: add_account(operations, role, now=now) for role in ROLES})
    give_roster(operations, house.people["coach"], now)
    open_alerts(operations, now)
    named = os.environ.get("CHALKLINE_SCREENSHOTS")
    shots = Path(named) if named else tmp_path_factory.mktemp("screenshots")
    shots.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = (shots / "server.log").open("w", encoding="utf-8")
    environment = {
        **os.environ,
        "CHALKLINE_STATE": str(settings.state),
        "CHALKLINE_DASHBOARD_PORT": str(port),
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "app.dashboard"], cwd=PROJECT_ROOT, env=environment, stdout=log, stderr=log
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_up(address, server)
        with playwright.sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            yield Site(address, house, browser, shots)
            browser.close()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=20)
        log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(150):
        assert server.poll() is None, "the dashboard ended while starting"
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the dashboard did not answer")


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_whole_at_both_widths(site: Site, width: str) -> None:
    size = WIDTHS[width]
    page = site.sign_in("admin", size)
    scored = next(one for one in alerts_of(site) if one.rule_code == "tutor_health_low")
    problems: list[str] = []
    for name, path in {**PATHS, "alert": f"alerts?alert={scored.episode_id}"}.items():
        site.open(page, path)
        site.shoot(page, f"{name}-{width}", size)
        text = page.inner_text("body")
        problems += [
            f"{name}: {word}" for word in ("Traceback", "Error:", "Oh no", "Page not found") if word in text
        ]
        problems += [
            f"{name}: wider than the window {seen}" for seen in [page.evaluate(WIDTHS_SEEN)] if max(seen) > 0
        ]
        problems += [f"{name}: chart of {box}" for box in page.evaluate(CHARTS) if min(box) < 40]
        problems += [f"{name}: overlap {one}" for one in page.evaluate(OVERLAPS)]
        problems += [f"{name}: no version" for _ in [0] if name != "account" and "Version" not in text]
    page.context.close()
    assert problems == []
    assert site.complaints == []


def alerts_of(site: Site) -> list[inbox.Alert]:
    os.environ["CHALKLINE_STATE"] = str(site.house.settings.state)
    get_settings.cache_clear()
    try:
        return inbox.alerts(site.house.person("admin"))
    finally:
        del os.environ["CHALKLINE_STATE"]
        get_settings.cache_clear()


def test_a_row_opens_its_detail_and_the_way_back_leads_to_the_list(site: Site) -> None:
    page = site.sign_in("coach", WIDTHS["wide"])
    site.open(page, "tutors")
    page.locator("tbody tr.open").first.click()
    page.get_by_text("What to do").first.wait_for()
    assert "tutor=" in page.url
    page.get_by_text("All tutors").click()
    page.wait_for_url(lambda address: "tutor=" not in address)
    page.locator("tbody tr.open").first.wait_for()
    page.context.close()


def test_a_critical_is_acknowledged_on_the_overview_and_leaves_the_banner(site: Site) -> None:
    page = site.sign_in("analyst", WIDTHS["wide"])
    banner = page.locator(".st-key-overview_banner")
    before = banner.inner_text()
    assert 1 <= page.get_by_role("button", name="Acknowledge").count() <= 3
    page.get_by_role("button", name="Acknowledge").first.click()
    page.wait_for_function(
        "text => document.querySelector('.st-key-overview_banner')?.innerText !== text", arg=before
    )
    page.context.close()


def test_an_alert_is_resolved_with_words_and_an_answer(site: Site) -> None:
    page = site.sign_in("admin", WIDTHS["narrow"])
    waiting = next(one for one in alerts_of(site) if one.status == "open" and one.severity == "medium")
    site.open(page, f"alerts?alert={waiting.episode_id}")
    page.get_by_role("button", name="Resolve", exact=True).click()
    page.get_by_text("Say whether the alert was right").wait_for()
    page.get_by_label("What was done").fill("Asked for more hours in this block.")
    page.get_by_text("Yes", exact=True).first.click()
    page.get_by_role("button", name="Resolve", exact=True).click()
    page.get_by_text("The alert is resolved.").wait_for()
    site.shoot(page, "alert-resolved-narrow", WIDTHS["narrow"])
    page.context.close()


def test_signing_out_closes_the_door(site: Site) -> None:
    page = site.sign_in("viewer", WIDTHS["wide"])
    site.shoot(page, "overview-viewer", WIDTHS["wide"])
    page.get_by_text("Sign out").click()
    page.wait_for_url("**/login")
    site.shoot(page, "login-wide", WIDTHS["wide"])
    page.goto(f"{site.address}/tutors")
    page.wait_for_url("**/login?next=*")
    page.context.close()


def test_no_name_runs_as_markup(site: Site) -> None:
    page = site.sign_in("admin", WIDTHS["wide"])
    site.open(page, "tutors?tutor=t-002")
    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0
    page.context.close()
