// SPDX-License-Identifier: Apache-2.0
/* Acknowledged items of health. */
#include <keepfs/report/ack.h>

#include "checks.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/acks.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DAY_US        (INT64_C(86400) * US_PER_S)
#define AHEAD_MOST_US (366 * DAY_US)

static struct health_item *item_of(struct health *h, const char *check, const char *subject)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->items[i].check, check) == 0 && strcmp(h->items[i].subject, subject) == 0)
			return &h->items[i];
	return NULL;
}

/* What was said, at the items of now. */

struct applying {
	struct checking *checking;
	struct catalog_ack *over; /* what is to be forgotten */
	size_t over_count;
};

static void apply_ack(void *arg, const struct catalog_ack *ack)
{
	struct applying *a = arg;
	struct health_item *item = item_of(a->checking->found, ack->check, ack->subject);

	if (item && item->level != REPORT_OK && (int)item->level <= ack->level &&
	    ack->until_us > a->checking->from->now_us) {
		item->acknowledged_until_us = ack->until_us;
		checking_changes_at(a->checking, ack->until_us);
		mem_replace_string(&item->acknowledged_by, ack->said_by);
		mem_replace_string(&item->acknowledged_why, ack->note);
		return;
	}
	a->over = mem_resize(a->over, a->over_count + 1, sizeof(*a->over));
	a->over[a->over_count++] = *ack;
}

/* Who looks at health without a mount sees less than the mount does: only that one knows that an item has gone. */
static bool sees_all(const struct checking *c)
{
	return c->from->troubles && !c->catalog_failed;
}

void acks_apply(struct checking *c)
{
	struct applying a = {.checking = c};
	int r = catalog_each_ack(c->from->catalog, apply_ack, &a);

	if (r < 0)
		checking_catalog_failed(c, r);
	/* What cannot be forgotten now can be the next time. */
	for (size_t i = 0; r == 0 && sees_all(c) && i < a.over_count; i++)
		catalog_drop_ack(c->from->catalog, a.over[i].check, a.over[i].subject, NULL);
	free(a.over);
}

/* Which item is meant. */

static void list_bad_items(const struct health *h, struct str *out)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->items[i].level != REPORT_OK)
			str_appendf(out, "%s%s%s%s", out->len > 0 ? ", " : "", h->items[i].check,
			            *h->items[i].subject ? "/" : "", h->items[i].subject);
}

static int refuse_item(const struct health *h, const char *word, size_t count, struct error *err)
{
	_cleanup(str) struct str bad = {0};

	list_bad_items(h, &bad);
	if (count > 1)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%zu lines of status/health are called '%s': name one as CHECK/SUBJECT, of: %s",
		        count, word, str_text(&bad));
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "there is nothing to acknowledge in '%s'; what health finds wrong now, as CHECK/SUBJECT: %s",
	        word, bad.len > 0 ? str_text(&bad) : "nothing");
}

static bool is_acknowledged_name(const struct health_item *item, const char *word)
{
	size_t len = strlen(item->check);

	if (!*item->subject)
		return strcmp(word, item->check) == 0;
	return strncmp(word, item->check, len) == 0 && word[len] == '/' &&
	       strcmp(word + len + 1, item->subject) == 0;
}

/* By check and subject; else by the name, which several may have. */
static int find_bad_item(const struct health *h, const char *word, const struct health_item **ret,
                         struct error *err)
{
	const struct health_item *named = NULL;
	size_t count = 0;

	for (size_t i = 0; i < h->count; i++) {
		const struct health_item *item = &h->items[i];

		if (item->level == REPORT_OK)
			continue;
		if (is_acknowledged_name(item, word)) {
			*ret = item;
			return 0;
		}
		if (strcmp(item->name, word) == 0) {
			named = item;
			count++;
		}
	}
	if (count != 1)
		return refuse_item(h, word, count, err);
	*ret = named;
	return 0;
}

/* Until when. */

static int parse_date(const struct conf *conf, const char *text, int64_t *ret_us)
{
	_cleanup(zone) struct zone *z = NULL;
	int year, month, day, end = 0;
	int64_t at_s[2];

	if (strlen(text) != strlen("2026-12-01") ||
	    sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &end) != 3 || text[end])
		return -EINVAL;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > zone_month_days(year, month))
		return -EINVAL;
	/* Of no job's, but of all. */
	if (zone_load(*str_or_empty(conf->timezone) ? conf->timezone : NULL, &z, NULL) < 0 &&
	    zone_load("UTC", &z, NULL) < 0)
		return -EINVAL;
	zone_from_local(z, zone_local_midnight(year, month, day), at_s);
	*ret_us = at_s[0] * US_PER_S;
	return 0;
}

static int parse_until(const struct report_sources *from, const char *text, int64_t *ret_us,
                       struct error *err)
{
	if (!text)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "say until when: until=2026-12-01, or until=2026-12-01T08:00:00Z");
	if (parse_date(from->conf, text, ret_us) < 0 && clock_parse_iso(text, ret_us) < 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "until=%s is no time: write 2026-12-01, or 2026-12-01T08:00:00Z", text);
	if (*ret_us <= from->now_us)
		return error_set(err, ERROR_USAGE, EINVAL, "until=%s is over", text);
	if (*ret_us > from->now_us + AHEAD_MOST_US)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "until=%s is more than a year ahead: nobody would know of it any more",
		                 text);
	return 0;
}

/* The command. */

struct ack_command {
	const char *item, *until, *note; /* borrowed */
	bool off;
};

static int take_ack_pair(const struct command_pair *pair, struct ack_command *ret, struct error *err)
{
	const char **slot = strcmp(pair->key, "until") == 0  ? &ret->until
	                    : strcmp(pair->key, "note") == 0 ? &ret->note
	                                                     : NULL;

	if (!slot)
		return error_set(err, ERROR_USAGE, EINVAL, "'%s' is no word of ack: it takes until and note",
		                 pair->key);
	if (*slot)
		return error_set(err, ERROR_USAGE, EINVAL, "'%s' comes twice", pair->key);
	*slot = pair->value;
	return 0;
}

static int take_ack_command(const struct command_line *line, struct ack_command *ret, struct error *err)
{
	int r = 0;

	*ret = (struct ack_command){.off = line->word_count == 2 && strcmp(line->words[1], "off") == 0};
	if (line->word_count != (ret->off ? 2 : 1) || (ret->off && line->pair_count > 0))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "write CHECK/SUBJECT until=TIME note='why', or CHECK/SUBJECT off; what holds white space is quoted");
	ret->item = line->words[0];
	for (size_t i = 0; r == 0 && i < line->pair_count; i++)
		r = take_ack_pair(&line->pairs[i], ret, err);
	return r;
}

static int set_item_ack(const struct report_sources *from, const struct health_item *item,
                        const struct ack_command *command, const char *by, struct str *answer,
                        struct error *err)
{
	struct catalog_ack ack = {.level = (int)item->level, .at_us = from->now_us};
	char until[32];
	int r = parse_until(from, command->until, &ack.until_us, err);

	if (r < 0)
		return r;
	if (strlen(item->subject) >= sizeof(ack.subject))
		return error_set(err, ERROR_USAGE, ENAMETOOLONG,
		                 "the name of the item is too long to be kept");
	str_copy(ack.check, sizeof(ack.check), item->check);
	str_copy(ack.subject, sizeof(ack.subject), item->subject);
	str_copy(ack.said_by, sizeof(ack.said_by), by);
	str_cut(ack.note, sizeof(ack.note), str_or_empty(command->note));
	r = catalog_set_ack(from->catalog, &ack, err);
	if (r == 0)
		str_appendf(answer, "%s is acknowledged until %s\n", item->name,
		            line_time(ack.until_us, "-", until));
	return r;
}

static int drop_item_ack(const struct report_sources *from, const struct health_item *item,
                         struct str *answer, struct error *err)
{
	int r = catalog_drop_ack(from->catalog, item->check, item->subject, err);

	if (r == 0)
		str_appendf(answer, "%s counts again\n", item->name);
	return r;
}

int report_acknowledge(const struct report_sources *from, const char *command, const char *by,
                       struct str *answer, struct error *err)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(health) struct health h = {0};
	const struct health_item *item = NULL;
	struct ack_command c;
	int r = command_line_parse(command, &line, err);

	if (r == 0)
		r = take_ack_command(&line, &c, err);
	if (r < 0)
		return r;
	health_gather(from, &h);
	r = find_bad_item(&h, c.item, &item, err);
	if (r < 0)
		return r;
	return c.off ? drop_item_ack(from, item, answer, err) : set_item_ack(from, item, &c, by, answer, err);
}
