// SPDX-License-Identifier: Apache-2.0
/*
 * With what something is decrypted. The identities in force are a set that never changes, and is replaced as a whole, so that no
 * lock is held while somebody decrypts with it. So is the list of the places where they stand, which a reload replaces.
 */
#include <keepfs/keyring.h>

#include <keepfs/base/mem.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Where the identities stand: [keepfs] identity first, then passphrases. Copies, since a configuration goes when another one is in force. */
struct identity_places {
	atomic_uint refs;
	struct conf_secret *items;
	size_t count;
};

/* Of passphrases age takes one at a time, so each has a struct age_identities of its own; the first has the keys, too. */
struct identity_set {
	atomic_uint refs;
	struct age_identities *items[KEYRING_PASSPHRASES_MAX];
	size_t count;
	uint8_t passphrases[KEYRING_PASSPHRASES_MAX]
	                   [SHA256_BYTES]; /* of those that it has: jobs often have the same */
	size_t passphrase_count;
	size_t untried;                 /* passphrases beyond these */
	struct identity_places *places; /* that they were read from */
	uint64_t stamp;                 /* of their files */
};

struct kept_key {
	uint8_t id[SHA256_BYTES];
	struct age_key key;
	uint64_t used; /* 0: the place is free */
};

struct keyring {
	pthread_mutex_t lock;
	struct identity_places *places;     /* lock */
	struct identity_set *identities;    /* lock; NULL: not read yet */
	uint64_t ticks;                     /* lock */
	struct kept_key kept[KEYRING_KEPT]; /* lock */
};

/* Places. */

/* Where passphrases stand: by number from 0; NULL: there are no more. Those of jobs that encrypt with one open what these made. */
static const struct conf_secret *passphrase_place(const struct conf *conf, size_t number)
{
	if (number == 0)
		return &conf->identity_passphrase;
	if (number == 1)
		return &conf->encrypt.passphrase;
	return number - 2 < conf->job_count ? &conf->jobs[number - 2].encrypt.passphrase : NULL;
}

static void unref_places(struct identity_places *p)
{
	if (!p || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	for (size_t i = 0; i < p->count; i++) {
		if (p->items[i].value)
			explicit_bzero(p->items[i].value, strlen(p->items[i].value));
		free(p->items[i].value);
		free(p->items[i].file);
		free(p->items[i].command);
	}
	free(p->items);
	free(p);
}

static void cleanup_identity_places(struct identity_places **p)
{
	unref_places(*p);
}

static void add_identity_place(struct identity_places *p, const struct conf_secret *secret)
{
	p->items[p->count++] = (struct conf_secret){.value = mem_strdup(str_or_empty(secret->value)),
	                                            .file = mem_strdup(str_or_empty(secret->file)),
	                                            .command = mem_strdup(str_or_empty(secret->command))};
}

static struct identity_places *places_of(const struct conf *conf)
{
	struct identity_places *p = mem_alloc(sizeof(*p));
	const struct conf_secret *secret;

	atomic_init(&p->refs, 1);
	p->items = mem_array(3 + conf->job_count, sizeof(*p->items));
	add_identity_place(p, &conf->identity);
	for (size_t i = 0; (secret = passphrase_place(conf, i)); i++)
		if (conf_secret_is_set(secret))
			add_identity_place(p, secret);
	return p;
}

static struct identity_places *ref_places(struct keyring *k)
{
	struct identity_places *p;

	pthread_mutex_lock(&k->lock);
	p = k->places;
	atomic_fetch_add(&p->refs, 1);
	pthread_mutex_unlock(&k->lock);
	return p;
}

struct keyring *keyring_new(const struct conf *conf)
{
	struct keyring *k = mem_alloc(sizeof(*k));

	k->places = places_of(conf);
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

static void unref_identities(struct identity_set *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) != 1)
		return;
	for (size_t i = 0; i < set->count; i++)
		age_identities_free(set->items[i]);
	unref_places(set->places);
	explicit_bzero(set->passphrases, sizeof(set->passphrases));
	free(set);
}

static void cleanup_identity_set(struct identity_set **set)
{
	unref_identities(*set);
}

struct keyring *keyring_free(struct keyring *k)
{
	if (!k)
		return NULL;
	unref_identities(k->identities);
	unref_places(k->places);
	explicit_bzero(k->kept, sizeof(k->kept));
	pthread_mutex_destroy(&k->lock);
	free(k);
	return NULL;
}

/* Whoever is decrypting has the keys of his object; all others are asked for anew. */
void keyring_follow(struct keyring *k, const struct conf *conf)
{
	struct identity_places *places = places_of(conf), *before;
	struct identity_set *identities;

	pthread_mutex_lock(&k->lock);
	before = k->places;
	k->places = places;
	identities = k->identities;
	k->identities = NULL;
	explicit_bzero(k->kept, sizeof(k->kept));
	pthread_mutex_unlock(&k->lock);
	unref_places(before);
	unref_identities(identities);
}

bool keyring_is_given(const struct conf *conf)
{
	const struct conf_secret *secret;
	bool found = conf_secret_is_set(&conf->identity);

	for (size_t i = 0; !found && (secret = passphrase_place(conf, i)); i++)
		found = conf_secret_is_set(secret);
	return found;
}

bool keyring_can_read(struct keyring *k)
{
	_cleanup(identity_places) struct identity_places *places = k ? ref_places(k) : NULL;

	return places && (places->count > 1 || conf_secret_is_set(&places->items[0]));
}

const char *keyring_advice(void)
{
	return "set [keepfs] identity_file to a file with the secret key (AGE-SECRET-KEY-1…) of one of its recipients";
}

/* Reading them. */

static int add_identities(const struct identity_places *places, struct identity_set *set,
                          struct cancel *cancel, struct error *err)
{
	const struct secret_use use = {.what = "[keepfs] identity", .whole = true};
	const struct conf_secret *secret = &places->items[0];
	_cleanup(secret_text) struct secret_text text = {0};
	int r;

	set->items[0] = age_identities_new();
	set->count = 1;
	if (!conf_secret_is_set(secret))
		return 0;
	r = secret_get(secret, &use, cancel, &text, err);
	if (r < 0)
		return r;
	r = age_identities_add(set->items[0], text.data, err);
	if (r < 0)
		error_prefix(err, "[keepfs] %s", conf_secret_key(secret, CONF_SECRET_KEYS("identity")));
	return r;
}

/* Is it another one than those that are there already? */
static bool note_passphrase(struct identity_set *set, const struct secret_text *text)
{
	uint8_t hash[SHA256_BYTES];

	sha256_once(text->data, text->len, hash);
	for (size_t i = 0; i < set->passphrase_count; i++)
		if (memcmp(set->passphrases[i], hash, SHA256_BYTES) == 0)
			return false;
	if (set->passphrase_count == KEYRING_PASSPHRASES_MAX) {
		set->untried++;
		return false;
	}
	memcpy(set->passphrases[set->passphrase_count++], hash, SHA256_BYTES);
	return true;
}

static int add_passphrase_identity(struct identity_set *set, const struct conf_secret *secret,
                                   struct cancel *cancel, struct error *err)
{
	const struct secret_use use = {.what = "a passphrase of backups"};
	_cleanup(secret_text) struct secret_text text = {0};
	int r = secret_get(secret, &use, cancel, &text, err);

	if (r < 0)
		return r;
	if (!note_passphrase(set, &text))
		return 0;
	if (set->passphrase_count > 1)
		set->items[set->count++] = age_identities_new();
	return age_identities_add_passphrase(set->items[set->count - 1], text.data, err);
}

static uint64_t stamp_of_files(const struct identity_places *places)
{
	uint64_t stamp = 0;

	for (size_t i = 0; i < places->count; i++)
		stamp = stamp * 31 + secret_stamp(&places->items[i]);
	return stamp;
}

static int read_identities(struct identity_places *places, struct cancel *cancel, struct identity_set **ret,
                           struct error *err)
{
	_cleanup(identity_set) struct identity_set *set = mem_alloc(sizeof(*set));
	int r;

	atomic_init(&set->refs, 1);
	atomic_fetch_add(&places->refs, 1);
	set->places = places;
	/* Read before the files are: a change in between makes the set look old, never new. */
	set->stamp = stamp_of_files(places);
	r = add_identities(places, set, cancel, err);
	for (size_t i = 1; r == 0 && i < places->count; i++)
		r = add_passphrase_identity(set, &places->items[i], cancel, err);
	if (r == 0)
		*ret = take_ptr(&set);
	return r;
}

static struct identity_set *ref_known_identities(struct keyring *k)
{
	struct identity_set *set;

	pthread_mutex_lock(&k->lock);
	set = k->identities;
	if (set)
		atomic_fetch_add(&set->refs, 1);
	pthread_mutex_unlock(&k->lock);
	return set;
}

/* Unless others are in force by now. */
static void keep_identities(struct keyring *k, struct identity_set *set)
{
	struct identity_set *old = NULL;

	pthread_mutex_lock(&k->lock);
	if (set->places == k->places) {
		atomic_fetch_add(&set->refs, 1);
		old = k->identities;
		k->identities = set;
	}
	pthread_mutex_unlock(&k->lock);
	unref_identities(old);
}

/* @fresh: those that are known opened nothing. *@ret_is_new: they were read just now. */
static int ref_identities(struct keyring *k, bool fresh, struct cancel *cancel, struct identity_set **ret,
                          bool *ret_is_new, struct error *err)
{
	_cleanup(identity_places) struct identity_places *places = ref_places(k);
	_cleanup(identity_set) struct identity_set *set = fresh ? NULL : ref_known_identities(k);
	int r = 0;

	*ret_is_new = !set || set->places != places || set->stamp != stamp_of_files(places);
	if (*ret_is_new) {
		unref_identities(take_ptr(&set));
		r = read_identities(places, cancel, &set, err);
	}
	if (r < 0)
		return r;
	if (*ret_is_new)
		keep_identities(k, set);
	*ret = take_ptr(&set);
	return 0;
}

int keyring_check(struct keyring *k, struct cancel *cancel, size_t *ret_count, struct error *err)
{
	_cleanup(identity_set) struct identity_set *set = NULL;
	bool is_new;
	int r = ref_identities(k, true, cancel, &set, &is_new, err);

	if (r < 0)
		return r;
	if (set->untried > 0)
		return error_set(
		        err, ERROR_USAGE, E2BIG,
		        "there are more than %d different passphrases, and no more are tried for an object, since each takes a second: "
		        "%zu of them open nothing here; encrypt for public keys (encrypt_to)",
		        KEYRING_PASSPHRASES_MAX, set->untried);
	*ret_count = age_identities_count(set->items[0]) + set->passphrase_count;
	return 0;
}

/* The format's own words know only how many there are. */
static void tell_whose_it_is(const struct keyring_object *object, struct error *err)
{
	if (object->encrypted_to && *object->encrypted_to)
		error_set(
		        err, ERROR_DENIED, ENOKEY,
		        "none of the identities of this host opens it: it is encrypted to %s; add the secret key of one of these to the file of [keepfs] identity_file",
		        object->encrypted_to);
}

/* What is wrong with the identities is nothing wrong with what they would open: nobody is to take it for damaged, or for missing. */
static int blame_identities(int r, struct error *err)
{
	if (r == -ECANCELED)
		return r;
	if (err->class == ERROR_CORRUPT || err->class == ERROR_NOT_FOUND)
		err->class = ERROR_DENIED;
	err->damage = false;
	err->errnum = EACCES;
	return -EACCES;
}

static bool has_identity_of(const struct identity_set *set, const char *recipient)
{
	const struct age_identities *keys = set->items[0];

	/* Which passphrase it was nobody can tell. */
	if (str_equal(recipient, KEYRING_PASSPHRASE))
		return set->passphrase_count > 0;
	for (size_t i = 0; i < age_identities_count(keys); i++)
		if (strcmp(age_identities_recipient(keys, i), recipient) == 0)
			return true;
	return false;
}

static bool opens_any(const struct identity_set *set, const char *encrypted_to)
{
	_cleanup(free) char *names = mem_strdup(encrypted_to);
	char *rest = NULL;

	for (char *name = strtok_r(names, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
		if (has_identity_of(set, name))
			return true;
	return false;
}

int keyring_is_for_us(struct keyring *k, const char *encrypted_to, struct cancel *cancel, bool *ret,
                      struct error *err)
{
	_cleanup(identity_set) struct identity_set *set = NULL;
	bool is_new;
	int r = ref_identities(k, false, cancel, &set, &is_new, err);

	if (r < 0)
		return blame_identities(r, err);
	*ret = opens_any(set, encrypted_to);
	return 0;
}

/* What was opened. */

int keyring_find(struct keyring *k, const uint8_t id[static SHA256_BYTES], struct age_key *ret)
{
	int r = -ENOENT;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; r < 0 && i < KEYRING_KEPT; i++) {
		struct kept_key *kept = &k->kept[i];

		if (!kept->used || memcmp(kept->id, id, SHA256_BYTES) != 0)
			continue;
		kept->used = ++k->ticks;
		*ret = kept->key;
		r = 0;
	}
	pthread_mutex_unlock(&k->lock);
	return r;
}

/* Unless others are in force by now than those that opened it. */
static void keep_key(struct keyring *k, const struct identity_set *by, const uint8_t *id,
                     const struct age_key *key)
{
	struct kept_key *oldest = &k->kept[0];

	pthread_mutex_lock(&k->lock);
	if (by->places != k->places) {
		pthread_mutex_unlock(&k->lock);
		return;
	}
	for (size_t i = 1; i < KEYRING_KEPT && oldest->used; i++)
		if (k->kept[i].used < oldest->used)
			oldest = &k->kept[i];
	memcpy(oldest->id, id, SHA256_BYTES);
	oldest->key = *key;
	oldest->used = ++k->ticks;
	pthread_mutex_unlock(&k->lock);
}

static bool is_not_for_us(int r)
{
	return r == -ENOKEY || r == -EKEYREJECTED;
}

static void tell_other_passphrase(const struct identity_set *set, struct error *err)
{
	_cleanup(str) struct str untried = {0};

	if (set->untried > 0)
		str_appendf(
		        &untried,
		        "; %zu of other jobs were not tried, since at most %d are, each of which takes a second",
		        set->untried, KEYRING_PASSPHRASES_MAX);
	error_set(
	        err, ERROR_DENIED, EKEYREJECTED,
	        "it is encrypted with a passphrase, and none that this host has opens it: set that one as [keepfs] identity_passphrase%s",
	        str_text(&untried));
}

static int open_with(const struct identity_set *set, const void *head, size_t len, struct age_key *ret,
                     struct error *err)
{
	struct error why = {0};
	int r = -ENOKEY;

	for (size_t i = 0; is_not_for_us(r) && i < set->count; i++) {
		why = (struct error){0};
		r = age_header_open(head, len, set->items[i], ret, &why);
	}
	if (r == -EKEYREJECTED)
		tell_other_passphrase(set, &why);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int tell_no_identity(const struct keyring_object *object, struct error *err)
{
	bool known = object->encrypted_to && *object->encrypted_to;

	return error_set(err, ERROR_DENIED, ENOKEY, "%s is encrypted%s%s, and this host has no identity: %s",
	                 object->what, known ? " to " : "", known ? object->encrypted_to : "",
	                 keyring_advice());
}

int keyring_open(struct keyring *k, const struct keyring_object *object, const void *head, size_t len,
                 struct cancel *cancel, struct age_key *ret, struct error *err)
{
	struct error why = {0};
	bool fresh = false, is_new = false;
	int r = -ENOKEY;

	if (!keyring_can_read(k))
		return tell_no_identity(object, err);
	/* A command may have another key to give by now. */
	while (is_not_for_us(r) && !is_new) {
		_cleanup(identity_set) struct identity_set *set = NULL;

		why = (struct error){0};
		r = ref_identities(k, fresh, cancel, &set, &is_new, &why);
		if (r == 0) {
			r = open_with(set, head, len, ret, &why);
			if (r == 0)
				keep_key(k, set, object->id, ret);
		} else {
			r = blame_identities(r, &why);
			is_new = true;
		}
		fresh = true;
	}
	if (r == 0)
		return 0;
	if (r == -ENOKEY)
		tell_whose_it_is(object, &why);
	if (err)
		*err = why;
	error_prefix(err, "%s", object->what);
	return r;
}

int keyring_decrypt(struct keyring *k, const struct keyring_object *object, const void *stored, size_t len,
                    struct cancel *cancel, struct str *ret, struct error *err)
{
	struct age_key key;
	struct age_cipher *cipher;
	size_t at, before = ret->len;
	uint64_t cell = 0;
	int r = keyring_find(k, object->id, &key);

	if (r < 0)
		r = keyring_open(k, object, stored, len, cancel, &key, err);
	if (r == -EAGAIN)
		r = -EBADMSG;
	if (r < 0)
		return r;
	cipher = age_cipher_new(&key);
	at = key.head_bytes;
	age_key_wipe(&key);
	do {
		_cleanup(free) char *plain = mem_alloc(AGE_CELL_STORED_BYTES);
		size_t n = len - at < AGE_CELL_STORED_BYTES ? len - at : AGE_CELL_STORED_BYTES;

		r = n < AGE_TAG_BYTES ? error_set(err, ERROR_CORRUPT, EBADMSG, "its end is missing")
		                      : age_open_cell(cipher, cell++, at + n == len,
		                                      (const char *)stored + at, n, plain, err);
		if (r == 0)
			str_append_bytes(ret, plain, n - AGE_TAG_BYTES);
		at += n;
	} while (r == 0 && at < len);
	age_cipher_free(cipher);
	if (r < 0) {
		ret->len = before;
		error_prefix(err, "%s", object->what);
	}
	return r;
}
