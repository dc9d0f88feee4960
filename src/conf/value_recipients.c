// SPDX-License-Identifier: Apache-2.0
/* The type of keys that say for whom something is encrypted. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>
#include <keepfs/conf.h>

#include "value_ops.h"
#include "words.h"

#include <errno.h>

static int check_recipients(char *const *words, struct str *wrong)
{
	_cleanup(age_recipients) struct age_recipients *r = age_recipients_new();
	struct error err = {0};

	if (conf_words_find(words, CONF_ENCRYPT_NONE))
		return words[1] ? conf_value_wrong(wrong, "has recipients beside 'none'") : 0;
	for (size_t i = 0; words[i]; i++)
		if (age_recipients_add(r, words[i], &err) < 0)
			return conf_value_wrong(wrong, err.message);
	if (age_recipients_count(r) > AGE_RECIPIENTS_MAX)
		return conf_value_wrong(wrong, "has more recipients than one header can have");
	return 0;
}

static int parse_recipients(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = conf_words_parse(text, wrong);

	if (!words)
		return -EINVAL;
	if (check_recipients(words, wrong) < 0) {
		conf_words_free(words);
		return -EINVAL;
	}
	conf_words_free(*(char ***)field);
	*(char ***)field = words;
	return 0;
}

static void allow_recipients(const struct conf_key *key, struct str *out)
{
	str_append(out, "different public keys of age (age1…), separated by commas or spaces, or 'none'");
}

static void format_recipients(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

const struct value_ops conf_recipients_ops = {parse_recipients, allow_recipients, format_recipients};
