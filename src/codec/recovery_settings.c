// SPDX-License-Identifier: Apache-2.0
#include <keepfs/codec/recovery_settings.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/zone.h>
#include <keepfs/codec/wal_name.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FRACTION_DIGITS 6
#define OFFSET_MAX_S    (16 * 3600)

/* Times. */

/* ".25" at the end of @text, cut off there. false: it is no fraction. */
static bool take_fraction(char *text, int64_t *ret_us)
{
	char *dot = strchr(text, '.');
	int64_t us = 0;
	int digits = 0;

	*ret_us = 0;
	if (!dot)
		return true;
	for (const char *p = dot + 1; *p; p++, digits++) {
		if (!isdigit((unsigned char)*p) || digits == FRACTION_DIGITS)
			return false;
		us = us * 10 + (*p - '0');
	}
	for (int i = digits; i < FRACTION_DIGITS; i++)
		us *= 10;
	*dot = '\0';
	*ret_us = us;
	return digits > 0;
}

static bool two_digits(const char *p, int *ret)
{
	if (!isdigit((unsigned char)p[0]) || !isdigit((unsigned char)p[1]))
		return false;
	*ret = (p[0] - '0') * 10 + (p[1] - '0');
	return true;
}

/* "+01", "+0130", "+01:30": false: it is none. */
static bool offset_of(const char *sign, int64_t *ret_s)
{
	const char *p = sign + 1;
	int hours, minutes = 0;

	if (!two_digits(p, &hours))
		return false;
	p += 2;
	if (*p == ':' || *p) {
		p += *p == ':';
		if (!two_digits(p, &minutes) || p[2] || minutes > 59)
			return false;
	}
	*ret_s = (hours * 3600 + minutes * 60) * (*sign == '-' ? -1 : 1);
	return *ret_s <= OFFSET_MAX_S && *ret_s >= -OFFSET_MAX_S;
}

/* The sign of an offset stands behind the hour: before it are those of the date. */
static char *find_offset(char *text)
{
	char *time = strpbrk(text, " T");

	return time ? strpbrk(time, "+-") : NULL;
}

static int parse_time(const char *value, const struct zone *zone, int64_t *ret_us)
{
	_cleanup(free) char *text = mem_strdup(value), *utc = NULL;
	char *sign = find_offset(text);
	bool is_utc = str_ends(text, "Z");
	int64_t offset_s = 0, fraction_us = 0, at_s;

	if (sign && !offset_of(sign, &offset_s))
		return -EINVAL;
	if (sign)
		*sign = '\0';
	else if (is_utc)
		text[strlen(text) - 1] = '\0';
	for (size_t len = strlen(text); len > 0 && text[len - 1] == ' '; len--)
		text[len - 1] = '\0';
	if (!take_fraction(text, &fraction_us))
		return -EINVAL;
	utc = mem_printf("%s%s", text, sign || is_utc ? "Z" : "");
	if (zone_parse(zone, utc, &at_s) < 0)
		return -EINVAL;
	*ret_us = (at_s - offset_s) * US_PER_S + fraction_us;
	return 0;
}

/* Targets. */

static int refuse_target(const char *text, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "'%.80s' is no target of a recovery: allowed are latest, immediate, a time ('2026-11-20 10:00:00', with +01:00 or Z behind it, or else by the time zone of keepfs), lsn:0/3000028, xid:1234, name:RESTORE-POINT",
	        text);
}

static int parse_xid(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 10);
	return isdigit((unsigned char)*text) && !*end && errno == 0 && *ret >= 3 ? 0 : -EINVAL;
}

static int parse_point(const char *text, char ret[static RECOVERY_NAME_BYTES])
{
	if (!*text || strlen(text) >= RECOVERY_NAME_BYTES || strpbrk(text, "\r\n"))
		return -EINVAL;
	str_copy(ret, RECOVERY_NAME_BYTES, text);
	return 0;
}

int recovery_goal_parse(const char *text, const struct zone *zone, struct recovery_goal *ret,
                        struct error *err)
{
	int r = 0;

	*ret = (struct recovery_goal){.kind = RECOVERY_TO_LATEST};
	if (str_equal(text, "latest"))
		return 0;
	if (str_equal(text, "immediate")) {
		ret->kind = RECOVERY_TO_IMMEDIATE;
	} else if (str_starts(text, "lsn:")) {
		ret->kind = RECOVERY_TO_LSN;
		r = wal_lsn_parse(text + strlen("lsn:"), &ret->lsn);
	} else if (str_starts(text, "xid:")) {
		ret->kind = RECOVERY_TO_XID;
		r = parse_xid(text + strlen("xid:"), &ret->xid);
	} else if (str_starts(text, "name:")) {
		ret->kind = RECOVERY_TO_NAME;
		r = parse_point(text + strlen("name:"), ret->name);
	} else {
		ret->kind = RECOVERY_TO_TIME;
		r = parse_time(text, zone, &ret->time_us);
	}
	return r < 0 ? refuse_target(text, err) : 0;
}

/* "2026-11-20@10:00:00.25~": with these in the places of '@' and '~'. */
static void append_moment(struct str *out, int64_t at_us, char between, const char *zone)
{
	int64_t fraction = at_us % US_PER_S;
	char iso[CLOCK_ISO_BYTES];

	fraction += fraction < 0 ? US_PER_S : 0;
	clock_format_iso(at_us - fraction, iso);
	iso[strlen(iso) - 1] = '\0';
	*strchr(iso, 'T') = between;
	str_append(out, iso);
	if (fraction != 0)
		str_appendf(out, ".%06" PRId64, fraction);
	str_append(out, zone);
}

void recovery_goal_format(const struct recovery_goal *t, struct str *out)
{
	char lsn[WAL_LSN_BYTES];

	switch (t->kind) {
	case RECOVERY_TO_LATEST:
		str_append(out, "latest");
		break;
	case RECOVERY_TO_IMMEDIATE:
		str_append(out, "immediate");
		break;
	case RECOVERY_TO_TIME:
		append_moment(out, t->time_us, 'T', "Z");
		break;
	case RECOVERY_TO_LSN:
		str_appendf(out, "lsn:%s", wal_lsn_format(t->lsn, lsn));
		break;
	case RECOVERY_TO_XID:
		str_appendf(out, "xid:%" PRIu64, t->xid);
		break;
	case RECOVERY_TO_NAME:
		str_appendf(out, "name:%s", t->name);
		break;
	}
}

/* The file. */

static const char *const targets[] = {"recovery_target", "recovery_target_name", "recovery_target_time",
                                      "recovery_target_xid", "recovery_target_lsn"};

static bool is_of_recovery(const char *name, size_t len)
{
	static const char *const others[] = {"restore_command",          "recovery_end_command",
	                                     "archive_cleanup_command",  "recovery_target_inclusive",
	                                     "recovery_min_apply_delay", "recovery_target_timeline",
	                                     "recovery_target_action"};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		if (strlen(targets[i]) == len && strncasecmp(targets[i], name, len) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strlen(others[i]) == len && strncasecmp(others[i], name, len) == 0)
			return true;
	return false;
}

#define MARK_BEGIN "# keepfs restore: what follows, up to the end of these lines, is of a recovery"
#define MARK_END   "# keepfs restore: the end of these lines"

/* What an earlier restore has written goes as a whole: not all of it is of recoveries alone. */
static void keep_others(const char *old, struct str *out)
{
	bool is_ours = false;

	while (old && *old) {
		size_t len = strcspn(old, "\n"), blank = strspn(old, " \t");
		_cleanup(free) char *line = mem_printf("%.*s", (int)len, old);
		size_t name = strspn(old + blank,
		                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");

		is_ours |= str_equal(line, MARK_BEGIN);
		if (!is_ours && !is_of_recovery(old + blank, name)) {
			str_append(out, line);
			str_append_char(out, '\n');
		}
		is_ours &= !str_equal(line, MARK_END);
		old += len + (old[len] == '\n');
	}
}

/* As guc-file.l reads it: in quotes, of which each within is doubled; a backslash takes what is behind it by its word. */
static void append_server_setting(struct str *out, const char *name, const char *value)
{
	str_appendf(out, "%s = '", name);
	for (; *value; value++) {
		if (*value == '\'' || *value == '\\')
			str_append_char(out, *value);
		str_append_char(out, *value);
	}
	str_append(out, "'\n");
}

static const char *target_setting(const struct recovery_goal *t, struct str *value)
{
	char lsn[WAL_LSN_BYTES];

	switch (t->kind) {
	case RECOVERY_TO_IMMEDIATE:
		str_append(value, "immediate");
		return targets[0];
	case RECOVERY_TO_NAME:
		str_append(value, t->name);
		return targets[1];
	case RECOVERY_TO_TIME:
		append_moment(value, t->time_us, ' ', "+00");
		return targets[2];
	case RECOVERY_TO_XID:
		str_appendf(value, "%" PRIu64, t->xid);
		return targets[3];
	case RECOVERY_TO_LSN:
		str_append(value, wal_lsn_format(t->lsn, lsn));
		return targets[4];
	case RECOVERY_TO_LATEST:
		break;
	}
	return NULL;
}

void recovery_settings_write(const char *old, const struct recovery_settings *s, struct str *out)
{
	_cleanup(str) struct str value = {0};
	const char *name = target_setting(&s->target, &value);

	keep_others(old, out);
	str_append(out, MARK_BEGIN "\n");
	append_server_setting(out, "restore_command", s->restore_command);
	/* A standby's postgresql.conf may have them: its archive would be cleaned, others be told of a promotion, and commits wait for hours. */
	append_server_setting(out, "archive_cleanup_command", "");
	append_server_setting(out, "recovery_end_command", "");
	append_server_setting(out, "recovery_min_apply_delay", "0");
	/* First those that are to be none: each of them, empty, also forgets the one that was set before it. */
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		if (!str_equal(targets[i], name))
			append_server_setting(out, targets[i], "");
	if (name)
		append_server_setting(out, name, str_text(&value));
	append_server_setting(out, "recovery_target_inclusive", "on");
	append_server_setting(out, "recovery_target_timeline", s->timeline);
	append_server_setting(out, "recovery_target_action", s->action);
	if (s->archive_off)
		append_server_setting(out, "archive_mode", "off");
	str_append(out, MARK_END "\n");
}
