// SPDX-License-Identifier: Apache-2.0
/* Identities, from texts as age-keygen writes them. What is secret is never moved or repeated, and is wiped. */
#include "age_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define PREFIX "AGE-SECRET-KEY-"

struct age_identities *age_identities_new(void)
{
	struct age_identities *i = mem_alloc(sizeof(*i));

	i->items = mem_array(AGE_IDENTITIES_MAX, sizeof(*i->items));
	return i;
}

struct age_identities *age_identities_free(struct age_identities *i)
{
	if (!i)
		return NULL;
	explicit_bzero(i->items, i->count * sizeof(*i->items));
	free(i->items);
	mem_free_secret(i->passphrase);
	free(i);
	return NULL;
}

/* A line of a file of identities, without the white space around it. */
struct line {
	const char *at;
	size_t len;
	unsigned number;
	const char *next;
};

static bool is_line_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool next_identity_line(struct line *l)
{
	while (*l->next) {
		const char *at = l->next, *end = at + strcspn(at, "\n");

		l->next = *end ? end + 1 : end;
		l->number++;
		while (at < end && is_line_blank(*at))
			at++;
		while (end > at && is_line_blank(end[-1]))
			end--;
		l->at = at;
		l->len = (size_t)(end - at);
		if (l->len > 0 && *at != '#')
			return true;
	}
	return false;
}

struct refusal {
	const char *prefix, *message;
};

static const struct refusal refusals[] = {
        {"AGE-SECRET-KEY-PQ-1",
         "this is a post-quantum identity of age, which keepfs cannot use: use an X25519 one, as age-keygen makes it"},
        {"AGE-SECRET-KEY-1",
         "this is no identity of age: its checksum or its length is wrong, so it was cut or mistyped; one has 74 characters, all in upper case"},
        {"AGE-PLUGIN-",
         "this is an identity of an age plug-in, and keepfs runs no plug-ins: use an X25519 one, as age-keygen makes it"},
        {"-----BEGIN AGE ENCRYPTED FILE-----",
         "this is an identity that is encrypted itself: decrypt it with age -d"},
        {"-----BEGIN ",
         "this is a key of SSH or OpenSSL, which keepfs cannot decrypt with: make one with age-keygen"},
        {"age1",
         "this is a recipient, which is public and decrypts nothing: the identity is the line AGE-SECRET-KEY-1… of the file that age-keygen wrote"},
};

static int refuse_identity_line(const struct line *l, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		size_t len = strlen(refusals[i].prefix);

		if (l->len >= len && strncasecmp(l->at, refusals[i].prefix, len) == 0)
			return error_set(err, ERROR_USAGE, EINVAL, "%s", refusals[i].message);
	}
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "this is no identity of age: one is a line that begins with AGE-SECRET-KEY-1");
}

static bool has_identity(const struct age_identities *i, const struct age_identity *one)
{
	for (size_t n = 0; n < i->count; n++)
		if (memcmp(i->items[n].recipient.public, one->recipient.public, AGE_KEY_BYTES) == 0)
			return true;
	return false;
}

static int add_identity_line(struct age_identities *i, const struct line *l, struct error *err)
{
	struct age_identity *one = &i->items[i->count];
	uint8_t public[AGE_KEY_BYTES];

	if (i->count == AGE_IDENTITIES_MAX)
		return error_set(err, ERROR_USAGE, EINVAL, "there are more than %u identities",
		                 AGE_IDENTITIES_MAX);
	if (!age_bech32_decode(l->at, l->len, PREFIX, one->secret)) {
		explicit_bzero(one, sizeof(*one));
		return refuse_identity_line(l, err);
	}
	age_x25519_public(one->secret, public);
	age_recipient_init(&one->recipient, public);
	if (has_identity(i, one))
		explicit_bzero(one, sizeof(*one));
	else
		i->count++;
	return 0;
}

int age_identities_add(struct age_identities *i, const char *text, struct error *err)
{
	struct line l = {.next = text};
	size_t before = i->count, lines = 0;
	int r = 0;

	for (; r == 0 && next_identity_line(&l); lines++)
		r = add_identity_line(i, &l, err);
	if (r == 0 && lines == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "there is no identity (a line AGE-SECRET-KEY-1…) in it");
	if (r < 0) {
		explicit_bzero(&i->items[before], (i->count - before) * sizeof(*i->items));
		i->count = before;
		error_prefix(err, "line %u", l.number);
	}
	return r;
}

int age_identities_add_passphrase(struct age_identities *i, const char *passphrase, struct error *err)
{
	if (!*passphrase)
		return error_set(err, ERROR_USAGE, EINVAL, "the passphrase is empty");
	mem_free_secret(i->passphrase);
	i->passphrase = mem_strdup(passphrase);
	return 0;
}

size_t age_identities_count(const struct age_identities *i)
{
	return i->count;
}

bool age_identities_have_passphrase(const struct age_identities *i)
{
	return i->passphrase != NULL;
}

const char *age_identities_recipient(const struct age_identities *i, size_t number)
{
	return i->items[number].recipient.name;
}

void age_identity_generate(char ret_secret[static AGE_SECRET_TEXT_BYTES],
                           char ret_recipient[static AGE_RECIPIENT_BYTES])
{
	uint8_t secret[AGE_KEY_BYTES], public[AGE_KEY_BYTES];
	struct age_recipient recipient;

	age_random(secret, sizeof(secret));
	age_x25519_public(secret, public);
	age_recipient_init(&recipient, public);
	age_bech32_encode(PREFIX, secret, ret_secret);
	str_copy(ret_recipient, AGE_RECIPIENT_BYTES, recipient.name);
	explicit_bzero(secret, sizeof(secret));
}
