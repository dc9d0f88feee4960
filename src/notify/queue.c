// SPDX-License-Identifier: Apache-2.0
/*
 * A round: what has happened is compared and added to the catalog, and what is due is sent. A notice leaves the catalog after
 * its receiver has taken it; a crash in between sends it again, with the same Message-ID.
 */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/report/status.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define FIRST_BACKOFF_MS INT64_C(30000)
#define MOST_BACKOFF_MS  INT64_C(3600000)
#define BATCH_MAX        50 /* events of one message */

int64_t backoff_ms(int64_t attempts)
{
	int64_t ms = FIRST_BACKOFF_MS;

	for (; attempts > 1 && ms < MOST_BACKOFF_MS; attempts--)
		ms *= 2;
	return ms < MOST_BACKOFF_MS ? ms : MOST_BACKOFF_MS;
}

int64_t round_now_us(const struct round *r)
{
	return r->options->ctx.now_us ? r->options->ctx.now_us() : clock_now_us();
}

void round_begin(const struct notify_options *options, struct cancel *cancel, struct round *ret)
{
	*ret = (struct round){
	        .options = options, .cancel = cancel, .next_due_us = INT64_MAX, .next_look_us = INT64_MAX};
	ret->conf = options->ctx.live ? conf_live_ref(options->ctx.live) : options->ctx.conf;
	receivers_of(ret->conf, &ret->receivers);
}

void round_end(struct round *r)
{
	receivers_finish(&r->receivers);
	if (r->options->ctx.live)
		conf_unref(r->conf);
}

int round_settle(struct round *r, struct error *err)
{
	_cleanup(free) const char **names = mem_array(r->receivers.count + 1, sizeof(*names));
	uint64_t forgotten = 0;
	int result;

	for (size_t i = 0; i < r->receivers.count; i++)
		names[i] = r->receivers.items[i].name;
	result = catalog_keep_receivers(r->options->ctx.catalog, names, r->receivers.count, &forgotten, err);
	if (forgotten > 0)
		log_warning(
		        "%" PRIu64
		        " notices are not sent: they waited for receivers that are not in the configuration any more",
		        forgotten);
	return result < 0 ? result : catalog_retry_notices(r->options->ctx.catalog, err);
}

/* Looking. */

static void add_told(void *arg, const struct catalog_told *t)
{
	told_list_add(arg, t);
}

/* Whom it is about need not be told that he could not be; nor whoever relies on the same server. */
static const char *untold_of(const struct change *c, const char *subject)
{
	const char *kind = c->item && c->item->kind ? c->item->kind : c->before ? c->before->kind : "";

	return str_starts(subject, "mail ") && strcmp(kind, "failing") == 0 ? "mail " : subject;
}

static void add_changes(const struct round *r, const struct changes *changes, struct news *n)
{
	int64_t now_us = round_now_us(r);

	for (size_t i = 0; i < changes->count; i++) {
		const struct change *c = &changes->items[i];
		const char *check = c->item ? c->item->check : c->before->check;
		const char *subject = c->item ? c->item->subject : c->before->subject;
		struct catalog_notice notice = {.kind = NOTICE_EVENT, .at_us = now_us, .job = ""};

		if (!c->item && ending_of(r->options->ctx.catalog, r->conf, c->before) == ENDING_UNTOLD)
			continue;
		notice.facts = news_own(n, facts_of_change(r->options->ctx.catalog, r->conf, c, now_us));
		news_add_event(n, &r->receivers, c->event,
		               strcmp(check, "notices") == 0 ? untold_of(c, subject) : NULL, &notice);
	}
}

static bool has_events(const struct receivers *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->items[i].events || l->items[i].digest)
			return true;
	return false;
}

static void gather_health(struct round *r, struct health *h)
{
	const struct report_sources sources = {
	        .catalog = r->options->ctx.catalog,
	        .conf = r->conf,
	        .now_us = round_now_us(r),
	        .troubles = r->options->ctx.troubles,
	};

	health_gather(&sources, h);
	r->next_look_us = h->next_change_us ? h->next_change_us : INT64_MAX;
}

static void ignore_told(void *arg, const struct catalog_told *t)
{
	(void)arg;
	(void)t;
}

/* Nobody wants to know: when somebody will, it begins anew. */
static int look_for_nobody(struct round *r, struct error *err)
{
	bool begun = false;
	int result = catalog_told(r->options->ctx.catalog, &begun, ignore_told, NULL);

	r->next_look_us = INT64_MAX;
	return result == 0 && begun ? catalog_forget_told(r->options->ctx.catalog, err) : result;
}

static int look_at_health(struct round *r, struct news *n, struct told_list *after, struct error *err)
{
	_cleanup(told_list) struct told_list before = {0};
	_cleanup(health) struct health h = {0};
	_cleanup(changes) struct changes changes = {0};
	int result = catalog_told(r->options->ctx.catalog, &before.begun, add_told, &before);

	if (result < 0)
		return error_system(err, -result, "what was told before cannot be read from the catalog");
	gather_health(r, &h);
	if (compare_health(&before, &h, after, &changes))
		news_set_told(n, after);
	add_changes(r, &changes, n);
	digest_look(r, &h, n, &r->next_look_us);
	holds_look(r, n, &r->next_look_us);
	restores_look(r, !before.begun, n);
	return 0;
}

int round_look(struct round *r, struct error *err)
{
	_cleanup(told_list) struct told_list after = {0};
	_cleanup(news) struct news n = {0};
	int result = has_events(&r->receivers) ? look_at_health(r, &n, &after, err) : look_for_nobody(r, err);

	if (result < 0)
		return result;
	beats_look(r, &n);
	if (!n.all.sets_told && n.all.notice_count == 0 && n.all.beat_count == 0 && n.all.digest_count == 0 &&
	    !n.all.holds_looked_us && n.all.restore_count == 0)
		return 0;
	return catalog_add_news(r->options->ctx.catalog, &n.all, err);
}

/* Sending. */

struct pending { /* what waits for one receiver */
	const struct receiver *receiver;
	int64_t now_us, failed_due_us;
	int64_t gather_us;
	bool flush;
	struct batch batch;
	int64_t due_us; /* of the first that is not due yet; INT64_MAX */
};

/* Of its own; a time ahead of the clock counts as now. */
static int64_t due_of(const struct pending *p, const struct catalog_notice *n)
{
	int64_t at_us = n->at_us < p->now_us ? n->at_us : p->now_us;
	int64_t due_us = n->kind == NOTICE_EVENT && !p->flush ? at_us + p->gather_us : at_us;

	return due_us > p->failed_due_us ? due_us : p->failed_due_us;
}

/* The first that is due, and if that is an event, all others that wait: also those that have just come. */
static bool take_pending(void *arg, const struct catalog_notice *n)
{
	struct pending *p = arg;
	int64_t due_us = due_of(p, n);

	if (p->batch.count == 0 && due_us > p->now_us) {
		p->due_us = due_us < p->due_us ? due_us : p->due_us;
		return true;
	}
	if (p->batch.count > 0 && n->kind != NOTICE_EVENT)
		return true;
	batch_add(&p->batch, n);
	return n->kind == NOTICE_EVENT && p->batch.count < BATCH_MAX;
}

struct receiver_state {
	const char *name;
	uint64_t waiting, dropped, given_up;
	int64_t dropped_from_us, dropped_to_us;
	int64_t due_us, attempts, failing_since_us;
};

static void find_receiver_state(void *arg, const struct catalog_receiver *r)
{
	struct receiver_state *s = arg;

	if (strcmp(r->name, s->name) != 0)
		return;
	s->waiting = r->waiting;
	s->dropped = r->dropped;
	s->given_up = r->given_up;
	s->dropped_from_us = r->dropped_from_us;
	s->dropped_to_us = r->dropped_to_us;
	s->due_us = r->due_us;
	s->attempts = r->attempts;
	s->failing_since_us = r->failing_since_us;
}

/* What is given up is told to whoever reads the log, whole. */
static void log_refused(const struct receiver *r, const struct message *m, const char *why)
{
	_cleanup(str) struct str text = {0};

	str_append_line(&text, m->text);
	log_error("%s has refused a notice, which is not sent again: %s. The notice: %s: %s", r->name, why,
	          m->subject, str_text(&text));
}

static void wait_a_while(struct round *r, int64_t ms)
{
	int64_t due_us = round_now_us(r) + ms * 1000;

	r->next_due_us = due_us < r->next_due_us ? due_us : r->next_due_us;
}

/* What cannot be kept is not to be tried again at once, for ever. */
static void hold_off_asking(struct round *r, int64_t ms)
{
	wait_a_while(r, ms);
	r->not_before_us = round_now_us(r) + ms * 1000;
}

static void keep_failure(struct round *r, const struct receiver_state *s,
                         const struct delivery_result *result, const char *why)
{
	int64_t now_us = round_now_us(r), wait_ms = backoff_ms(s->attempts + 1);
	struct error err = {0};

	if (result->retry_after_ms > wait_ms)
		wait_ms = result->retry_after_ms;
	if (s->attempts == 0)
		log_warning("%s could not be told, which is tried again: %s", s->name, why);
	wait_a_while(r, wait_ms);
	if (catalog_notices_failed(r->options->ctx.catalog, s->name, now_us, now_us + wait_ms * 1000, why,
	                           &err) < 0) {
		log_error("what became of a notice to %s could not be kept: %s", s->name, err.message);
		hold_off_asking(r, wait_ms);
	}
}

static int keep_sent(struct round *r, const struct receiver_state *s, const struct batch *b)
{
	struct error err = {0};
	int result = catalog_notices_sent(r->options->ctx.catalog, s->name, b->ids, b->count, round_now_us(r),
	                                  &err);

	if (s->attempts > 0)
		log_info("%s can be told again", s->name);
	if (result < 0) {
		log_error("a notice was sent to %s, but that could not be kept, so it will be sent again: %s",
		          s->name, err.message);
		hold_off_asking(r, FIRST_BACKOFF_MS);
	}
	return result;
}

static int keep_refusal(struct round *r, const struct receiver *to, const struct batch *b,
                        const struct message *m, const char *why)
{
	struct error err = {0};
	int result = catalog_notices_refused(r->options->ctx.catalog, to->name, b->ids, b->count,
	                                     round_now_us(r), why, &err);

	log_refused(to, m, why);
	if (result < 0) {
		log_error("what became of a notice to %s could not be kept: %s", to->name, err.message);
		hold_off_asking(r, FIRST_BACKOFF_MS);
	}
	return result;
}

/* 0: it is done with, whether it was taken or refused; negative: the receiver is not to be asked now. */
static int send_batch(struct round *r, const struct receiver *to, const struct receiver_state *s,
                      struct batch *b)
{
	_cleanup(message) struct message m = {0};
	struct delivery_result result = {0};
	struct error err = {0};
	int sent;

	b->dropped = s->dropped;
	b->dropped_from_us = s->dropped_from_us;
	b->dropped_to_us = s->dropped_to_us;
	b->given_up = s->given_up;
	message_make(b, r->conf, &m);
	sent = r->options->deliver(r->conf, to, &m, round_now_us(r), r->cancel, &result, &err);
	if (sent == 0)
		return keep_sent(r, s, b);
	if (cancel_is_set(r->cancel))
		return -ECANCELED;
	if (result.refused)
		return keep_refusal(r, to, b, &m, err.message);
	keep_failure(r, s, &result, err.message);
	return sent;
}

/* A clock that was set back must not make anybody wait for longer than he would have. */
static int64_t sane_due(int64_t due_us, int64_t now_us)
{
	return due_us > now_us + MOST_BACKOFF_MS * 1000 ? now_us : due_us;
}

/* False: nothing waits for it. */
static bool begin_pending(const struct round *r, const struct receiver *to, struct receiver_state *ret_state,
                          struct pending *ret)
{
	*ret_state = (struct receiver_state){.name = to->name};
	*ret = (struct pending){.receiver = to,
	                        .now_us = round_now_us(r),
	                        .gather_us = to->gather_ms * 1000,
	                        .flush = r->flush,
	                        .due_us = INT64_MAX};
	if (catalog_receivers(r->options->ctx.catalog, find_receiver_state, ret_state) < 0 ||
	    ret_state->waiting == 0)
		return false;
	ret->failed_due_us = sane_due(ret_state->due_us, ret->now_us);
	return true;
}

/* Nothing can be due before a failure lets it. */
static bool find_due_notice(void *arg, const struct catalog_notice *n)
{
	struct pending *p = arg;
	int64_t due_us = due_of(p, n);

	p->due_us = due_us < p->due_us ? due_us : p->due_us;
	return p->due_us > p->now_us && p->due_us > p->failed_due_us;
}

int64_t round_due_us(const struct round *r, const struct receiver *to)
{
	struct receiver_state s;
	struct pending p;

	if (begin_pending(r, to, &s, &p))
		catalog_waiting(r->options->ctx.catalog, to->name, find_due_notice, &p);
	return p.due_us;
}

/* False: nothing more is to be sent to it now. */
static bool send_next(struct round *r, const struct receiver *to)
{
	struct receiver_state s;
	struct pending p;
	bool more;

	if (cancel_is_set(r->cancel) || !begin_pending(r, to, &s, &p))
		return false;
	catalog_waiting(r->options->ctx.catalog, to->name, take_pending, &p);
	if (p.batch.count == 0) {
		r->next_due_us = p.due_us < r->next_due_us ? p.due_us : r->next_due_us;
		return false;
	}
	more = send_batch(r, to, &s, &p.batch) == 0;
	batch_finish(&p.batch);
	return more;
}

void round_send(struct round *r, const char *lane)
{
	r->next_due_us = INT64_MAX;
	for (size_t i = 0; i < r->receivers.count; i++) {
		const struct receiver *to = &r->receivers.items[i];

		while ((!lane || strcmp(receiver_lane(to), lane) == 0) && send_next(r, to))
			;
	}
}
