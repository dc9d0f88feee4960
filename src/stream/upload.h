#pragma once
/** What an upload offers to struct stream_object alone. Private to this room. */
#include <keepfs/stream.h>

/** upload_set_head() - the object's first bytes, options.head_bytes of them: once, before sink_finish(). */
int upload_set_head(struct sink *upload, const void *head, struct error *err);
