// SPDX-License-Identifier: Apache-2.0
/* The types of values that only a job has: lists of names and of patterns, compression, a rate. */
#include "units.h"
#include "value_ops.h"
#include "words.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/classes.h>

#include <errno.h>
#include <string.h>

static int set_words(char ***field, char **words)
{
	if (!words)
		return -EINVAL;
	conf_words_free(*field);
	*field = words;
	return 0;
}

static int parse_words(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return set_words(field, conf_words_parse(text, wrong));
}

static void allow_words(const struct conf_key *key, struct str *out)
{
	str_append(out,
	           "different names, separated by commas or spaces (a name with these in double quotes)");
}

static void format_words(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

const struct value_ops conf_words_ops = {parse_words, allow_words, format_words};

static int parse_patterns(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return set_words(field, conf_patterns_parse(text, wrong));
}

static void allow_patterns(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different patterns as pg_dump takes them, separated by commas or spaces (a name with these, or with capitals, in double quotes)");
}

static void format_patterns(const struct conf_key *key, const void *field, struct str *out)
{
	conf_patterns_format(*(char **const *)field, out);
}

const struct value_ops conf_patterns_ops = {parse_patterns, allow_patterns, format_patterns};

static int parse_compression(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	if (compression_parse(text, field, NULL) < 0)
		return conf_value_wrong(wrong, "is no compression");
	return 0;
}

static void allow_compression(const struct conf_key *key, struct str *out)
{
	str_append(out, "fast, small, none, gzip, gzip:1 to gzip:9, zstd, or zstd:1 to zstd:19");
}

static void format_compression(const struct conf_key *key, const void *field, struct str *out)
{
	const struct compression_choice *choice = field;

	switch (choice->kind) {
	case COMPRESS_FAST:
		str_append(out, "fast");
		break;
	case COMPRESS_SMALL:
		str_append(out, "small");
		break;
	case COMPRESS_NONE:
		str_append(out, "none");
		break;
	case COMPRESS_GZIP:
		str_appendf(out, "gzip:%d", choice->level);
		break;
	case COMPRESS_ZSTD:
		str_appendf(out, "zstd:%d", choice->level);
		break;
	}
}

const struct value_ops conf_compression_ops = {parse_compression, allow_compression, format_compression};

static int parse_rate(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	uint64_t value = 0;
	int r = conf_rate_parse(text, &value);

	if (r < 0 || value > 0)
		r = conf_value_check_range(key, r, (int64_t)value, "is no rate", wrong);
	if (r == 0)
		*(uint64_t *)field = value;
	return r;
}

static void allow_rate(const struct conf_key *key, struct str *out)
{
	str_append(out,
	           "none, or a number of bytes per second, or with K, M, G or T (powers of 1024), from ");
	conf_rate_format((uint64_t)key->min, out);
	str_append(out, " to ");
	conf_rate_format((uint64_t)key->max, out);
}

static void format_rate(const struct conf_key *key, const void *field, struct str *out)
{
	conf_rate_format(*(const uint64_t *)field, out);
}

const struct value_ops conf_rate_ops = {parse_rate, allow_rate, format_rate};

/* Steps are separated by commas, and each has a space in it. */
static char **split_steps(const char *text)
{
	size_t count = 0;
	char **words = mem_array(strlen(text) + 2, sizeof(*words));

	while (*text) {
		size_t len = strcspn(text, ","), end;

		for (end = len; end > 0 && strchr(" \t", text[end - 1]); end--)
			;
		words[count++] = mem_printf("%.*s", (int)end, text);
		text += len + (text[len] == ',');
		text += strspn(text, " \t");
	}
	return words;
}

static int parse_classes(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	struct class_step steps[CLASS_STEPS_MAX];
	char **words = split_steps(text + strspn(text, " \t"));
	size_t count;

	if (class_steps_parse(words, steps, &count, wrong) < 0) {
		conf_words_free(words);
		return -EINVAL;
	}
	return set_words(field, words);
}

static void allow_classes(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "an age and a storage class, such as 90d GLACIER_IR, and later ones, separated by commas; the last may be GLACIER or DEEP_ARCHIVE");
}

static void format_classes(const struct conf_key *key, const void *field, struct str *out)
{
	char *const *words = *(char **const *)field;

	for (size_t i = 0; words && words[i]; i++)
		str_appendf(out, "%s%s", i > 0 ? ", " : "", words[i]);
}

const struct value_ops conf_classes_ops = {parse_classes, allow_classes, format_classes};
