// SPDX-License-Identifier: Apache-2.0
/* See keepfs/policy/classes.h. */
#include <keepfs/policy/classes.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define AGE_MAX_S (INT64_C(36500) * 86400)

static const struct {
	char letter;
	int64_t seconds;
} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}, {'y', INT64_C(365) * 86400}};

static int64_t seconds_of_unit(char letter)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].letter == letter)
			return units[i].seconds;
	return 0;
}

/* Behind the age; NULL: there is none. */
static const char *parse_class_age(const char *text, int64_t *ret_s)
{
	char *end;
	long long number;
	int64_t unit;

	if (!isdigit((unsigned char)*text))
		return NULL;
	errno = 0;
	number = strtoll(text, &end, 10);
	unit = seconds_of_unit(*end);
	if (errno || unit == 0 || number > AGE_MAX_S / unit)
		return NULL;
	*ret_s = number * unit;
	return end + 1;
}

static bool is_class_name(const char *text)
{
	size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return len > 0 && text[len] == '\0' && len < CLASS_BYTES;
}

int class_step_parse(const char *text, struct class_step *ret, struct str *wrong)
{
	int64_t after_s = 0;
	const char *at = parse_class_age(text, &after_s);
	size_t gap = at ? strspn(at, " \t") : 0;

	if (!at || gap == 0) {
		str_appendf(wrong, "has '%s', which does not begin with an age such as 30d", text);
		return -EINVAL;
	}
	at += gap;
	if (!is_class_name(at)) {
		str_appendf(wrong, "has '%s', where '%s' is no storage class such as GLACIER_IR", text, at);
		return -EINVAL;
	}
	ret->after_s = after_s;
	str_copy(ret->class, sizeof(ret->class), at);
	return 0;
}

bool class_is_archive(const char *name)
{
	return str_equal(name, "GLACIER") || str_equal(name, "DEEP_ARCHIVE") || str_equal(name, "ARCHIVE");
}

static int check_step_order(const struct class_step *before, const struct class_step *step, struct str *wrong)
{
	if (class_is_archive(before->class)) {
		str_appendf(
		        wrong,
		        "has %s behind %s, from which nothing can be copied before it is thawed: that is the last one, or a lifecycle rule of the bucket does it",
		        step->class, before->class);
		return -EINVAL;
	}
	if (step->after_s > before->after_s)
		return 0;
	str_appendf(wrong, "has %s, which does not come later than %s", step->class, before->class);
	return -EINVAL;
}

int class_steps_parse(char *const *texts, struct class_step ret[static CLASS_STEPS_MAX], size_t *ret_count,
                      struct str *wrong)
{
	_cleanup(str) struct str nobody = {0};
	size_t count = 0;

	wrong = wrong ? wrong : &nobody;
	for (; texts && texts[count]; count++) {
		if (count == CLASS_STEPS_MAX) {
			str_appendf(wrong, "has more than %d steps", CLASS_STEPS_MAX);
			return -EINVAL;
		}
		if (class_step_parse(texts[count], &ret[count], wrong) < 0 ||
		    (count > 0 && check_step_order(&ret[count - 1], &ret[count], wrong) < 0))
			return -EINVAL;
		for (size_t i = 0; i < count; i++)
			if (str_equal(ret[i].class, ret[count].class)) {
				str_appendf(wrong, "has %s twice", ret[count].class);
				return -EINVAL;
			}
	}
	*ret_count = count;
	return 0;
}

int class_step_at(const struct class_step *steps, size_t count, int64_t age_s)
{
	int at = -1;

	for (size_t i = 0; i < count; i++)
		if (steps[i].after_s <= age_s)
			at = (int)i;
	return at;
}
