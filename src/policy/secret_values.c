// SPDX-License-Identifier: Apache-2.0
/*
 * Does a value look like a secret? By how keys and tokens of well-known services begin; by a password within a URL; and, of a long word without meaning, by its
 * entropy and by how often letters of one kind follow those of another: what people name changes seldom ("IMG_20240101_Final"), what is random changes all the time.
 */
#include <keepfs/policy/redaction.h>

#include <string.h>

#define RANDOM_MIN_BYTES 32
#define RANDOM_MAX_BYTES 512
#define KEY_MIN_BYTES    16 /* behind a prefix */
#define UUID_BYTES       36

struct value { /* without the blanks around it */
	const char *text;
	size_t len;
};

static bool value_starts(struct value v, const char *prefix)
{
	return v.len >= strlen(prefix) && memcmp(v.text, prefix, strlen(prefix)) == 0;
}

static bool is_digit_byte(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_lower_byte(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper_byte(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Of each value of each row this is asked, so it is a table. */
static const bool is_word_byte[256] = {
        ['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['+'] = true, ['/'] = true,
        ['='] = true,         ['_'] = true,         ['.'] = true,         ['~'] = true, ['-'] = true};

/* How many bytes from @at on can be of a key. */
static size_t word_length(struct value v, size_t at)
{
	size_t n = at;

	while (n < v.len && is_word_byte[(unsigned char)v.text[n]])
		n++;
	return n - at;
}

/* Does it begin as one of the prefixes below does? Nearly no value does, and those need not be held against each of them. */
static bool may_have_prefix(struct value v)
{
#define THREE(a, b, c) ((uint32_t)(a) << 16 | (uint32_t)(b) << 8 | (uint32_t)(c))
	const unsigned char *p = (const unsigned char *)v.text;

	switch (THREE(p[0], p[1], p[2])) {
	case THREE('s', 'k', '_'):
	case THREE('r', 'k', '_'):
	case THREE('w', 'h', 's'):
	case THREE('g', 'h', 'p'):
	case THREE('g', 'h', 'o'):
	case THREE('g', 'h', 'u'):
	case THREE('g', 'h', 's'):
	case THREE('g', 'h', 'r'):
	case THREE('g', 'i', 't'):
	case THREE('g', 'l', 'p'):
	case THREE('x', 'o', 'x'):
	case THREE('x', 'a', 'p'):
	case THREE('A', 'K', 'I'):
	case THREE('A', 'S', 'I'):
	case THREE('A', 'I', 'z'):
	case THREE('y', 'a', '2'):
	case THREE('s', 'k', '-'):
	case THREE('S', 'G', '.'):
	case THREE('n', 'p', 'm'):
	case THREE('p', 'y', 'p'):
	case THREE('d', 'o', 'p'):
	case THREE('h', 'f', '_'):
	case THREE('s', 'h', 'p'):
	case THREE('s', 'q', '0'):
	case THREE('A', 'G', 'E'):
	case THREE('B', 'e', 'a'):
	case THREE('e', 'y', 'J'):
	case THREE('$', '2', 'a'):
	case THREE('$', '2', 'b'):
	case THREE('$', '2', 'y'):
	case THREE('$', 'a', 'r'):
	case THREE('$', 's', 'c'):
	case THREE('$', 'p', 'b'):
	case THREE('p', 'b', 'k'):
	case THREE('$', '5', '$'):
	case THREE('$', '6', '$'):
	case THREE('$', '1', '$'):
	case THREE('$', 'y', '$'):
	case THREE('$', 'P', '$'):
	case THREE('$', 'H', '$'):
	case THREE('{', 'S', 'S'):
	case THREE('{', 'C', 'R'):
	case THREE('{', 'B', 'C'):
	case THREE('{', 'b', 'c'):
	case THREE('{', 'a', 'r'):
	case THREE('S', 'C', 'R'):
	case THREE('b', 'c', 'r'):
	case THREE('a', 'r', 'g'):
	case THREE('-', '-', '-'):
		return true;
	default:
		return false;
	}
#undef THREE
}

/* Keys and tokens. Prefixes are those that their makers publish, so that they can be found. */

static const char *key_by_prefix(struct value v)
{
	static const struct {
		const char *prefix, *reason;
	} keys[] = {
	        {"sk_live_", "a secret key of Stripe"},
	        {"sk_test_", "a secret key of Stripe"},
	        {"rk_live_", "a restricted key of Stripe"},
	        {"rk_test_", "a restricted key of Stripe"},
	        {"whsec_", "a secret of webhooks"},
	        {"ghp_", "a token of GitHub"},
	        {"gho_", "a token of GitHub"},
	        {"ghu_", "a token of GitHub"},
	        {"ghs_", "a token of GitHub"},
	        {"ghr_", "a token of GitHub"},
	        {"github_pat_", "a token of GitHub"},
	        {"glpat-", "a token of GitLab"},
	        {"xoxb-", "a token of Slack"},
	        {"xoxp-", "a token of Slack"},
	        {"xoxa-", "a token of Slack"},
	        {"xoxr-", "a token of Slack"},
	        {"xoxs-", "a token of Slack"},
	        {"xapp-", "a token of Slack"},
	        {"AKIA", "an access key of AWS"},
	        {"ASIA", "an access key of AWS"},
	        {"AIza", "an API key of Google"},
	        {"ya29.", "a token of Google"},
	        {"sk-ant-", "an API key"},
	        {"sk-proj-", "an API key"},
	        {"SG.", "an API key of SendGrid"},
	        {"npm_", "a token of npm"},
	        {"pypi-", "a token of PyPI"},
	        {"dop_v1_", "a token of DigitalOcean"},
	        {"hf_", "a token of Hugging Face"},
	        {"shpat_", "a token of Shopify"},
	        {"shpss_", "a secret of Shopify"},
	        {"sq0atp-", "a token of Square"},
	        {"sq0csp-", "a secret of Square"},
	        {"AGE-SECRET-KEY-", "a private key of age"},
	        {"Bearer ", "a bearer token"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t n = strlen(keys[i].prefix);

		if (value_starts(v, keys[i].prefix) && word_length(v, n) == v.len - n &&
		    v.len - n >= KEY_MIN_BYTES)
			return keys[i].reason;
	}
	return NULL;
}

/* "eyJ" is how base64 of '{"' begins; a header, a payload and a signature have dots between them. */
static bool is_web_token(struct value v)
{
	size_t dots = 0;

	if (!value_starts(v, "eyJ") || word_length(v, 0) != v.len)
		return false;
	for (size_t i = 0; i < v.len; i++)
		dots += v.text[i] == '.';
	return (dots == 2 || dots == 4) && v.len >= RANDOM_MIN_BYTES;
}

static bool is_password_hash(struct value v)
{
	static const char *const prefixes[] = {
	        "$2a$",       "$2b$",    "$2y$",     "$argon2",  "$scrypt$", "$pbkdf2",
	        "pbkdf2_sha", "$5$",     "$6$",      "$1$",      "$y$",      "{SSHA}",
	        "{SSHA512}",  "{CRYPT}", "{BCRYPT}", "{bcrypt}", "{argon2}", "SCRAM-SHA-256$",
	        "bcrypt$",    "argon2$", "$P$",      "$H$"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		if (value_starts(v, prefixes[i]) && v.len >= strlen(prefixes[i]) + KEY_MIN_BYTES &&
		    !memchr(v.text, ' ', v.len))
			return true;
	return false;
}

static bool is_private_key(struct value v)
{
	return value_starts(v, "-----BEGIN") && !value_starts(v, "-----BEGIN CERTIFICATE") &&
	       !value_starts(v, "-----BEGIN PUBLIC") && !value_starts(v, "-----BEGIN RSA PUBLIC") &&
	       !value_starts(v, "-----BEGIN PGP PUBLIC") && !value_starts(v, "-----BEGIN PGP MESSAGE") &&
	       !value_starts(v, "-----BEGIN PGP SIG");
}

/* The first "://"; NULL. */
static const char *find_scheme_end(struct value v)
{
	const char *end = v.text + v.len, *at = v.text;

	while ((at = memchr(at, ':', (size_t)(end - at)))) {
		if (end - at >= 3 && at[1] == '/' && at[2] == '/')
			return at;
		at++;
	}
	return NULL;
}

/* scheme://user:password@host */
static bool has_url_password(struct value v)
{
	const char *start = find_scheme_end(v), *end = v.text + v.len, *colon = NULL;

	if (!start || start == v.text)
		return false;
	for (const char *p = start + 3; p < end && !strchr("/?# \t\r\n", *p); p++) {
		if (*p == ':' && !colon)
			colon = p;
		if (*p == '@')
			return colon && p > colon + 1;
	}
	return false;
}

/* Words that look random. */

static bool is_hex_byte(char c)
{
	return is_digit_byte(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_hex(struct value v)
{
	for (size_t i = 0; i < v.len; i++)
		if (!is_hex_byte(v.text[i]))
			return false;
	return true;
}

/* MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512 */
static bool is_digest(struct value v)
{
	static const size_t lengths[] = {32, 40, 56, 64, 96, 128};

	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
		if (v.len == lengths[i])
			return is_hex(v);
	return false;
}

static bool is_uuid_at(const char *p)
{
	for (size_t i = 0; i < UUID_BYTES; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? p[i] != '-' : !is_hex_byte(p[i]))
			return false;
	}
	return true;
}

static bool has_uuid(struct value v)
{
	for (size_t i = 0; i + UUID_BYTES <= v.len; i++)
		if (is_uuid_at(v.text + i))
			return true;
	return false;
}

/* A path has slashes. So has base64, but with padding or a plus, and nothing that base64 does not have. */
static bool is_path(struct value v)
{
	bool is_padded = v.text[v.len - 1] == '=' || memchr(v.text, '+', v.len);

	if (!memchr(v.text, '/', v.len))
		return false;
	return !is_padded || v.text[0] == '/' || memchr(v.text, '.', v.len) || memchr(v.text, '_', v.len) ||
	       memchr(v.text, '-', v.len);
}

/* The longest part between dots: file names and host names have dots, and short parts. */
static struct value longest_part(struct value v)
{
	struct value longest = {v.text, 0};

	for (const char *p = v.text, *end = v.text + v.len; p < end;) {
		const char *dot = memchr(p, '.', (size_t)(end - p));
		size_t len = (size_t)((dot ? dot : end) - p);

		if (len > longest.len)
			longest = (struct value){p, len};
		p += len + 1;
	}
	return longest;
}

struct figures {
	size_t letters_and_digits, digits, lower, upper, changes;
	double alphabet; /* of how many characters, equally frequent, such a word would be made: 2 to the power of its entropy (Rényi's) */
};

static int kind_of_byte(char c)
{
	return is_digit_byte(c) ? 1 : is_lower_byte(c) ? 2 : is_upper_byte(c) ? 3 : 0;
}

/* How often two letters taken from it are the same. */
static double alphabet_of(const size_t counts[static 256], size_t all)
{
	size_t same = 1;

	for (size_t i = 0; i < 256; i++)
		if (counts[i] > 0)
			same += counts[i] * (counts[i] - 1);
	return (double)all * (double)(all - 1) / (double)same;
}

static struct figures figures_of(struct value v)
{
	size_t counts[256] = {0};
	struct figures f = {0};
	int before = 0;

	for (size_t i = 0; i < v.len; i++) {
		int kind = kind_of_byte(v.text[i]);

		if (kind == 0)
			continue;
		counts[(unsigned char)v.text[i]]++;
		f.letters_and_digits++;
		f.digits += kind == 1;
		f.lower += kind == 2;
		f.upper += kind == 3;
		f.changes += before != 0 && kind != before;
		before = kind;
	}
	f.alphabet = f.letters_and_digits > 0 ? alphabet_of(counts, f.letters_and_digits) : 0;
	return f;
}

static bool is_random(struct value v)
{
	struct figures f = figures_of(v);
	bool is_mixed = f.lower >= 3 && f.upper >= 3;
	double changes;

	if (f.letters_and_digits < RANDOM_MIN_BYTES - 4 || f.digits < 2 || f.digits == f.letters_and_digits)
		return false;
	changes = (double)f.changes / (double)f.letters_and_digits;
	return is_mixed ? f.alphabet >= 26 && changes >= 0.4 : f.alphabet >= 9 && changes >= 0.28;
}

static bool looks_random(struct value v)
{
	if (v.len < RANDOM_MIN_BYTES || v.len > RANDOM_MAX_BYTES || word_length(v, 0) != v.len)
		return false;
	if (is_digest(v) || has_uuid(v) || is_path(v))
		return false;
	v = longest_part(v);
	return v.len >= RANDOM_MIN_BYTES && !is_digest(v) && is_random(v);
}

static bool is_outer_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

static struct value without_blanks(const char *text, size_t len)
{
	while (len > 0 && is_outer_blank(text[len - 1]))
		len--;
	while (len > 0 && is_outer_blank(*text)) {
		text++;
		len--;
	}
	return (struct value){text, len};
}

static const char *suspicion_by_prefix(struct value v)
{
	const char *reason = key_by_prefix(v);

	if (reason)
		return reason;
	if (is_web_token(v))
		return "a token (JWT)";
	if (is_password_hash(v))
		return "the hash of a password";
	return is_private_key(v) ? "a private key" : NULL;
}

const char *redaction_value_suspicion(const char *value, size_t len)
{
	struct value v = without_blanks(value, len);
	const char *reason;

	if (v.len < KEY_MIN_BYTES)
		return NULL;
	reason = may_have_prefix(v) ? suspicion_by_prefix(v) : NULL;
	if (reason)
		return reason;
	if (has_url_password(v))
		return "a URL with a password";
	return looks_random(v) ? "a long word that looks random" : NULL;
}
