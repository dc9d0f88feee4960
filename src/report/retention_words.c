// SPDX-License-Identifier: Apache-2.0
/* Why a backup stays, and until when, in words. */
#include "retention_words.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

static const char *unit_of(unsigned reason)
{
	switch (reason) {
	case RETENTION_DAILY:
		return "day";
	case RETENTION_WEEKLY:
		return "week";
	case RETENTION_MONTHLY:
		return "month";
	case RETENTION_YEARLY:
		return "year";
	default:
		return "good backup";
	}
}

/* Without a schedule nobody can say when: how many more have to come is known all the same. */
static void append_needs(struct retention_dates *d, size_t i, unsigned reasons, const char *before,
                         struct str *out)
{
	_cleanup(free) char *first = mem_printf("%sgoes when ", before);
	const char *between = first;

	for (unsigned reason = 1; reason <= RETENTION_FLOOR; reason <<= 1) {
		unsigned more =
		        reasons & reason ? retention_more_needed(d, i, (enum retention_reason)reason) : 0;

		if (!more)
			continue;
		str_appendf(out, "%s%u more %s%s", between, more, unit_of(reason),
		            reason & RETENTION_TIERS ? more == 1 ? " has one" : "s have one"
		            : more == 1              ? " is there"
		                                     : "s are there");
		between = " and ";
	}
}

void retention_append_end(struct retention_dates *d, size_t i, const struct retention_backup *b,
                          const char *before, struct str *out)
{
	int64_t goes_s = retention_goes_at(d, i);
	size_t start = out->len;
	char at[CLOCK_ISO_BYTES];

	if (goes_s != RETENTION_NO_DATE)
		str_appendf(out, "%sgoes on %.10s", before, clock_format_iso(goes_s * US_PER_S, at));
	else if (!(b->reasons & (RETENTION_FOREVER | RETENTION_HELD | RETENTION_DAMAGED | RETENTION_GONE)))
		append_needs(d, i, b->reasons, before, out);
	if (b->reasons & RETENTION_LOCKED)
		str_appendf(out, "%slocked in the store until %s", out->len > start ? "; " : before,
		            clock_format_iso(b->locked_until_s * US_PER_S, at));
}

void retention_append_reasons(unsigned reasons, struct str *out)
{
	const char *between = "";

	for (unsigned reason = 1; reason <= RETENTION_LOCKED; reason <<= 1) {
		if (!(reasons & reason))
			continue;
		str_appendf(out, "%s%s", between, retention_reason_name(reason));
		between = ", ";
	}
}
