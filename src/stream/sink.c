// SPDX-License-Identifier: Apache-2.0
/* The stages of a stream share nothing but these four calls. */
#include <keepfs/stream/sink.h>

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

struct sink *sink_free(struct sink *s)
{
	if (s)
		s->ops->free(s);
	return NULL;
}
