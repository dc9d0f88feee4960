// SPDX-License-Identifier: Apache-2.0
/*
 * Does a column look like a secret? Its name is cut into words ("apiKeyHash", "API_KEY_HASH": api, key, hash) and whole words are looked for, so that a secretary is
 * none. What a name says about a secret without being one (how many, when, which kind) stands in its last word.
 */
#include "redaction_private.h"

#include <string.h>

#define NAME_WORDS      16
#define NAME_WORD_BYTES 32

struct name_words {
	char words[NAME_WORDS][NAME_WORD_BYTES];
	size_t count;
};

static bool is_lower_case(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper_case(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* "apiKey" before the K; "APIKey" too. */
static bool begins_name_word(const char *name, const char *p)
{
	if (p == name)
		return false;
	return is_upper_case(*p) && (is_lower_case(p[-1]) || (is_upper_case(p[-1]) && is_lower_case(p[1])));
}

static void cut_into_words(const char *name, struct name_words *w)
{
	size_t len = 0;

	for (const char *p = name; *p && w->count < NAME_WORDS; p++) {
		bool is_letter = is_lower_case(*p) || is_upper_case(*p);

		if (len > 0 && (!is_letter || begins_name_word(name, p))) {
			w->count++;
			len = 0;
		}
		if (is_letter && w->count < NAME_WORDS && len + 1 < NAME_WORD_BYTES)
			w->words[w->count][len++] = (char)(is_upper_case(*p) ? *p - 'A' + 'a' : *p);
	}
	w->count += len > 0 && w->count < NAME_WORDS;
}

static bool is_in(const char *word, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_equal(word, list[i]))
			return true;
	return false;
}

/* "password_changed_by", "token_id", "mfa_method", "token_prefix": about a secret. */
static bool is_about_a_secret(const struct name_words *w)
{
	static const char *const last[] = {
	        "count",      "counts",  "type",     "types",    "kind",     "status",      "state",
	        "at",         "on",      "date",     "time",     "expiry",   "expires",     "expiration",
	        "ttl",        "length",  "limit",    "quota",    "usage",    "used",        "name",
	        "names",      "label",   "id",       "ids",      "policy",   "version",     "algorithm",
	        "algo",       "alg",     "enabled",  "required", "verified", "scope",       "scopes",
	        "prefix",     "method",  "methods",  "issuer",   "provider", "format",      "rounds",
	        "iterations", "cost",    "strength", "attempts", "attempt",  "by",          "age",
	        "symbol",     "address", "index",    "position", "title",    "description", "seconds",
	        "minutes",    "hours",   "days",     "lifetime", "validity", "price",       "amount",
	        "budget",     "rate",    "supply",   "standard"};
	static const char *const first[] = {"has",      "is",      "num",   "max",   "min",   "total",
	                                    "requires", "require", "needs", "allow", "count", "public"};

	return w->count > 1 && (is_in(w->words[w->count - 1], last, ARRAY_SIZE(last)) ||
	                        is_in(w->words[0], first, ARRAY_SIZE(first)));
}

static const char *reason_of_word(const char *word)
{
	static const struct {
		const char *word, *reason;
	} words[] = {
	        {"password", "its name says password"},
	        {"passwords", "its name says password"},
	        {"passwd", "its name says password"},
	        {"pwd", "its name says password"},
	        {"passphrase", "its name says password"},
	        {"passcode", "its name says password"},
	        {"pwhash", "its name says password"},
	        {"pwdhash", "its name says password"},
	        {"secret", "its name says secret"},
	        {"secrets", "its name says secret"},
	        {"token", "its name says token"},
	        {"tokens", "its name says token"},
	        {"jwt", "its name says token"},
	        {"apikey", "its name says API key"},
	        {"apikeys", "its name says API key"},
	        {"credential", "its name says credentials"},
	        {"credentials", "its name says credentials"},
	        {"creds", "its name says credentials"},
	        {"otp", "its name says second factor"},
	        {"totp", "its name says second factor"},
	        {"hotp", "its name says second factor"},
	        {"mfa", "its name says second factor"},
	        {"salt", "its name says salt"},
	        {"mnemonic", "its name says recovery phrase"},
	        {"cvv", "its name says card code"},
	        {"cvc", "its name says card code"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_equal(words[i].word, word))
			return words[i].reason;
	return NULL;
}

/* Written as one word: "encryptedpassword", "authtoken". "secretary" ends otherwise. */
static const char *reason_of_end(const char *word)
{
	static const struct {
		const char *end, *reason;
	} ends[] = {{"token", "its name says token"},
	            {"secret", "its name says secret"},
	            {"apikey", "its name says API key"},
	            {"privatekey", "its name says private key"},
	            {"secretkey", "its name says secret key"},
	            {"accesskey", "its name says access key"},
	            {"sessionkey", "its name says session key"},
	            {"credentials", "its name says credentials"}};

	if (strstr(word, "password") || strstr(word, "passwd"))
		return "its name says password";
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (str_ends(word, ends[i].end))
			return ends[i].reason;
	return NULL;
}

static const char *reason_of_pair(const char *a, const char *b)
{
	static const struct {
		const char *first, *second, *reason;
	} pairs[] = {{"api", "key", "its name says API key"},
	             {"api", "keys", "its name says API key"},
	             {"private", "key", "its name says private key"},
	             {"private", "keys", "its name says private key"},
	             {"access", "key", "its name says access key"},
	             {"access", "keys", "its name says access key"},
	             {"secret", "key", "its name says secret key"},
	             {"session", "key", "its name says session key"},
	             {"signing", "key", "its name says signing key"},
	             {"encryption", "key", "its name says encryption key"},
	             {"master", "key", "its name says master key"},
	             {"auth", "key", "its name says key"},
	             {"recovery", "code", "its name says recovery code"},
	             {"recovery", "codes", "its name says recovery code"},
	             {"backup", "codes", "its name says recovery code"},
	             {"seed", "phrase", "its name says recovery phrase"},
	             {"pass", "phrase", "its name says password"},
	             {"pin", "code", "its name says PIN"},
	             {"pin", "hash", "its name says PIN"},
	             {"card", "pin", "its name says PIN"},
	             {"access", "pin", "its name says PIN"},
	             {"user", "pin", "its name says PIN"}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (str_equal(pairs[i].first, a) && str_equal(pairs[i].second, b))
			return pairs[i].reason;
	return NULL;
}

static const char *reason_of_words(const struct name_words *w)
{
	const char *reason = w->count == 1 && str_equal(w->words[0], "pin") ? "its name says PIN" : NULL;

	for (size_t i = 0; i < w->count && !reason; i++) {
		reason = reason_of_word(w->words[i]);
		if (!reason && i + 1 < w->count)
			reason = reason_of_pair(w->words[i], w->words[i + 1]);
		if (!reason)
			reason = reason_of_end(w->words[i]);
	}
	return reason;
}

/* Numbers of few digits can be a PIN or a code, and nothing else; dates, truth values and enumerations no secret at all. */
static bool can_hold_secrets(const struct tenancy_column *c, const char *reason)
{
	if (c->category == 'N')
		return strstr(reason, "PIN") || strstr(reason, "second factor") ||
		       strstr(reason, "card code");
	return !strchr("BDTERG", c->category);
}

static const char *reason_of_name(const char *name)
{
	struct name_words w = {0};

	cut_into_words(name, &w);
	return is_about_a_secret(&w) ? NULL : reason_of_words(&w);
}

/* What a secret is called within a table of secrets: api_keys.key, tokens.value. */
static bool is_content(const char *column)
{
	static const char *const names[] = {"key",  "value", "hash",    "digest",
	                                    "code", "data",  "content", "body"};

	return is_in(column, names, ARRAY_SIZE(names));
}

const char *redaction_name_suspicion(const struct tenancy_table *t, const struct tenancy_column *c)
{
	const char *reason = reason_of_name(c->name);

	if (!reason && is_content(c->name) && reason_of_name(t->name))
		reason = "its table's name says that secrets are in it";
	return reason && can_hold_secrets(c, reason) ? reason : NULL;
}
