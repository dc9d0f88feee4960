// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * From which age on the bytes of a backup are in which storage class of S3: "30d STANDARD_IA, 90d GLACIER_IR, 1y DEEP_ARCHIVE". Pure.
 */
#include <keepfs/base/str.h>
#include <stddef.h>
#include <stdint.h>

#define CLASS_STEPS_MAX 8
#define CLASS_BYTES     32
/** CLASS_LEAST_BYTES - smaller objects stay where they are: S3 counts each as so much in its cheaper classes. */
#define CLASS_LEAST_BYTES (UINT64_C(128) << 10)

/** struct class_step - one of them. */
struct class_step {
	int64_t after_s;
	char class[CLASS_BYTES];
};

/** class_step_parse() - "30d GLACIER_IR": an age (s, m, h, d, w, y; a year has 365 days) and the name of a class. -EINVAL, with what is wrong appended to @wrong. */
int class_step_parse(const char *text, struct class_step *ret, struct str *wrong);
/** class_steps_parse() - several, as class_step_parse() takes them, NULL-terminated: by age, each later than the one before, none twice, and none behind a class from which
 * objects have to be thawed (is_archive() says which these are), since nothing can be copied from there. -EINVAL with @wrong (NULL allowed). */
int class_steps_parse(char *const *texts, struct class_step ret[static CLASS_STEPS_MAX], size_t *ret_count,
                      struct str *wrong);
/** class_is_archive() - is this the name of a class from which objects have to be thawed, at AWS and those who call theirs alike? */
bool class_is_archive(const char *name);
/** class_step_at() - the index of the step that what is @age_s old is in; -1: none yet. */
int class_step_at(const struct class_step *steps, size_t count, int64_t age_s);
