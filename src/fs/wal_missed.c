// SPDX-License-Identifier: Apache-2.0
#include "wal_missed.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_name.h>

#include <pthread.h>
#include <stdlib.h>

#define NAMES     16 /* each archive has one server, which asks for one name after the other */
#define MOMENT_MS 1000

struct missed_name {
	uint64_t directory;
	char name[WAL_NAME_BYTES]; /* "": none */
	int64_t told_ms;
};

struct wal_missed {
	pthread_mutex_t lock;
	struct missed_name names[NAMES]; /* lock */
	size_t next;                     /* lock: the oldest of them */
};

struct wal_missed *wal_missed_new(void)
{
	struct wal_missed *m = mem_alloc(sizeof(*m));

	pthread_mutex_init(&m->lock, NULL);
	return m;
}

struct wal_missed *wal_missed_free(struct wal_missed *m)
{
	if (!m)
		return NULL;
	pthread_mutex_destroy(&m->lock);
	free(m);
	return NULL;
}

/* With the lock. */
static struct missed_name *find_missed(struct wal_missed *m, uint64_t directory, const char *name)
{
	for (size_t i = 0; i < NAMES; i++)
		if (m->names[i].directory == directory && str_equal(m->names[i].name, name))
			return &m->names[i];
	return NULL;
}

void wal_missed_note(struct wal_missed *m, uint64_t directory, const char *name, int64_t now_ms)
{
	struct missed_name *missed;

	pthread_mutex_lock(&m->lock);
	missed = find_missed(m, directory, name);
	if (!missed) {
		missed = &m->names[m->next];
		m->next = (m->next + 1) % NAMES;
	}
	missed->directory = directory;
	str_copy(missed->name, sizeof(missed->name), name);
	missed->told_ms = now_ms;
	pthread_mutex_unlock(&m->lock);
}

bool wal_missed_again(struct wal_missed *m, uint64_t directory, const char *name, int64_t now_ms)
{
	struct missed_name *missed;
	bool again = false;

	pthread_mutex_lock(&m->lock);
	missed = find_missed(m, directory, name);
	if (missed) {
		again = now_ms - missed->told_ms < MOMENT_MS;
		missed->name[0] = '\0';
	}
	pthread_mutex_unlock(&m->lock);
	return again;
}

void wal_missed_forget(struct wal_missed *m, uint64_t directory, const char *name)
{
	(void)wal_missed_again(m, directory, name, 0);
}
