// SPDX-License-Identifier: Apache-2.0
#include "copy_json_private.h"

void json_pen_grow(struct json_pen *pen, size_t more)
{
	struct str *out = pen->out;
	size_t used = (size_t)(pen->at - out->data), cap = out->cap;

	out->cap = cap + cap / 2 + more + 4096;
	out->data = mem_resize(out->data, out->cap, 1);
	pen->at = out->data + used;
	pen->spare += out->cap - cap;
}

void json_pen_begin(struct json_pen *pen, struct str *out, size_t sure)
{
	size_t room = out->cap - out->len;

	*pen = (struct json_pen){.out = out, .at = out->data + out->len, .spare = room};
	json_pen_spend(pen, sure + JSON_PEN_SLACK);
}

void json_pen_end(struct json_pen *pen)
{
	*pen->at = '\0';
	pen->out->len = (size_t)(pen->at - pen->out->data);
}
