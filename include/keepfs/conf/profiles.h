// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The profiles of AWS's shared files, taken as `aws` takes them: the credentials file (~/.aws/credentials, or
 * AWS_SHARED_CREDENTIALS_FILE), whose sections are [NAME], and the config file (~/.aws/config, or AWS_CONFIG_FILE),
 * whose sections are [default] and [profile NAME]. A name may stand in quotes, and have spaces around it; keys are
 * written in any case; a line that is indented deeper than the key above it belongs to that key, and is left out.
 * What keepfs does not understand there is other programs' business, and no error.
 *
 * Both files are read at once, and are looked at afterwards: conf_profiles_read(), conf_profiles_get() …,
 * conf_profiles_free(). No locks: one thread at a time.
 * Source: docs.aws.amazon.com/sdkref/latest/guide/file-format.html
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/conf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum conf_profiles_file { CONF_PROFILES_CREDENTIALS, CONF_PROFILES_CONFIG, CONF_PROFILES_FILES };

struct conf_profiles;

/** conf_profile_name() - the profile that applies: [store] profile, AWS_PROFILE, AWS_DEFAULT_PROFILE, "default".
 * *@ret_chosen_by, unless NULL: which of the first three it was, NULL for the last. Borrowed, all. */
const char *conf_profile_name(const struct conf_store *store, const char **ret_chosen_by);

/** conf_profiles_read() - both files as they are now. One that cannot be read has no profiles. */
struct conf_profiles *conf_profiles_read(void);
/** conf_profiles_parse() - the same of two texts, for tests; a path stands for each in origins. */
struct conf_profiles *conf_profiles_parse(const char *credentials, size_t credentials_len, const char *config,
                                          size_t config_len);
/** conf_profiles_free() - what they hold is wiped. NULL allowed; returns NULL. */
struct conf_profiles *conf_profiles_free(struct conf_profiles *p);
DEFINE_CLEANUP(conf_profiles, struct conf_profiles *, conf_profiles_free)

/** conf_profiles_has() - is there such a profile in the file, with keys or without? */
bool conf_profiles_has(const struct conf_profiles *p, enum conf_profiles_file file, const char *profile);
/** conf_profiles_get() - the value of @key (in small letters) in either file, that of the credentials file first; NULL
 * when it is absent or empty. Borrowed. */
const char *conf_profiles_get(const struct conf_profiles *p, const char *profile, const char *key);
/** conf_profiles_get_in() - the same in one file. */
const char *conf_profiles_get_in(const struct conf_profiles *p, enum conf_profiles_file file,
                                 const char *profile, const char *key);
/** conf_profiles_place() - for messages: "/root/.aws/config [profile x]". Heap. */
char *conf_profiles_place(const struct conf_profiles *p, enum conf_profiles_file file, const char *profile);
/** conf_profiles_place_of() - the place of that file which has @key of the profile; of the config file when none does.
 * Heap. */
char *conf_profiles_place_of(const struct conf_profiles *p, const char *profile, const char *key);

/** struct conf_profiles_state - how a file was found. All borrowed. */
struct conf_profiles_state {
	const char *path; /* NULL: HOME is not set, and no variable names one */
	int error;        /* 0, or the negative errno with which it could not be read */
	size_t bytes;
	bool just_changed; /* within the last seconds: it may be half-written */
	const char
	        *bad_line; /* the first line that is none: "line 3 holds a control character (0x01)"; NULL */
};
struct conf_profiles_state conf_profiles_state(const struct conf_profiles *p, enum conf_profiles_file file);

/** conf_profiles_stamp() - a number that changes when one of the files does (inode, size, mtime); 0 when there is none
 * of them. */
uint64_t conf_profiles_stamp(void);
