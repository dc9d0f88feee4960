// SPDX-License-Identifier: Apache-2.0
/* Recipients, from texts that people write. Whatever is in them may be a secret in the wrong place: only what begins with "age1" is
 * ever repeated in a message. */
#include "age_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX      "age"
#define SHOWN_BYTES 24 /* of a recipient in a message: enough to find it */

struct age_recipients *age_recipients_new(void)
{
	return mem_alloc(sizeof(struct age_recipients));
}

struct age_recipients *age_recipients_free(struct age_recipients *r)
{
	if (!r)
		return NULL;
	mem_free_secret(r->passphrase);
	free(r->items);
	free(r);
	return NULL;
}

void age_recipient_init(struct age_recipient *r, const uint8_t public[static AGE_KEY_BYTES])
{
	memcpy(r->public, public, AGE_KEY_BYTES);
	age_bech32_encode(PREFIX, public, r->name);
}

/* A word of a text that names recipients. */
struct word {
	const char *at;
	size_t len;
	unsigned line;
	const char *next; /* behind it */
};

/* Return: false: there is none left. */
static bool next_recipient_word(struct word *w)
{
	const char *at = w->next;

	for (;; at++) {
		if (*at == '#')
			at += strcspn(at, "\n");
		if (*at == '\n')
			w->line++;
		else if (!*at || !strchr(", \t\r", *at))
			break;
	}
	w->at = at;
	w->len = strcspn(at, ", \t\r\n#");
	w->next = at + w->len;
	return w->len > 0;
}

static bool word_starts(const struct word *w, const char *prefix)
{
	return w->len >= strlen(prefix) && strncasecmp(w->at, prefix, strlen(prefix)) == 0;
}

/* Of "age1yubikey1q…" it is "yubikey": a plug-in's recipient has its name between two digits 1. 0: it has none. */
static int plugin_name_length(const struct word *w)
{
	const char *name = w->at + sizeof(PREFIX), *end = w->at + w->len;
	const char *digit = memchr(name, '1', (size_t)(end - name));

	return digit ? (int)(digit - name) : 0;
}

static int refuse_age_word(const struct word *w, struct error *err)
{
	int shown = w->len < SHOWN_BYTES ? (int)w->len : SHOWN_BYTES;
	int name = plugin_name_length(w);

	if (word_starts(w, "age1pq1"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.*s… is a post-quantum recipient of age, which keepfs cannot encrypt to: use "
		        "an X25519 one, as age-keygen makes it",
		        shown, w->at);
	if (name > 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.*s… is a recipient of the age plug-in \"%.*s\", and keepfs runs no plug-ins: "
		        "use an X25519 one, as age-keygen makes it",
		        shown, w->at, name, w->at + sizeof(PREFIX));
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%.*s… is no recipient of age: its checksum or its length is wrong, so it was cut or "
	        "mistyped; one has 62 characters, all in lower case",
	        shown, w->at);
}

static int refuse_recipient_word(const struct word *w, struct error *err)
{
	if (word_starts(w, "AGE-SECRET-KEY-") || word_starts(w, "AGE-PLUGIN-"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "this is a SECRET key of age, and recipients are public: put what `age-keygen -y` "
		        "prints for it (age1…) here, and keep the secret one elsewhere");
	if (word_starts(w, "age1"))
		return refuse_age_word(w, err);
	if (word_starts(w, "ssh-") || word_starts(w, "ecdsa-") || word_starts(w, "sk-"))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "this is an SSH key, which keepfs cannot encrypt to: make a key with age-keygen, "
		        "and put its public side (age1…) here");
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "this is no recipient of age: one begins with age1 and has 62 characters");
}

static const struct age_recipient *find_public(const struct age_recipients *r,
                                               const uint8_t public[static AGE_KEY_BYTES])
{
	for (size_t i = 0; i < r->count; i++)
		if (memcmp(r->items[i].public, public, AGE_KEY_BYTES) == 0)
			return &r->items[i];
	return NULL;
}

/* A point of low order has the same result with every secret. */
static bool is_secret_with(const uint8_t public[static AGE_KEY_BYTES])
{
	static const uint8_t any_secret[AGE_KEY_BYTES] = {1};
	uint8_t shared[AGE_KEY_BYTES];

	return age_x25519(any_secret, public, shared);
}

static int add_recipient_word(struct age_recipients *r, const struct word *w, struct error *err)
{
	uint8_t public[AGE_KEY_BYTES];

	if (!age_bech32_decode(w->at, w->len, PREFIX, public))
		return refuse_recipient_word(w, err);
	if (!is_secret_with(public))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%.*s… is a recipient with which nothing would be secret: its point has a low order",
		        SHOWN_BYTES, w->at);
	if (find_public(r, public))
		return 0;
	if (r->count == AGE_RECIPIENTS_MAX)
		return error_set(err, ERROR_USAGE, EINVAL, "there are more than %u recipients",
		                 AGE_RECIPIENTS_MAX);
	r->items = mem_resize(r->items, r->count + 1, sizeof(*r->items));
	age_recipient_init(&r->items[r->count++], public);
	return 0;
}

int age_recipients_add(struct age_recipients *r, const char *text, struct error *err)
{
	struct word w = {.next = text, .line = 1};
	size_t before = r->count, words = 0;
	int res = 0;

	if (r->passphrase)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "a passphrase stands alone in age: there can be no recipients beside it");
	for (; res == 0 && next_recipient_word(&w); words++)
		res = add_recipient_word(r, &w, err);
	if (res == 0 && words == 0)
		return error_set(err, ERROR_USAGE, EINVAL, "there is no recipient (age1…) in it");
	if (res < 0)
		r->count = before;
	if (res < 0 && strchr(text, '\n'))
		error_prefix(err, "line %u", w.line);
	return res;
}

int age_recipients_add_passphrase(struct age_recipients *r, const char *passphrase, unsigned log_n,
                                  struct error *err)
{
	if (!*passphrase)
		return error_set(err, ERROR_USAGE, EINVAL, "the passphrase is empty");
	if (r->count > 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "a passphrase stands alone in age: there can be no recipients beside it, and there are %zu",
		        r->count);
	mem_free_secret(r->passphrase);
	r->passphrase = mem_strdup(passphrase);
	r->log_n = log_n < AGE_SCRYPT_LOG_N_MAX ? log_n : AGE_SCRYPT_LOG_N_MAX;
	return 0;
}

size_t age_recipients_count(const struct age_recipients *r)
{
	return r->passphrase ? 1 : r->count;
}

const char *age_recipients_name(const struct age_recipients *r, size_t number)
{
	return r->passphrase ? "passphrase" : r->items[number].name;
}
