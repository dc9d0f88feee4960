// SPDX-License-Identifier: Apache-2.0
/* An archive of a version that is not known here, from a pg_dump that is newer than this keepfs: stored as
 * pg_dump compresses it. Only its exit status says that it is whole. */
#include "dump.h"

#include <errno.h>
#include <stddef.h>

struct passed {
	struct sink sink;
	struct dump *dump;
	struct stream_object *object;
};

static int passed_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct passed *p = (struct passed *)s;
	int r = draft_pace(p->dump->draft, len, err);

	return r < 0 ? r : stream_object_write(p->object, data, len, err);
}

static const struct sink_ops passed_ops = {.write = passed_write};

static int pass(struct passed *passed, struct error *err)
{
	_cleanup(arguments) struct arguments a = {0};
	_cleanup(proc) struct proc *p = NULL;
	struct dump *d = passed->dump;
	int r = draft_open(d->draft, NULL, 0, &passed->object, err);

	arguments_add(&a, "--format=custom");
	arguments_of_job(d, &a);
	if (r == 0)
		r = child_start(d, d->program, &a, &p, err);
	if (r == 0)
		r = stream_pump(proc_stdout(p), &passed->sink, d->order->cancel, NULL, err);
	if (r == 0)
		r = child_wait(d, p, err);
	return r < 0 ? r : draft_finish(d->draft, NULL, passed->object, NULL, err);
}

int make_passed(struct dump *d, struct error *err)
{
	struct passed passed = {.sink.ops = &passed_ops, .dump = d};
	int r;

	d->passed = true;
	d->compression = (struct compression){COMPRESSION_GZIP, 6};
	r = pass(&passed, err);
	stream_object_free(passed.object);
	return r;
}
