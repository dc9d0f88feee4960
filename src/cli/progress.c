// SPDX-License-Identifier: Apache-2.0
#include "progress.h"

#include "cli.h"

#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH 30

void progress_init(struct progress *p)
{
	*p = (struct progress){.terminal = isatty(STDERR_FILENO) == 1};
}

static void format_eta(char *buf, size_t size, int64_t eta_s)
{
	if (eta_s < 0)
		snprintf(buf, size, "--:--");
	else if (eta_s >= 3600)
		snprintf(buf, size, "%lld:%02lld:%02lld", (long long)eta_s / 3600, (long long)eta_s / 60 % 60,
		         (long long)eta_s % 60);
	else
		snprintf(buf, size, "%02lld:%02lld", (long long)eta_s / 60, (long long)eta_s % 60);
}

/* "[####....] 50%": of what is expected at the end. */
static void format_bar(char *buf, size_t size, uint64_t bytes, uint64_t of_bytes)
{
	/* Never more than 99 % while it runs: the last run's size is only an estimate. */
	unsigned percent = (unsigned)(bytes * 100 / of_bytes);
	char bar[BAR_WIDTH + 1];
	unsigned filled;

	if (percent > 99)
		percent = 99;
	filled = percent * BAR_WIDTH / 100;
	memset(bar, '#', filled);
	memset(bar + filled, '.', BAR_WIDTH - filled);
	bar[BAR_WIDTH] = '\0';
	snprintf(buf, size, "[%s] %2u%%", bar, percent);
}

static void draw_bar(int64_t run_id, const struct report_progress *f)
{
	char done[16], rate[16], eta[24], bar[BAR_WIDTH + 16];

	format_eta(eta, sizeof(eta), f->eta_s);
	str_format_bytes(done, sizeof(done), f->verifying ? f->verified_bytes : f->read_bytes);
	str_format_bytes(rate, sizeof(rate), f->rate_bytes_per_s);
	if (f->verifying)
		format_bar(bar, sizeof(bar), f->verified_bytes, f->sent_bytes ? f->sent_bytes : UINT64_MAX);
	else if (f->expected_bytes)
		/* What is expected is a backup's size: what is read is larger by what compression saves. */
		format_bar(bar, sizeof(bar), f->reads ? f->read_bytes : f->sent_bytes, f->expected_bytes);
	if (f->verifying)
		fprintf(stderr, "\r\033[Krun %lld %s verifying %s", (long long)run_id, bar, done);
	else if (f->expected_bytes)
		fprintf(stderr, "\r\033[Krun %lld %s %s %s/s ETA %s", (long long)run_id, bar, done, rate,
		        eta);
	else
		fprintf(stderr, "\r\033[Krun %lld %s %s/s %llds", (long long)run_id, done, rate,
		        (long long)f->elapsed_ms / 1000);
	if (f->target[0]) {
		fputc(' ', stderr);
		cli_put_line(stderr, f->target);
	}
	fflush(stderr);
}

/* Whoever waits is told once for what. */
static void show_waiting(struct progress *p, int64_t run_id, const char *waits_for)
{
	if (!*waits_for || strcmp(p->last_waits_for, waits_for) == 0)
		return;
	str_copy(p->last_waits_for, sizeof(p->last_waits_for), waits_for);
	fprintf(stderr, "run %lld waits for ", (long long)run_id);
	cli_put_line(stderr, waits_for);
	fputc('\n', stderr);
}

void progress_show(struct progress *p, int64_t run_id, const char *state,
                   const struct report_progress *figures)
{
	bool running = strcmp(state, run_state_name(RUN_RUNNING)) == 0;

	show_waiting(p, run_id, figures->waits_for);
	if (p->terminal && running) {
		draw_bar(run_id, figures);
		p->drawn = true;
	}
	if (strcmp(p->last_state, state) == 0)
		return;
	str_copy(p->last_state, sizeof(p->last_state), state);
	if (!p->terminal)
		fprintf(stderr, "run %lld %s\n", (long long)run_id, state);
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
