// SPDX-License-Identifier: Apache-2.0
#include "hard_links.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

struct hard_link {
	struct hard_link *next;
	uint64_t device, inode, others;
	char path[];
};

static size_t bucket_of(const struct hard_links *l, uint64_t device, uint64_t inode)
{
	uint64_t hash = (inode ^ device << 40) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(hash >> 32) & (l->bucket_count - 1);
}

static void grow_links(struct hard_links *l)
{
	struct hard_links wider = *l;

	wider.bucket_count = l->bucket_count ? l->bucket_count * 2 : 64;
	wider.buckets = mem_array(wider.bucket_count, sizeof(struct hard_link *));
	for (size_t i = 0; i < l->bucket_count; i++)
		for (struct hard_link *next, *h = l->buckets[i]; h; h = next) {
			struct hard_link **bucket = &wider.buckets[bucket_of(&wider, h->device, h->inode)];

			next = h->next;
			h->next = *bucket;
			*bucket = h;
		}
	free(l->buckets);
	*l = wider;
}

static struct hard_link **find_hard_link(struct hard_links *l, uint64_t device, uint64_t inode)
{
	struct hard_link **at;

	if (l->bucket_count == 0)
		return NULL;
	for (at = &l->buckets[bucket_of(l, device, inode)]; *at; at = &(*at)->next)
		if ((*at)->inode == inode && (*at)->device == device)
			return at;
	return NULL;
}

const char *hard_links_see(struct hard_links *l, uint64_t device, uint64_t inode)
{
	struct hard_link **at = find_hard_link(l, device, inode), *h;

	if (!at)
		return NULL;
	h = *at;
	free(l->seen);
	l->seen = NULL;
	if (h->others > 1) {
		h->others--;
		return h->path;
	}
	*at = h->next;
	l->count--;
	l->seen = h;
	return h->path;
}

void hard_links_add(struct hard_links *l, uint64_t device, uint64_t inode, const char *path, uint64_t others)
{
	size_t bytes = strlen(path) + 1;
	struct hard_link *h = mem_alloc(sizeof(*h) + bytes), **bucket;

	h->device = device;
	h->inode = inode;
	h->others = others;
	memcpy(h->path, path, bytes);
	if (l->count >= l->bucket_count)
		grow_links(l);
	bucket = &l->buckets[bucket_of(l, device, inode)];
	h->next = *bucket;
	*bucket = h;
	l->count++;
}

void hard_links_finish(struct hard_links *l)
{
	for (size_t i = 0; i < l->bucket_count; i++)
		for (struct hard_link *next, *h = l->buckets[i]; h; h = next) {
			next = h->next;
			free(h);
		}
	free(l->seen);
	free(l->buckets);
}
