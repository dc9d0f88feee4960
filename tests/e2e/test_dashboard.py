# SPDX-License-Identifier: Apache-2.0
"""status/dashboard.html in a real browser: of histories that are made up (tests/support/demo_history.h), and of a mount."""
import pathlib
import re
import shlex
import socket
import subprocess

import pytest

import browser
import daemon

DEMO = pathlib.Path(daemon.PROGRAM).parents[1] / "tests/support/demo_dashboard"
DEMOS = ("realistic", "well", "hostile", "large", "empty")
HOSTILE = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\"'`&amp;"

pytestmark = pytest.mark.skipif(not browser.PROGRAM, reason="chromium is not installed (tools/setup test)")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """the page of each made-up history, made when it is asked for"""
    made = {}

    def page(demo):
        if demo not in made:
            directory = tmp_path_factory.mktemp(demo)
            made[demo] = directory / "dashboard.html"
            subprocess.run([DEMO, demo, directory, made[demo]], check=True, stdout=subprocess.DEVNULL)
        return made[demo].as_uri()

    return page


@pytest.fixture(scope="module")
def one_browser():
    with browser.Browser() as one:
        yield one


@pytest.fixture
def chromium(one_browser):
    with one_browser.page() as page:
        yield page


def assert_silent(chromium, url):
    assert chromium.complaints() == []
    assert [one for one in chromium.requests() if not one.startswith("data:")] == [url]


@pytest.mark.parametrize("demo", DEMOS)
def test_asks_for_nothing_and_complains_of_nothing(chromium, pages, demo):
    chromium.open(pages(demo))
    assert chromium.evaluate("document.readyState") == "complete"
    assert_silent(chromium, pages(demo))


FOREIGN = """new Promise((resolve) => {
    const wanted = ["connect-src", "img-src", "style-src-attr", "style-src-elem"], stopped = new Set();
    addEventListener("securitypolicyviolation", (event) => {
        stopped.add(event.effectiveDirective);
        if (wanted.every((one) => stopped.has(one))) resolve([...stopped].sort());
    });
    const style = document.createElement("style"), image = document.createElement("img");
    style.textContent = "body { color: red }";
    document.head.append(style);
    document.body.setAttribute("style", "color: red");
    image.src = "HOST/x.png";
    fetch("HOST/x").catch(() => 0);
    try { document.body.append(Object.assign(document.createElement("script"), { textContent: "window.hit = 1" })); } catch { /* refused */ }
    try { document.body.innerHTML += "<b>x</b>"; } catch { stopped.add("markup"); }
})"""


def test_what_is_not_its_own_is_stopped_by_its_policy(chromium, pages):
    """were something overlooked, the browser would still not obey it"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        chromium.open(pages("realistic"))
        stopped = chromium.evaluate(FOREIGN.replace("HOST", f"http://127.0.0.1:{server.getsockname()[1]}"))
        assert {"connect-src", "img-src", "markup", "style-src-attr", "style-src-elem"} <= set(stopped)
        assert chromium.evaluate("window.hit") is None
        assert chromium.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
        with pytest.raises(BlockingIOError):
            server.accept()


def test_hostile_text_stays_text(chromium, pages):
    chromium.open(pages("hostile"))
    assert chromium.evaluate("window.hit") is None
    assert chromium.evaluate("document.querySelectorAll('img, iframe, object, script[src]').length") == 0
    assert chromium.evaluate("document.querySelectorAll('script').length") == 2
    assert chromium.evaluate("document.querySelectorAll('h1').length") == 1
    names = chromium.evaluate("[...document.querySelectorAll('#lines th bdi')].map((one) => one.textContent)")
    assert any(name.startswith(HOSTILE) for name in names)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", chromium.evaluate("document.documentElement.textContent"))


def test_copied_lines_are_what_was_meant(chromium, pages):
    """what the button puts on the clipboard is the line that is shown, and a shell takes it apart into the right words"""
    chromium.before_load("window.copied = []; Object.defineProperty(navigator, 'clipboard', "
                         "{ value: { writeText: async (text) => { window.copied.push(text); } } });")
    chromium.open(pages("hostile"))
    shown = chromium.evaluate("[...document.querySelectorAll('.command code')].map((one) => one.textContent)")
    chromium.evaluate("for (const button of document.querySelectorAll('button.copy')) button.click();")
    assert chromium.evaluate("window.copied") == shown and len(shown) > 10
    words = [shlex.split(line) for line in shown]
    root = "/mnt/a'b $(touch /tmp/x)\"<b>/backups/"
    assert all(one[1].startswith(root) and one[2] == "." for one in words if one[0] == "cp")
    restores = [one for one in words if one[0] == "createdb"]
    assert all(one[1:3] == ["-T", "template0"] and one[4:6] == ["&&", "pg_restore"] for one in restores)
    assert {"a' ; rm -rf / #_restored", "postgresql://evil.example/x?a=b_restored"} <= {one[3] for one in restores}
    databases = {one[one.index("-d") + 1] for one in restores}
    assert databases >= {"a' ; rm -rf / #_restored", "dbname='postgresql://evil.example/x?a=b_restored'"}


@pytest.mark.parametrize("demo", DEMOS)
@pytest.mark.parametrize("width", (360, 800, 1100))
def test_needs_no_sideways_scrolling(chromium, pages, demo, width):
    chromium.size(width, 800)
    chromium.open(pages(demo))
    chromium.evaluate("for (const one of document.querySelectorAll('details')) one.open = true;")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("demo", ("realistic", "hostile"))
@pytest.mark.parametrize("width", (360, 1041, 1300))
def test_nothing_lies_over_something_else(chromium, pages, demo, width):
    chromium.size(width, 800)
    chromium.open(pages(demo))
    over = chromium.evaluate("""[...document.querySelectorAll('#lines > tbody')].filter((line) => {
        const summary = line.querySelector('summary'), s = summary && summary.getBoundingClientRect();
        return summary && [...line.querySelectorAll('tr.facts > * > *')].some((one) => {
            const o = one.getBoundingClientRect();
            return o.width && o.left < s.right - 1 && s.left < o.right - 1 && o.top < s.bottom - 3 && s.top < o.bottom - 3;
        });
    }).map((line) => line.querySelector('th').textContent)""")
    assert over == []


CONTRASTS = """(() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => {
        const [r, g, b] = rgb.slice(0, 3).map((c) => { c /= 255; return c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const behind = (element) => {
        for (; element; element = element.parentElement) {
            const color = parse(getComputedStyle(element).backgroundColor);
            if (color.length < 4 || color[3] === 1) return color;
        }
        return [255, 255, 255];
    };
    const bad = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let seen = 0;
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement, style = getComputedStyle(element);
        if (!walker.currentNode.data.trim() || !element.checkVisibility({ visibilityProperty: true }) || element.closest("script, style, svg, .sr")) continue;
        const [a, b] = [light(parse(style.color)), light(behind(element))].sort((x, y) => y - x);
        const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
        seen++;
        if ((a + .05) / (b + .05) < (large ? 3 : 4.5)) bad.push([walker.currentNode.data.trim().slice(0, 40), (a + .05) / (b + .05)]);
    }
    return { seen, bad };
})()"""


@pytest.mark.parametrize("scheme", ("light", "dark"))
def test_colours_have_the_contrast_of_wcag_aa(chromium, pages, scheme):
    chromium.scheme(scheme)
    chromium.open(pages("realistic"))
    chromium.evaluate("for (const one of document.querySelectorAll('details')) one.open = true;")
    found = chromium.evaluate(CONTRASTS)
    assert found["seen"] > 300
    assert found["bad"] == []


def test_light_and_dark_are_two(chromium, pages):
    def background():
        return chromium.evaluate("getComputedStyle(document.body).backgroundColor")

    chromium.open(pages("well"))
    chromium.scheme("light")
    light = background()
    chromium.scheme("dark")
    assert background() != light


def focused(chromium):
    return chromium.evaluate("(() => { const a = document.activeElement, s = getComputedStyle(a); return a === document.body ? null : "
                             "{ index: [...document.querySelectorAll('*')].indexOf(a), name: a.localName, class: a.className.baseVal ?? a.className, "
                             "outline: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 }; })()")


def test_everything_is_reached_by_keyboard(chromium, pages):
    chromium.open(pages("realistic"))
    wanted = chromium.evaluate("[...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')]"
                               ".filter((one) => one.checkVisibility() && !one.closest('details:not([open]) > :not(summary)'))"
                               ".map((one) => [...document.querySelectorAll('*')].indexOf(one))")
    chromium.press("Tab")
    first = focused(chromium)
    assert first["class"] == "skip"
    reached = {first["index"]}
    for _ in range(len(wanted) + 2):
        chromium.press("Tab")
        now = focused(chromium)
        if not now:
            break
        assert now["outline"], now
        reached.add(now["index"])
    assert set(wanted) <= reached


def test_enter_opens_what_can_be_opened(chromium, pages):
    chromium.open(pages("realistic"))
    chromium.evaluate("document.querySelector('#lines summary').focus()")
    assert chromium.evaluate("document.querySelector('#lines pre').checkVisibility()") is False
    chromium.press("Enter")
    assert chromium.evaluate("document.querySelector('#lines pre').checkVisibility()") is True
    assert "permission denied" in chromium.evaluate("document.querySelector('#lines details').innerText")


def test_charts_are_read_by_arrow_keys(chromium, pages):
    chromium.open(pages("realistic"))
    chromium.evaluate("document.querySelector('.chart svg[role=img]').focus()")
    before = chromium.evaluate("document.querySelector('.chart .note').textContent")
    chromium.press("ArrowLeft")
    read = chromium.evaluate("document.querySelector('.chart .note').textContent")
    assert read != before and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC, run \d+: [\d.]+ [KMG]iB", read)
    chromium.press("Tab")
    assert chromium.evaluate("document.querySelector('.chart .note').textContent") == before


def test_essentials_are_there_without_javascript(chromium, pages):
    chromium.call("Emulation.setScriptExecutionDisabled", value=True)
    chromium.open(pages("realistic"))
    text = " ".join(chromium.evaluate("document.body.innerText").split())
    for words in ("Act now", "failing since", "If everything were lost now", "at most 26 h missed", "nordwind", "Failed",
                  "Never ran", "Day by day", "88 good · 3 failed", "Ages are as of then", "Who did what", "uid 1001 pg_restore"):
        assert words in text, words
    assert chromium.evaluate("[...document.querySelectorAll('button, #tools')].filter((one) => one.checkVisibility()).length") == 0
    assert chromium.evaluate("document.querySelectorAll('.chart svg polyline').length") == 10
    assert_silent(chromium, pages("realistic"))


def test_what_goes_is_opened_by_keyboard(chromium, pages):
    chromium.open(pages("realistic"))
    chromium.evaluate("document.querySelector('.kept summary').focus()")
    assert chromium.evaluate("document.querySelector('.kept table').checkVisibility()") is False
    chromium.press("Enter")
    said = chromium.evaluate("document.querySelector('.kept details').innerText")
    assert "daily: 7 newer days have one" in said and "may go now" in said and "goes on " in said
    assert chromium.evaluate("document.querySelector('.acknowledged').checkVisibility()")
    assert "acknowledged by uid 1001 (bash) until" in " ".join(chromium.evaluate("document.querySelector('.acknowledged').textContent").split())


AGED = "{ const real = Date.now.bind(Date); Date.now = () => real() + %d * 1000; }"


@pytest.mark.parametrize("later_s, words", ((0, None), (3600, "This page was made 6"), (3 * 86400, "made 3 days ago"),
                                            (-7200, "from now, by another clock")))
def test_says_when_it_is_stale(chromium, pages, later_s, words):
    chromium.before_load(AGED % later_s)
    chromium.open(pages("realistic"))
    said = chromium.evaluate("(() => { const box = document.getElementById('stale'); return box.checkVisibility() ? box.innerText : null; })()")
    assert said is None if words is None else words in said


def test_ages_and_goals_go_on(chromium, pages):
    chromium.before_load(AGED % (3 * 86400))
    chromium.open(pages("well"))
    assert chromium.evaluate("document.querySelectorAll('.goal.ok').length") == 0
    assert chromium.evaluate("[...document.querySelectorAll('.goal')].map((one) => one.textContent)") == ["missed"] * 6
    assert "days" in chromium.evaluate("document.querySelector('#lines time.ago').textContent")
    assert chromium.evaluate("document.querySelector('#lines time.next').textContent").startswith("was due ")


def test_lines_can_be_found(chromium, pages):
    chromium.open(pages("large"))
    shown = "[...document.querySelectorAll('#lines > tbody:not(.rest)')].filter((one) => one.checkVisibility()).length"
    assert chromium.evaluate(shown) == 300
    chromium.evaluate("(() => { const find = document.getElementById('find'); find.value = 'tenant0975'; "
                      "find.dispatchEvent(new Event('input')); })()")
    assert chromium.evaluate(shown) == 1
    chromium.evaluate("document.getElementById('find').value = ''; document.getElementById('bad').click();")
    assert chromium.evaluate(shown) == 50
    assert chromium.evaluate("document.getElementById('found').textContent") == "50 of 300 lines"


def test_screen_readers_find_their_way(chromium, pages):
    chromium.open(pages("realistic"))
    headings = chromium.evaluate("[...document.querySelectorAll('h1, h2, h3')].map((one) => +one.localName[1])")
    assert headings[0] == 1 and headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(headings, headings[1:]))
    assert chromium.evaluate("[...document.querySelectorAll('table')].every((one) => one.caption && one.caption.textContent.trim())")
    assert chromium.evaluate("[...document.querySelectorAll('[id]')].every((one, i, all) => all.filter((x) => x.id === one.id).length === 1)")
    nodes = [node for node in chromium.call("Accessibility.getFullAXTree")["nodes"] if not node["ignored"]]
    roles = [node["role"]["value"] for node in nodes]
    assert roles.count("main") == 1 and "banner" in roles and "contentinfo" in roles
    unnamed = [node["role"]["value"] for node in nodes if node["role"]["value"] in ("image", "button", "link", "checkbox", "searchbox", "region")
               and not node["name"]["value"].strip()]
    assert unnamed == []


def test_paper_shows_what_can_be_opened(chromium, pages):
    chromium.open(pages("realistic"))
    chromium.evaluate("window.opened = 0; addEventListener('beforeprint', () => { window.opened = document.querySelectorAll('details[open]').length; });")
    assert chromium.call("Page.printToPDF", printBackground=True)["data"]
    assert chromium.evaluate("window.opened === document.querySelectorAll('details').length && window.opened > 20")


def test_dashboard_of_a_mount(chromium, keepfs):
    """a real run; and the line that the page gives for it brings the database back"""
    keepfs.verify_store()
    keepfs.backup()
    url = keepfs.path("status", "dashboard.html").as_uri()
    chromium.open(url)
    assert_silent(chromium, url)
    (name,) = keepfs.artifacts()
    line = chromium.evaluate("document.querySelector('#lines tbody.line').innerText")
    assert "full" in line and "Not watched" in line and name in line and "verified" in line
    assert name in chromium.evaluate("document.querySelector('.recent').innerText")
    (copy,) = chromium.evaluate("[...document.querySelectorAll('#lines code')].map((one) => one.textContent).filter((one) => one.startsWith('cp '))")
    subprocess.run(["sh", "-c", copy], cwd=keepfs.directory, check=True)
    assert (keepfs.directory / name).read_bytes() == keepfs.path("backups", "full", name).read_bytes()
    assert chromium.evaluate("JSON.parse(document.getElementById('data').textContent).jobs[0].backups") == 1


def test_the_line_that_restores_does(chromium, keepfs, pg):
    keepfs.backup()
    chromium.open(keepfs.path("status", "dashboard.html").as_uri())
    (line,) = chromium.evaluate("[...document.querySelectorAll('#lines code')].map((one) => one.textContent).filter((one) => one.startsWith('createdb '))")
    environment = {**daemon.clean_environment(), "PGHOST": str(pg.directory), "PGPORT": str(pg.port), "PGUSER": "postgres"}
    environment["PATH"] = f"{pg.bindir}:{environment['PATH']}"
    try:
        subprocess.run(["sh", "-c", line], env=environment, check=True)
        assert pg.fingerprint("sample_restored") == pg.fingerprint("sample")
    finally:
        pg.drop("sample_restored")
