"use strict";
/* What makes the page easier to use. Nothing that is essential needs it. */
(() => {
	const MINUTE = 60, HOUR = 3600, DAY = 86400;
	const STALE_S = 15 * MINUTE, OLD_S = DAY;
	const now = () => Date.now() / 1000;
	const of = (element) => Date.parse(element.dateTime) / 1000;
	const all = (selector, within = document) => [...within.querySelectorAll(selector)];
	const made = Date.parse(document.getElementById("made").dataset.made) / 1000;

	/* As line_age() of the server has it. */
	const age = (seconds) => {
		const s = Math.max(0, Math.floor(seconds));
		if (s < 120) return `${s} s`;
		if (s < 2 * HOUR) return `${Math.floor(s / MINUTE)} min`;
		if (s < 2 * DAY) return `${Math.floor(s / HOUR)} h`;
		return `${Math.floor(s / DAY)} days`;
	};
	const relative = (at) => (at > now() ? `in ${age(at - now())}` : `${age(now() - at)} ago`);

	const tellAges = () => {
		for (const time of all("time.ago")) time.textContent = relative(of(time));
		for (const time of all("time.next")) time.textContent = of(time) > now() ? relative(of(time)) : `was due ${relative(of(time))}`;
		for (const time of all("time.span")) time.textContent = age(now() - of(time));
		for (const goal of all(".goal.ok")) {
			if (now() - goal.dataset.since <= goal.dataset.goal) continue;
			goal.classList.replace("ok", "crit");
			goal.querySelector("svg").classList.replace("ok", "crit");
			goal.querySelector("use").setAttribute("href", "#i-crit");
			goal.lastChild.data = "missed";
		}
	};

	const tellStale = () => {
		const box = document.getElementById("stale"), old = now() - made;
		if (Math.abs(old) < STALE_S) return;
		const text = document.createElement("p");
		const again = document.createElement("button");
		text.textContent = old > 0
			? `This page was made ${age(old)} ago. What has happened since is not in it.`
			: `This page was made ${age(-old)} from now, by another clock: its ages may be wrong.`;
		again.type = "button";
		again.textContent = "Load it anew";
		again.addEventListener("click", () => location.reload());
		text.append(again);
		if (box.textContent === text.textContent) return;
		box.replaceChildren(text);
		box.classList.toggle("old", old > OLD_S);
		box.hidden = false;
	};

	const nameLocalTimes = () => {
		for (const time of all("time[datetime]")) {
			const at = new Date(of(time) * 1000);
			if (!Number.isNaN(at.getTime())) time.title = `${at.toLocaleString()} (local time)`;
		}
	};

	/* Copying. */
	const copyOld = (text) => {
		const area = document.createElement("textarea");
		area.value = text;
		document.body.append(area);
		area.select();
		const done = document.execCommand("copy");
		area.remove();
		return done;
	};
	const copy = async (text) => {
		try {
			await navigator.clipboard.writeText(text);
			return true;
		} catch {
			return copyOld(text);
		}
	};
	const prepareButtons = () => {
		for (const button of all("button.copy")) {
			const word = button.firstChild;
			button.hidden = false;
			button.addEventListener("click", async () => {
				const done = await copy(button.parentElement.querySelector("code").textContent);
				button.focus();
				word.data = done ? "Copied" : "Select it";
				setTimeout(() => { word.data = "Copy"; }, 2000);
			});
		}
	};

	/* Finding a line among many. */
	const prepareFinding = () => {
		const find = document.getElementById("find"), bad = document.getElementById("bad");
		const found = document.getElementById("found"), lines = all("#lines > tbody.line:not(.rest)");
		const apply = () => {
			const word = find.value.trim().toLowerCase();
			let shown = 0;
			for (const line of lines) {
				const name = line.querySelector("th").textContent.toLowerCase();
				line.hidden = !name.includes(word) || (bad.checked && line.classList.contains("ok"));
				shown += line.hidden ? 0 : 1;
			}
			found.textContent = word || bad.checked ? `${shown} of ${lines.length} lines` : "";
		};
		if (lines.length < 8) return;
		document.getElementById("tools").hidden = false;
		find.addEventListener("input", apply);
		bad.addEventListener("change", apply);
		apply();
	};

	/* Reading a chart point by point, with a pointer or with the arrow keys. */
	const bytes = (n) => {
		const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
		let i = 0, value = n;
		while (value >= 1024 && i < units.length - 1) { value /= 1024; i++; }
		return i ? `${value.toFixed(1)} ${units[i]}` : `${value} B`;
	};
	const duration = (s) => (s < MINUTE ? `${Math.round(s)} s` : s < HOUR
		? `${Math.floor(s / MINUTE)} min ${Math.round(s % MINUTE)} s`
		: `${Math.floor(s / HOUR)} h ${Math.floor(s % HOUR / MINUTE)} min`);
	const asText = { size: bytes, rows: (n) => n.toLocaleString("en"), duration };
	const prepareChart = (figure, jobs) => {
		const key = figure.dataset.of, job = jobs[figure.dataset.job];
		const points = (job && job.points || []).filter((point) => key !== "rows" || point.rows !== undefined);
		const svg = figure.querySelector("svg[role=img]"), note = figure.querySelector(".note");
		const usual = [...note.childNodes];
		const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
		const from = points.length ? points[0].at : 0, span = points.length ? points[points.length - 1].at - from : 0;
		let at = points.length - 1;
		if (!span) return;
		const tell = () => {
			const x = 6 + (points[at].at - from) / span * 288;
			const when = new Date(points[at].at * 1000).toISOString().slice(0, 16).replace("T", " ");
			for (const [name, value] of [["x1", x], ["x2", x], ["y1", 0], ["y2", 84]]) line.setAttribute(name, value);
			note.textContent = `${when} UTC, run ${points[at].run}: ${asText[key](points[at][key] || 0)}`;
		};
		const leave = () => { line.remove(); note.replaceChildren(...usual); };
		line.setAttribute("class", "here");
		svg.tabIndex = 0;
		note.setAttribute("aria-live", "polite");
		svg.addEventListener("pointermove", (event) => {
			const box = svg.getBoundingClientRect();
			const wanted = from + ((event.clientX - box.left) / box.width * 300 - 6) / 288 * span;
			at = points.reduce((best, point, i) => (Math.abs(point.at - wanted) < Math.abs(points[best].at - wanted) ? i : best), 0);
			svg.append(line);
			tell();
		});
		svg.addEventListener("pointerleave", leave);
		svg.addEventListener("blur", leave);
		svg.addEventListener("keydown", (event) => {
			const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
			if (!step) return;
			event.preventDefault();
			at = Math.min(points.length - 1, Math.max(0, at + step));
			svg.append(line);
			tell();
		});
	};

	const prepareCharts = () => {
		const { jobs } = JSON.parse(document.getElementById("data").textContent);
		for (const figure of all(".chart")) prepareChart(figure, jobs);
	};

	/* On paper nothing can be opened. */
	const prepareThePrinter = () => {
		let opened = [];
		addEventListener("beforeprint", () => {
			opened = all("details:not([open])");
			for (const details of opened) details.open = true;
		});
		addEventListener("afterprint", () => {
			for (const details of opened) details.open = false;
		});
	};

	document.getElementById("as-of").hidden = true;
	const tick = () => { tellAges(); tellStale(); };
	tick();
	setInterval(tick, 20000);
	document.addEventListener("visibilitychange", tick);
	nameLocalTimes();
	prepareButtons();
	prepareFinding();
	prepareCharts();
	prepareThePrinter();
})();
