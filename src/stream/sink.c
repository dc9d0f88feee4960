// SPDX-License-Identifier: Apache-2.0
/* The stages of a stream share nothing but these five calls. */
#include <keepfs/stream/sink.h>

#include <errno.h>

int sink_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	return s->ops->write(s, data, len, err);
}

int sink_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	return s->ops->head(s, data, len, err);
}

int sink_finish(struct sink *s, struct error *err)
{
	return s->ops->finish(s, err);
}

int sink_copy(struct sink *s, const struct sink_copy *from, struct error *err)
{
	if (!s->ops->copy)
		return error_set(err, ERROR_USAGE, ENOTSUP, "what is stored is made of bytes that pass here");
	return s->ops->copy(s, from, err);
}

struct sink *sink_free(struct sink *s)
{
	if (s)
		s->ops->free(s);
	return NULL;
}
