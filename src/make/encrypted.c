// SPDX-License-Identifier: Apache-2.0
/*
 * A draft whose objects are encrypted. Each has keys of its own, which nobody can get back from the store without an identity; but
 * whoever has just written it still knows them. So what was read back is looked at as it is without encryption, and then they are forgotten.
 */
#include "draft_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/keyring.h>
#include <keepfs/stream/age.h>

#include <stdlib.h>
#include <string.h>

int draft_find_recipients(struct draft *d, struct error *err)
{
	const struct conf *conf = make_conf_ref(d->ctx);
	_cleanup(str) struct str text = {0};
	int r = keyring_recipients(conf, d->order->job, d->order->cancel, &d->recipients, err);

	make_conf_unref(d->ctx, conf);
	if (r < 0 || !d->recipients)
		return r;
	keyring_recipients_text(d->recipients, &text);
	d->m.encrypted_to = str_take(&text);
	return 0;
}

/* The stage of one object, in front of that of age, so that what it encrypts with goes when the object does. */
struct draft_stage {
	struct sink sink;
	struct sink *next; /* NULL: no object has it yet */
	struct stream_age age;
	struct stream_stage inner, stage;
};

static int draft_stage_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	return sink_write(((struct draft_stage *)s)->next, data, len, err);
}

static int draft_stage_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	return sink_head(((struct draft_stage *)s)->next, data, len, err);
}

static int draft_stage_finish(struct sink *s, struct error *err)
{
	return sink_finish(((struct draft_stage *)s)->next, err);
}

static void free_draft_stage(struct sink *sink)
{
	struct draft_stage *s = (struct draft_stage *)sink;

	sink_free(s->next);
	stream_age_finish(&s->age);
	free(s);
}

static const struct sink_ops draft_stage_ops = {
        .write = draft_stage_write,
        .finish = draft_stage_finish,
        .free = free_draft_stage,
        .head = draft_stage_head,
};

static struct sink *chain_draft_stage(struct sink *next, size_t head_bytes, void *arg)
{
	struct draft_stage *s = arg;

	s->next = s->inner.new(next, head_bytes, s->inner.arg);
	return &s->sink;
}

static void remember_secret(struct draft *d, const char *key, const struct age_key *keys)
{
	pthread_mutex_lock(&d->secrets_lock);
	if ((d->secret_count & (d->secret_count - 1)) == 0) {
		size_t room = d->secret_count ? 2 * d->secret_count : 1;
		struct draft_secret *larger = mem_array(room, sizeof(*larger));

		/* Not resized: what is moved would stay behind. */
		if (d->secret_count > 0) {
			memcpy(larger, d->secrets, d->secret_count * sizeof(*larger));
			explicit_bzero(d->secrets, d->secret_count * sizeof(*larger));
		}
		free(d->secrets);
		d->secrets = larger;
	}
	d->secrets[d->secret_count] =
	        (struct draft_secret){.key = mem_strdup(key), .number = d->secret_count, .keys = *keys};
	d->secret_count++;
	pthread_mutex_unlock(&d->secrets_lock);
}

int draft_stage_new(struct draft *d, const char *key, struct draft_stage **ret, struct error *err)
{
	_cleanup(draft_stage) struct draft_stage *s = NULL;
	int r;

	*ret = NULL;
	if (!d->recipients)
		return 0;
	s = mem_alloc(sizeof(*s));
	r = stream_age_init(&s->age, d->recipients, err);
	if (r < 0)
		return r;
	s->sink.ops = &draft_stage_ops;
	s->inner = stream_age_stage(&s->age);
	s->stage = (struct stream_stage){.cells = s->inner.cells, .new = chain_draft_stage, .arg = s};
	remember_secret(d, key, &s->age.key);
	*ret = take_ptr(&s);
	return 0;
}

const struct stream_stage *draft_stage_of(const struct draft_stage *s)
{
	return s ? &s->stage : NULL;
}

struct draft_stage *draft_stage_free(struct draft_stage *s)
{
	if (s && !s->next)
		free_draft_stage(&s->sink);
	return NULL;
}

/* Of those with one key the last one first. */
static int compare_secrets(const void *a, const void *b)
{
	const struct draft_secret *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order ? order : (x->number < y->number) - (x->number > y->number);
}

void draft_sort_secrets(struct draft *d)
{
	if (d->secret_count > 0)
		qsort(d->secrets, d->secret_count, sizeof(*d->secrets), compare_secrets);
}

const struct age_key *draft_secret_of(const struct draft *d, const char *key)
{
	size_t from = 0, to = d->secret_count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(d->secrets[middle].key, key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from < d->secret_count && strcmp(d->secrets[from].key, key) == 0 ? &d->secrets[from].keys
	                                                                        : NULL;
}

void draft_forget_secrets(struct draft *d)
{
	for (size_t i = 0; i < d->secret_count; i++)
		free(d->secrets[i].key);
	if (d->secrets)
		explicit_bzero(d->secrets, d->secret_count * sizeof(*d->secrets));
	free(d->secrets);
	d->secrets = NULL;
	d->secret_count = 0;
}
