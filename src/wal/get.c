// SPDX-License-Identifier: Apache-2.0
/* A file of an archive for who has the store alone. The store is listed, so that "it is not there" is its word, and no catalog's that may be older. */
#include "tail.h"

#include <keepfs/base/clock.h>

#include <errno.h>
#include <string.h>

static int locate_patiently(const struct wal_get *how, const char *job, const char *name,
                            struct store_object *ret, struct error *err)
{
	const struct store_call call = {.cancel = how->cancel};
	int64_t until_ms = clock_mono_ms() + how->patience_ms;
	struct error why = {0};
	int r;

	do {
		r = wal_locate(how->store, &call, job, name, ret, &why);
	} while (wal_tries_again(how->cancel, until_ms, &r, &why));
	if (r < 0 && err)
		*err = why;
	return r;
}

static int locate_tail_patiently(const struct wal_get *how, const char *job, const struct wal_name *name,
                                 struct wal_tail *ret, struct error *err)
{
	const struct store_call call = {.cancel = how->cancel};
	int64_t until_ms = clock_mono_ms() + how->patience_ms;
	struct error why = {0};
	int r;

	do {
		r = wal_tail_locate(how->store, &call, job, name, ret, &why);
	} while (wal_tries_again(how->cancel, until_ms, &r, &why));
	if (r < 0 && err)
		*err = why;
	return r;
}

static int get_tail_once(const struct wal_get *how, const char *job, const struct wal_name *name,
                         struct wal_tail_loading *l, struct error *err)
{
	_cleanup(wal_tail) struct wal_tail tail = {0};
	int r = locate_tail_patiently(how, job, name, &tail, err);

	return r < 0 ? r : wal_tail_load(l, &tail, err);
}

/* What was streamed of a segment that is not full yet, where it is the last one. */
static int get_tail(const struct wal_get *how, const char *job, const struct wal_name *name,
                    struct error *err)
{
	struct wal_tail_loading l = {.how = {.store = how->store,
	                                     .keyring = how->keyring,
	                                     .pool = how->pool,
	                                     .cancel = how->cancel,
	                                     .patience_ms = how->patience_ms}};
	int r = name->kind == WAL_NAME_SEGMENT ? -ESTALE : -ENOENT;

	while (r == -ESTALE && !cancel_is_set(how->cancel))
		r = get_tail_once(how, job, name, &l, err);
	if (r == 0) {
		r = pages_each(&l.pages, how->write, how->arg, err);
		wal_tail_unload(&l);
	}
	return r;
}

/* What passes, as far as it tells whether it is the file that was asked for. */
struct getting {
	const struct wal_get *how;
	uint64_t bytes;
	uint8_t head[WAL_LONG_PAGE_HEADER_BYTES];
};

static int pass_what_is_got(void *arg, const void *data, size_t len, struct error *err)
{
	struct getting *g = arg;

	if (g->bytes < sizeof(g->head)) {
		size_t room = sizeof(g->head) - (size_t)g->bytes;

		memcpy(g->head + g->bytes, data, len < room ? len : room);
	}
	g->bytes += len;
	return g->how->write(g->how->arg, data, len, err);
}

int wal_get(const struct wal_get *how, const char *job, const char *name, struct error *err)
{
	struct store_object object;
	struct wal_fetching f;
	struct wal_name parsed;
	struct getting g = {.how = how};
	int r;

	/* A server asks for names that no archive has, to be told so. */
	if (wal_name_parse(name, &parsed) < 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "'%s' is no name of WAL", name);
	r = locate_patiently(how, job, name, &object, err);
	if (r == -ENOENT) {
		r = get_tail(how, job, &parsed, err);
		return r == -ENOENT ? error_set(err, ERROR_NOT_FOUND, ENOENT,
		                                "the archive of [cluster %s] has no %s", job, name)
		                    : r;
	}
	if (r < 0)
		return r;
	f = (struct wal_fetching){.store = how->store,
	                          .keyring = how->keyring,
	                          .pool = how->pool,
	                          .cancel = how->cancel,
	                          .patience_ms = how->patience_ms,
	                          .key = object.key,
	                          .stored_bytes = object.bytes};
	r = wal_fetch(&f, pass_what_is_got, &g, err);
	if (r == 0)
		r = wal_check_file(object.key, &parsed, g.head, g.bytes, err);
	/* It was listed a moment ago, so it is no end of the archive. */
	return r == -ENOENT
	               ? error_set(err, ERROR_CONFLICT, EIO, "%s is not in the store any more", object.key)
	               : r;
}
