// SPDX-License-Identifier: Apache-2.0
/* What tests of encrypted objects share: each object is written by the stage of age, with a key of its own. */
#pragma once
#include "layout_test.h"

#include <keepfs/stream/age.h>

/* The first thing in what @secret of the fixture points to. */
struct encrypting {
	struct age_recipients *recipients;
	struct stream_age age; /* of the object that was written last */
};

static inline struct stream_stage encrypt_anew(struct fixture *f)
{
	struct encrypting *e = f->secret;
	struct stream_stage stage;

	stream_age_finish(&e->age);
	assert_int_equal(stream_age_init(&e->age, e->recipients, NULL), 0);
	stage = stream_age_stage(&e->age);
	f->cells = stage.cells;
	return stage;
}

static inline void begin_encrypting(struct fixture *f, struct encrypting *e)
{
	e->recipients = age_recipients_new();
	f->secret = e;
	f->stage = encrypt_anew;
}

static inline void end_encrypting(struct encrypting *e)
{
	stream_age_finish(&e->age);
	age_recipients_free(e->recipients);
}
