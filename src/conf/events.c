// SPDX-License-Identifier: Apache-2.0
/* Sets of events, as the receivers of notices choose them. */
#include <keepfs/conf/events.h>

#include <keepfs/conf.h>

#include "words.h"

#include <errno.h>
#include <string.h>

static const char *const event_names[] = {
        [EVENT_FAILED] = "failed",
        [EVENT_RECOVERED] = "recovered",
        [EVENT_MISSED] = "missed",
        [EVENT_WARNING] = "warning",
        [EVENT_ANOMALY] = "anomaly",
        [EVENT_DRILL] = "drill",
        [EVENT_STORE_BAD] = "store-bad",
        [EVENT_STORE_GOOD] = "store-good",
        [EVENT_DAMAGED] = "damaged",
        [EVENT_PRUNE_REFUSED] = "prune-refused",
        [EVENT_POLICY_CHANGED] = "policy-changed",
        [EVENT_HOLD_ADDED] = "hold-added",
        [EVENT_HOLD_ENDED] = "hold-ended",
        [EVENT_EXPIRING] = "expiring",
        [EVENT_NOTICES] = "notices",
        [EVENT_RESTORE] = "restore",
        [EVENT_CONFIRM] = "confirm",
};
_Static_assert(ARRAY_SIZE(event_names) == EVENT_COUNT, "each event has a name");

const char *conf_event_name(enum conf_event event)
{
	return event_names[event];
}

/* The bits of one word; 0: there is no such event. */
static uint32_t events_of_word(const char *word)
{
	if (strcmp(word, "all") == 0)
		return CONF_EVENTS_ALL;
	for (size_t i = 0; i < EVENT_COUNT; i++)
		if (strcmp(word, event_names[i]) == 0)
			return UINT32_C(1) << i;
	return 0;
}

static int unknown_event(const char *word, struct str *wrong)
{
	const char *nearest = conf_nearest(word, event_names, EVENT_COUNT);

	str_appendf(wrong, "names the event '%s', which there is not", word);
	if (nearest)
		str_appendf(wrong, " (did you mean %s?)", nearest);
	return -EINVAL;
}

int conf_events_parse(const char *text, uint32_t *ret, struct str *wrong)
{
	char **words = conf_words_parse(text, wrong);
	uint32_t events = 0;
	int r = words ? 0 : -EINVAL;

	/* "!x" alone is "all but x". */
	if (words && words[0] && words[0][0] == '!')
		events = CONF_EVENTS_ALL;
	for (size_t i = 0; r == 0 && words[i]; i++) {
		bool without = words[i][0] == '!';
		uint32_t bits = events_of_word(words[i] + without);

		if (!bits)
			r = unknown_event(words[i] + without, wrong);
		events = without ? events & ~bits : events | bits;
	}
	conf_words_free(words);
	if (r == 0)
		*ret = events;
	return r;
}

/* Those that are in @events, or with @without "!" and those that are not. */
static void append_event_words(uint32_t events, bool without, const char *separator, struct str *out)
{
	for (size_t i = 0; i < EVENT_COUNT; i++) {
		if (!(events >> i & 1) != without)
			continue;
		str_appendf(out, "%s%s%s", separator, without ? "!" : "", event_names[i]);
		separator = ", ";
	}
}

void conf_events_format(uint32_t events, struct str *out)
{
	bool most = __builtin_popcount(events) > EVENT_COUNT / 2;

	if (most)
		str_append(out, "all");
	append_event_words(events, most, most ? ", " : "", out);
}
