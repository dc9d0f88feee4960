// SPDX-License-Identifier: Apache-2.0
/* How people write a compression, and what it means where it is used. */
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define GZIP_LEVELS  9
#define ZSTD_LEVELS  19
#define FAST_ZSTD    1
#define SMALL_GZIP   9
#define SMALL_ZSTD   9
#define DEFAULT_GZIP 6
#define DEFAULT_ZSTD 3

static const struct word {
	const char *text;
	enum compression_kind kind;
	int level;      /* when none is given */
	int last_level; /* 0: none can be given */
} words[] = {
        {"fast", COMPRESS_FAST, 0, 0},
        {"small", COMPRESS_SMALL, 0, 0},
        {"none", COMPRESS_NONE, 0, 0},
        {"gzip", COMPRESS_GZIP, DEFAULT_GZIP, GZIP_LEVELS},
        {"zstd", COMPRESS_ZSTD, DEFAULT_ZSTD, ZSTD_LEVELS},
};

/* Return: a level of 1 to @last; -1 when @text is none. */
static int level_parse(const char *text, int last)
{
	int level = 0;

	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '9' || (p == text && *p == '0'))
			return -1;
		level = level * 10 + (*p - '0');
		if (level > last)
			return -1;
	}
	return level > 0 ? level : -1;
}

static bool word_parse(const struct word *word, const char *text, struct compression_choice *ret)
{
	size_t len = strlen(word->text);
	int level = word->level;

	if (strncmp(text, word->text, len) != 0)
		return false;
	if (text[len] == ':' && word->last_level > 0)
		level = level_parse(text + len + 1, word->last_level);
	else if (text[len])
		return false;
	if (level < 0)
		return false;
	*ret = (struct compression_choice){word->kind, level};
	return true;
}

int compression_parse(const char *text, struct compression_choice *ret, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (word_parse(&words[i], text, ret))
			return 0;
	}
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "'%s' is no compression: use fast, small, none, gzip, gzip:1 to gzip:%d, zstd, or zstd:1 to zstd:%d",
	        text, GZIP_LEVELS, ZSTD_LEVELS);
}

struct compression compression_resolve(const struct compression_choice *choice, bool zstd)
{
	switch (choice->kind) {
	case COMPRESS_FAST:
		return zstd ? (struct compression){COMPRESSION_ZSTD, FAST_ZSTD}
		            : (struct compression){COMPRESSION_GZIP, COMPRESSION_ISAL};
	case COMPRESS_SMALL:
		return zstd ? (struct compression){COMPRESSION_ZSTD, SMALL_ZSTD}
		            : (struct compression){COMPRESSION_GZIP, SMALL_GZIP};
	case COMPRESS_GZIP:
		return (struct compression){COMPRESSION_GZIP, choice->level};
	case COMPRESS_ZSTD:
		return (struct compression){COMPRESSION_ZSTD, choice->level};
	default:
		return (struct compression){COMPRESSION_NONE, 0};
	}
}

const char *compression_format(const struct compression *c, char buf[static 16])
{
	if (c->method == COMPRESSION_NONE)
		str_copy(buf, 16, "none");
	else if (c->method == COMPRESSION_GZIP && c->level == COMPRESSION_ISAL)
		str_copy(buf, 16, "gzip");
	else
		snprintf(buf, 16, "%s:%d", c->method == COMPRESSION_GZIP ? "gzip" : "zstd", c->level);
	return buf;
}
