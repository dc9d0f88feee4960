// SPDX-License-Identifier: Apache-2.0
/* Numbers with units. What is written is read back to the same value: the largest unit that divides a number
 * evenly is used. */
#include "units.h"

#include <keepfs/conf.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *word;
	int64_t factor;
};

/* From the largest to the smallest: formatting takes the first that divides. */
static const struct unit byte_units[] = {
        {"T", INT64_C(1) << 40},
        {"G", INT64_C(1) << 30},
        {"M", INT64_C(1) << 20},
        {"K", INT64_C(1) << 10},
        {"", 1},
};

static const struct unit time_units[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

/* Digits only: strtoll() would take a sign and spaces, too. */
static int parse_digits(const char *text, const char **ret_end, int64_t *ret)
{
	int64_t value = 0;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	for (; isdigit((unsigned char)*text); text++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, *text - '0', &value))
			return -ERANGE;
	*ret_end = text;
	*ret = value;
	return 0;
}

int conf_int_parse(const char *text, int64_t *ret)
{
	const char *end;
	int64_t value;
	int r = parse_digits(text, &end, &value);

	if (r == 0 && *end)
		return -EINVAL;
	if (r == 0)
		*ret = value;
	return r;
}

static bool is_byte_unit(const char *text, const char *letter)
{
	size_t len = strlen(letter);

	if (strncasecmp(text, letter, len) != 0)
		return false;
	text += len;
	return *text == '\0' || strcasecmp(text, "B") == 0 || (len > 0 && strcasecmp(text, "iB") == 0);
}

int conf_bytes_parse(const char *text, uint64_t *ret)
{
	const char *end;
	int64_t value;
	int r;

	if (strcasecmp(text, "none") == 0) {
		*ret = 0;
		return 0;
	}
	r = parse_digits(text, &end, &value);
	if (r < 0)
		return r;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_SIZE(byte_units); i++) {
		if (!is_byte_unit(end, byte_units[i].word))
			continue;
		if (__builtin_mul_overflow(value, byte_units[i].factor, &value))
			return -ERANGE;
		*ret = (uint64_t)value;
		return 0;
	}
	return -EINVAL;
}

void conf_bytes_format(uint64_t bytes, struct str *out)
{
	size_t i = 0;

	if (bytes == 0) {
		str_append(out, "none");
		return;
	}
	while (bytes % (uint64_t)byte_units[i].factor != 0)
		i++;
	str_appendf(out, "%" PRIu64 "%s", bytes / (uint64_t)byte_units[i].factor, byte_units[i].word);
}

int conf_rate_parse(const char *text, uint64_t *ret)
{
	char bytes[64];
	size_t len = strlen(text);

	if (!str_ends(text, "/s"))
		return conf_bytes_parse(text, ret);
	len -= strlen("/s");
	if (len >= sizeof(bytes))
		return -EINVAL;
	memcpy(bytes, text, len);
	bytes[len] = '\0';
	/* "none/s" is no rate. */
	return isdigit((unsigned char)bytes[0]) ? conf_bytes_parse(bytes, ret) : -EINVAL;
}

void conf_rate_format(uint64_t bytes_per_s, struct str *out)
{
	conf_bytes_format(bytes_per_s, out);
	if (bytes_per_s > 0)
		str_append(out, "/s");
}

int conf_duration_parse(const char *text, int64_t *ret_ms)
{
	const char *end;
	int64_t value;
	int r = parse_digits(text, &end, &value);

	if (r < 0)
		return r;
	while (*end == ' ')
		end++;
	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++) {
		/* A bare number has no meaning, but a bare zero has. */
		if (strcmp(end, time_units[i].word) != 0 && !(*end == '\0' && value == 0))
			continue;
		if (__builtin_mul_overflow(value, time_units[i].factor, &value))
			return -ERANGE;
		*ret_ms = value;
		return 0;
	}
	return -EINVAL;
}

void conf_duration_format(int64_t ms, struct str *out)
{
	size_t i = 0;

	if (ms == 0) {
		str_append(out, "0");
		return;
	}
	while (ms % time_units[i].factor != 0)
		i++;
	str_appendf(out, "%" PRId64 "%s", ms / time_units[i].factor, time_units[i].word);
}

int conf_parse_duration(const char *text, int64_t *ret_ms)
{
	return conf_duration_parse(text, ret_ms);
}

int conf_parse_rate(const char *text, uint64_t *ret)
{
	return conf_rate_parse(text, ret);
}
