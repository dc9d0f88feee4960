// SPDX-License-Identifier: Apache-2.0
/* The keys of signatures: read whole, then exchanged at once. */
#include <keepfs/keyring/signing.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <keepfs/base/mem.h>
#include <keepfs/conf.h>

#define SIGNING_FILE_BYTES 16384

/* What signing_ref() hands out is its first member. */
struct key_set {
	struct signing_keys keys;
	struct sign_key *key, *old;
	struct signing_publics publics;
	atomic_uint refs;
};

struct signing {
	pthread_mutex_t lock;
	struct key_set *set; /* lock */
};

static void drop_set(struct key_set *set)
{
	if (!set || atomic_fetch_sub(&set->refs, 1) > 1)
		return;
	sign_key_free(set->key);
	sign_key_free(set->old);
	signing_publics_finish(&set->publics);
	free(set);
}

static int check_signing_file(const char *what, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_system(err, errno, "%s", what);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_DENIED, EPERM, "%s is no regular file", what);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return error_set(err, ERROR_DENIED, EPERM,
		                 "%s belongs to another user: chown it to the one that keepfs runs as", what);
	if (st.st_mode & 077)
		return error_set(err, ERROR_DENIED, EPERM, "%s can be read by others: chmod 600", what);
	return 0;
}

static int read_private(const char *name, const char *path, struct sign_key **ret, struct error *err)
{
	_cleanup(free) char *what = mem_printf("%s = %s", name, path);
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	char text[SIGNING_FILE_BYTES];
	ssize_t len;
	int r;

	if (fd < 0)
		return error_system(err, errno, "%s", what);
	r = check_signing_file(what, fd, err);
	if (r < 0)
		return r;
	len = read(fd, text, sizeof(text));
	r = len < 0 ? error_system(err, errno, "%s", what)
	            : sign_key_parse(what, text, (size_t)len, ret, err);
	explicit_bzero(text, sizeof(text));
	return r;
}

static void believe(struct signing_publics *p, const struct sign_key *key)
{
	if (!key)
		return;
	p->items = mem_resize(p->items, p->count + 1, sizeof(*p->items));
	p->items[p->count++] = *sign_key_public(key);
}

static int read_set(const struct conf *conf, struct key_set *set, struct error *err)
{
	int r = 0;

	if (*str_or_empty(conf->signing_key_file))
		r = read_private("[keepfs] signing_key_file", conf->signing_key_file, &set->key, err);
	if (r == 0 && *str_or_empty(conf->signing_key_old_file))
		r = read_private("[keepfs] signing_key_old_file", conf->signing_key_old_file, &set->old, err);
	if (r == 0 && *str_or_empty(conf->verify_key_file))
		r = signing_read_publics("[keepfs] verify_key_file", conf->verify_key_file, &set->publics,
		                         err);
	if (r < 0)
		return r;
	believe(&set->publics, set->key);
	believe(&set->publics, set->old);
	set->keys = (struct signing_keys){.key = set->key,
	                                  .old = set->old,
	                                  .believed = set->publics.items,
	                                  .count = set->publics.count};
	return 0;
}

static int new_set(const struct conf *conf, struct key_set **ret, struct error *err)
{
	struct key_set *set = mem_alloc(sizeof(*set));
	int r;

	atomic_init(&set->refs, 1);
	r = read_set(conf, set, err);
	if (r < 0)
		drop_set(set);
	else
		*ret = set;
	return r;
}

int signing_new(const struct conf *conf, struct signing **ret, struct error *err)
{
	struct key_set *set;
	int r = new_set(conf, &set, err);

	if (r < 0)
		return r;
	*ret = mem_alloc(sizeof(**ret));
	pthread_mutex_init(&(*ret)->lock, NULL);
	(*ret)->set = set;
	return 0;
}

struct signing *signing_free(struct signing *s)
{
	if (!s)
		return NULL;
	drop_set(s->set);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

int signing_read_again(struct signing *s, const struct conf *conf, struct error *err)
{
	struct key_set *set, *before;
	int r = new_set(conf, &set, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&s->lock);
	before = s->set;
	s->set = set;
	pthread_mutex_unlock(&s->lock);
	drop_set(before);
	return 0;
}

const struct signing_keys *signing_ref(struct signing *s)
{
	struct key_set *set;

	pthread_mutex_lock(&s->lock);
	set = s->set;
	atomic_fetch_add(&set->refs, 1);
	pthread_mutex_unlock(&s->lock);
	return &set->keys;
}

void signing_unref(const struct signing_keys *keys)
{
	drop_set((struct key_set *)keys);
}

const struct sign_public *signing_find(const struct signing_keys *keys, const char *id)
{
	for (size_t i = 0; i < keys->count; i++)
		if (strcmp(keys->believed[i].id, id) == 0)
			return &keys->believed[i];
	return NULL;
}
