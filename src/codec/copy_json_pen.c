// SPDX-License-Identifier: Apache-2.0
#include "copy_json_private.h"

static void grow_by(struct str *out, size_t more)
{
	out->cap += out->cap / 2 + more + 4096;
	out->data = mem_resize(out->data, out->cap, 1);
}

void json_pen_grow(struct json_pen *pen, size_t more)
{
	struct str *out = pen->out;
	size_t used = (size_t)(pen->at - out->data), cap = out->cap;

	grow_by(out, more);
	pen->at = out->data + used;
	pen->spare += out->cap - cap;
}

void json_pen_begin(struct json_pen *pen, struct str *out, size_t sure)
{
	size_t need = out->len + sure + JSON_PEN_SLACK;

	if (out->cap < need)
		grow_by(out, need - out->cap);
	*pen = (struct json_pen){.out = out, .at = out->data + out->len, .spare = out->cap - need};
}

void json_pen_end(struct json_pen *pen)
{
	*pen->at = '\0';
	pen->out->len = (size_t)(pen->at - pen->out->data);
}
